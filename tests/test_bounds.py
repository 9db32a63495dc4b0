"""Bounds on mutual information against closed forms and on data whose information is known."""

import functools
import math

import pytest
import torch
from digits import Digits, information
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.bounds import (
    BOUNDS,
    BilinearCritic,
    DistanceCritic,
    dependency,
    gradient_penalty,
    infonce,
    nwj,
    spectrally_normed,
)
from world_models.nets import mlp


def test_infonce_by_hand() -> None:
    """Scores ln [[2, 1], [1, 3]]: ln 2 + ln 2/3 and ln 2 + ln 3/4."""
    scores = torch.tensor([[2.0, 1.0], [1.0, 3.0]]).log()
    expected = torch.tensor([4 / 3, 3 / 2]).log()
    torch.testing.assert_close(infonce(scores), expected)
    torch.testing.assert_close(infonce(scores.expand(3, 2, 2)), expected.expand(3, 2))


def test_nwj_by_hand() -> None:
    """f on the diagonal less e^{f off the diagonal} / e."""
    scores = torch.tensor([[1.0, math.log(2)], [math.log(3), 0.5]])
    torch.testing.assert_close(nwj(scores), torch.tensor([1 - 2 / math.e, 0.5 - 3 / math.e]))


def test_dependency_by_hand() -> None:
    scores = torch.tensor([[5.0, 1.0, 2.0], [0.0, 1.0, 4.0], [1.0, 1.0, 0.0]])
    torch.testing.assert_close(dependency(scores), torch.tensor([3.5, -1.0, -1.0]))


def test_infonce_never_exceeds_log_k() -> None:
    assert infonce(100 * torch.eye(7)).mean().item() == pytest.approx(math.log(7))


def gaussians(count: int, dims: int, rho: float) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, dims, dtype=torch.float64)
    return x, rho * x + math.sqrt(1 - rho**2) * torch.randn_like(x)


@pytest.mark.parametrize("name", ["infonce", "nwj"])
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_bounds_on_gaussians(name: str, rho: float) -> None:
    """With the best critic both bounds reach I = -d/2 ln(1 - rho^2) of correlated Gaussians from below."""
    torch.manual_seed(0)
    dims = 2
    x, y = gaussians(1024, dims, rho)
    truth = -dims / 2 * math.log(1 - rho**2)
    residual = ((y[None] - rho * x[:, None]) / math.sqrt(1 - rho**2)).square().sum(-1)
    log_ratio = -0.5 * residual - dims / 2 * math.log(1 - rho**2) + 0.5 * y.square().sum(-1)
    best, bound = log_ratio if name == "infonce" else 1 + log_ratio, BOUNDS[name].of_scores
    assert bound(best).mean().item() == pytest.approx(truth, abs=0.12)
    worse = bound(0.5 * best).mean().item()
    assert worse <= truth + 0.02


class Encoded(nn.Module):
    """A bound's critic on two perceptrons."""

    def __init__(self, name: str, dims: int) -> None:
        super().__init__()
        self.x, self.y = mlp(dims, 16, 32), mlp(dims, 16, 32)
        if name == "wasserstein-sn":
            spectrally_normed(self)
        self.critic = BOUNDS[name].critic(16, 16, 16)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.critic(self.x(x), self.y(y))


@functools.cache
def trained(name: str, rho: float, dims: int = 2, batch: int = 127, steps: int = 500) -> Tensor:
    """Train a bound on correlated Gaussians, and return its critic's scores of fresh pairs (1021, 1021)."""
    torch.manual_seed(0)
    model = Encoded(name, dims)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(steps):
        loss, _ = BOUNDS[name].loss(model, *(part.float() for part in gaussians(batch, dims, rho)))
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    with torch.no_grad():
        return model.eval()(*(part.float() for part in gaussians(1021, dims, rho)))


