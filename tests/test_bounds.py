"""Bounds on mutual information against closed forms."""

import math

import pytest
import torch

from world_models.bounds import BOUNDS, BilinearCritic, infonce, nwj


def test_infonce_by_hand() -> None:
    """Scores ln [[2, 1], [1, 3]]: ln 2 + ln 2/3 and ln 2 + ln 3/4."""
    scores = torch.tensor([[2.0, 1.0], [1.0, 3.0]]).log()
    torch.testing.assert_close(infonce(scores), torch.tensor([4 / 3, 3 / 2]).log())


def test_nwj_by_hand() -> None:
    """f on the diagonal less e^{f off the diagonal} / e."""
    scores = torch.tensor([[1.0, math.log(2)], [math.log(3), 0.5]])
    torch.testing.assert_close(nwj(scores), torch.tensor([1 - 2 / math.e, 0.5 - 3 / math.e]))


def test_infonce_never_exceeds_log_k() -> None:
    assert infonce(100 * torch.eye(7)).mean().item() == pytest.approx(math.log(7))


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_bounds_on_gaussians(name: str, rho: float) -> None:
    """With the best critic both bounds reach I = -d/2 ln(1 - rho^2) of correlated Gaussians from below."""
    torch.manual_seed(0)
    dims, count = 2, 1024
    x = torch.randn(count, dims, dtype=torch.float64)
    y = rho * x + math.sqrt(1 - rho**2) * torch.randn_like(x)
    truth = -dims / 2 * math.log(1 - rho**2)
    residual = ((y[None] - rho * x[:, None]) / math.sqrt(1 - rho**2)).square().sum(-1)
    log_ratio = -0.5 * residual - dims / 2 * math.log(1 - rho**2) + 0.5 * y.square().sum(-1)
    best = log_ratio if name == "infonce" else 1 + log_ratio
    assert BOUNDS[name](best).mean().item() == pytest.approx(truth, abs=0.12)
    worse = BOUNDS[name](0.5 * best).mean().item()
    assert worse <= truth + 0.02


def test_critic_is_bounded_and_pairs_rows_with_columns() -> None:
    critic = BilinearCritic(3, 5, 7, cap=10.0)
    latent, embed = 1e4 * torch.randn(11, 3), torch.randn(11, 5)
    scores = critic(latent, embed)
    assert scores.shape == (11, 11) and scores.abs().max() <= 10
    torch.testing.assert_close(critic(latent[2:3], embed[4:5])[0, 0], scores[2, 4])