@pytest.mark.parametrize("name", BOUNDS)
def test_trained_critics_stay_below_the_information(name: str) -> None:
    """I = 1.66 nats at d = 2, rho = 0.9. Unconstrained critics find nearly all of it, 1-Lipschitz ones a part."""
    truth = -math.log(1 - 0.9**2)
    found = BOUNDS[name].of_scores(trained(name, 0.9)).mean().item()
    least = {"infonce": 0.9, "nwj": 0.85, "wasserstein-gp": 0.2, "wasserstein-sn": 0.2}[name]
    assert least * truth < found < truth + 0.05


@pytest.mark.parametrize("name", ["wasserstein-gp", "wasserstein-sn"])
@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_the_dependency_measure_stays_below_the_wasserstein_distance(name: str, rho: float) -> None:
    """W1 <= W2, and from N(0, 1)^2d to the joint W2^2 = d ((sqrt(1 + rho) - 1)^2 + (sqrt(1 - rho) - 1)^2) (Bures)."""
    most = math.sqrt(2 * ((math.sqrt(1 + rho) - 1) ** 2 + (math.sqrt(1 - rho) - 1) ** 2))
    found = dependency(trained(name, rho)).mean().item()
    above = 1.3 if name == "wasserstein-gp" else 1.0  # a penalty holds slopes near 1, not below it
    assert 0.5 * most - 0.05 < found < above * most + 0.05


def test_what_ln_k_hides_from_infonce_the_dependency_measure_shows() -> None:
    """Both of x = y with 2 and with 8 dimensions, at K = 13: InfoNCE is at ln 13 twice, the distance doubles."""
    torch.manual_seed(0)
    squares = [-torch.cdist(x, x) / math.sqrt(2) for x in (30 * torch.randn(13, dims) for dims in (2, 8))]
    assert [infonce(square).mean().item() for square in squares] == pytest.approx([math.log(13)] * 2, abs=0.02)
    few, many = (dependency(square).mean().item() for square in squares)
    assert many > 1.7 * few


def slopes(critic: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Length of the gradient in (x, y) at every pair of rows (K * K,)."""
    pairs = x.repeat_interleave(len(y), 0).requires_grad_(), y.repeat(len(x), 1).requires_grad_()
    gradients = torch.autograd.grad(critic(*pairs).diagonal().sum(), pairs)
    return torch.cat(gradients, 1).norm(dim=1)


def test_spectral_norm_makes_critics_1_lipschitz_whatever_their_weights() -> None:
    torch.manual_seed(0)
    critic, body = DistanceCritic(11, 7, 13), spectrally_normed(mlp(5, 11, 17))
    for module in (critic, body):
        for name, parameter in module.named_parameters():
            if "original" in name:
                nn.init.normal_(parameter, std=3.0)
        for _ in range(60):  # power iterations
            critic(body(torch.randn(2, 5)), torch.randn(2, 7))
        module.eval()
    composed = lambda x, y: critic(body(x), y)  # noqa: E731
    found = slopes(composed, 3 * torch.randn(19, 5), 3 * torch.randn(19, 7))
    assert found.max() <= 1.001 and found.max() > 0.5
    x, y = torch.randn(3, 11), torch.randn(3, 7)
    assert torch.equal(critic(x, y), critic(x, y))  # what evaluates, no longer iterates


def test_gradient_penalty_by_hand() -> None:
    """f = 3 x_1 + 4 y_2 has slope 5 everywhere, so rows pay 10 (5 - 1)^2; weights feel it, inputs do not."""
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    x, y = torch.randn(7, 2, requires_grad=True), torch.randn(7, 3, requires_grad=True)
    penalty = gradient_penalty(lambda a, b: weight[0] * a[..., :1] + weight[1] * b[..., 1:2].mT, x, y)
    torch.testing.assert_close(penalty, torch.full((7,), 160.0))
    gradients = torch.autograd.grad(penalty.mean(), (weight, x, y), allow_unused=True)
    torch.testing.assert_close(gradients[0], 2 * 10 * 4 * torch.tensor([3.0, 4.0]) / 5)
    assert gradients[1:] == (None, None)


def test_the_penalty_is_asked_between_what_was_seen_together_and_apart() -> None:
    """f = y^2 has slope 2 y, so rows pay 10 (2 y - 1)^2: of pairs of 1 and 5, half lie uniformly between them."""
    torch.manual_seed(0)
    y = torch.tensor([1.0, 5.0]).repeat(50).unsqueeze(1)
    penalty = gradient_penalty(lambda a, b: 0 * a + b.square(), torch.randn(100, 1), y)
    place = ((penalty / 10).sqrt() + 1) / 2
    assert place.min() >= 1 and place.max() <= 5.0001
    assert ((place > 1.1) & (place < 4.9)).float().mean().item() == pytest.approx(0.5 * 3.8 / 4, abs=0.15)


@pytest.mark.parametrize("d", [1, 4, 9])
def test_grids_of_digits_hold_d_ln_10(d: int) -> None:
    """The labels' own log-ratio gives NWJ d ln 10, less what rows that match by chance differ from one in 10^d."""
    digits, random = Digits(held_out=False), torch.Generator().manual_seed(0)
    x, y, labels = digits.pairs(1009, d, random)
    assert x.shape == y.shape == (1009, 64 * d) and labels.unique().tolist() == list(range(10))
    match = (labels[:, None] == labels[None]).all(-1)  # (K, K): y_j may follow x_i
    best = torch.where(match, 1 + information(d), -torch.inf)
    expected = information(d) + 1 - (10**d * (match.float().mean(1) - 1 / 1009) * 1009 / 1008).mean().item()
    assert nwj(best).mean().item() == pytest.approx(expected, abs=1e-3)
    if d == 1:
        assert nwj(best).mean().item() == pytest.approx(information(1), abs=0.05)
    assert infonce(best).mean().item() <= math.log(1009) + 1e-5


def test_grids_show_the_digits_that_they_name_in_hands_of_their_split() -> None:
    shown, others = Digits(held_out=False), Digits(held_out=True)
    assert shown.counts.tolist() == [120] * 10 and others.counts.sum() == 1797 - 1200
    x, y, labels = others.pairs(211, 4, torch.Generator().manual_seed(1))
    tiles = x.view(211, 2, 8, 2, 8).transpose(2, 3).flatten(3).flatten(1, 2)  # (211, 4, 64)
    following = y.view(211, 2, 8, 2, 8).transpose(2, 3).flatten(3).flatten(1, 2)
    for pictures, digit in ((tiles, labels), (following, (labels + 1) % 10)):
        hands = others.images[digit.flatten()]  # (844, most, 64)
        assert (pictures.flatten(0, 1)[:, None] == hands).all(-1).any(1).all()
    assert not (tiles.flatten(0, 1)[:, None, None] == shown.images).all(-1).any()


def test_critic_is_bounded_and_pairs_rows_with_columns() -> None:
    critic = BilinearCritic(3, 5, 7, cap=10.0)
    latent, embed = 1e4 * torch.randn(11, 3), torch.randn(11, 5)
    scores = critic(latent, embed)
    assert scores.shape == (11, 11) and scores.abs().max() <= 10
    torch.testing.assert_close(critic(latent[2:3], embed[4:5])[0, 0], scores[2, 4])


def test_distances_pair_rows_with_columns() -> None:
    critic = DistanceCritic(3, 5, 7).eval()
    latent, embed = torch.randn(11, 3), torch.randn(13, 5)
    expected = -torch.cdist(critic.query(latent), critic.key(embed)) / math.sqrt(2)
    torch.testing.assert_close(critic(latent, embed), expected, atol=1e-3, rtol=1e-3)
    assert F.relu(expected).sum() == 0
