"""PPO with several rewards, by hand: two rewards, three steps."""

import math

import pytest
import torch

from agents import ppo
from agents.normalize import RunningNormalizer

# of two rewards; discount and lambda are 1/2, so that a later advantage counts a quarter
REWARD = [[1.0, 0], [2, 0], [3, 8]]
VALUE = [[4.0, 0], [2, 4], [8, 0]]
AFTER = [[2.0, 4], [8, 0], [6, 4]]


def column(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor(rows).unsqueeze(1)  # (T, 1, R)


@pytest.mark.parametrize(
    ("terminal", "cut", "expected"),
    [
        # delta: 1 + 1 - 4 = -2, 2 + 4 - 2 = 4, 3 + 3 - 8 = -2, and 0 + 2 - 0 = 2, 0 + 0 - 4 = -4, 8 + 2 - 0 = 10
        ([0, 0, 0], [0, 0, 0], [[-1.125, 1.625], [3.5, -1.5], [-2, 10]]),
        # nothing lies beyond the second step: 2 - 2 = 0, and 0 - 4 = -4
        ([0, 1, 0], [0, 1, 0], [[-2.0, 1], [0, -4], [-2, 10]]),
        # time was up after the second step: its value counts, what follows does not
        ([0, 0, 0], [0, 1, 0], [[-1.0, 1], [4, -4], [-2, 10]]),
    ],
)
def test_advantages_of_each_reward_by_hand(terminal: list[int], cut: list[int], expected: list[list[float]]) -> None:
    is_terminal, is_cut = (torch.tensor(flag, dtype=torch.bool).unsqueeze(1) for flag in (terminal, cut))
    found = ppo.advantages(column(REWARD), column(VALUE), column(AFTER), is_terminal, is_cut, 0.5, 0.5)
    torch.testing.assert_close(found, column(expected))


def test_each_critics_advantages_are_normalised_alone() -> None:
    """1 3 5 has mean 3 and deviation sqrt(8/3), 0 0 3 has 1 and sqrt 2; a reward a thousand times as large is equal."""
    advantage = torch.tensor([[1.0, 0, 0], [3, 0, 0], [5, 3, 3000]])
    half, root = math.sqrt(1.5), math.sqrt(0.5)
    expected = torch.tensor([[-half, -root, -root], [0, -root, -root], [half, 2 * root, 2 * root]])
    torch.testing.assert_close(ppo.normalized(advantage), expected)
    assert ppo.normalized(torch.ones(3, 1)).tolist() == [[0], [0], [0]]


def test_surrogate_on_three_steps_by_hand() -> None:
    """Ratios 1.5, 0.5, 1.1 with advantages 2, -1, -3: clipped to 1.2, clipped to 0.8, inside."""
    log_ratio = torch.tensor([1.5, 0.5, 1.1]).log().requires_grad_()
    loss = ppo.surrogate_loss(log_ratio, torch.tensor([2.0, -1, -3]), clip=0.2)
    torch.testing.assert_close(loss, torch.tensor([-2.4, 0.8, 3.3]))
    loss.sum().backward()
    torch.testing.assert_close(log_ratio.grad, torch.tensor([0, 0, 3.3]))


@pytest.mark.parametrize(
    ("rate", "kl", "expected"),
    [
        (3e-3, 0.021, 2e-3),
        (3e-3, 0.0199, 3e-3),
        (3e-3, 0.0051, 3e-3),
        (2e-3, 0.0049, 3e-3),
        (9e-3, 0.0, 1e-2),
        (1e-5, 1.0, 1e-5),
    ],
)
def test_the_learning_rate_follows_the_divergence(rate: float, kl: float, expected: float) -> None:
    assert ppo.adapted(torch.tensor(rate), torch.tensor(kl), 0.01).item() == pytest.approx(expected)


def test_densities_are_torchs() -> None:
    torch.manual_seed(0)
    mean, log_std, other = torch.randn(20_000, 3), torch.tensor([0.3, -1, 0]), torch.tensor([0.4, -1.1, 0.1])
    normal = torch.distributions.Normal(mean, log_std.exp())
    raw = normal.sample()
    torch.testing.assert_close(ppo.log_density(raw, mean, log_std), normal.log_prob(raw).sum(1))
    torch.testing.assert_close(ppo.entropy(log_std), normal.entropy()[0].sum())
    log_ratio = ppo.log_density(raw, mean + 0.05, other) - ppo.log_density(raw, mean, log_std)
    exact = torch.distributions.kl_divergence(normal, torch.distributions.Normal(mean + 0.05, other.exp())).sum(1)
    assert ppo.divergence(log_ratio).item() == pytest.approx(exact.mean().item(), rel=0.05)


def test_running_moments_are_those_of_all_rows() -> None:
    torch.manual_seed(0)
    rows, normalizer = torch.randn(47, 3).double() * torch.tensor([1.0, 20, 0.3]) + 7, RunningNormalizer(3).double()
    for part in rows.split([5, 1, 41]):
        normalizer.update(part)
    torch.testing.assert_close(normalizer.mean, rows.mean(0))
    torch.testing.assert_close(normalizer.variance, rows.var(0, correction=0))
    torch.testing.assert_close(normalizer.restore(normalizer(rows)), rows)
    assert normalizer(rows).std(0, correction=0).tolist() == pytest.approx([1, 1, 1])


def test_what_never_varies_is_divided_by_the_least_deviation() -> None:
    normalizer = RunningNormalizer(1, least=0.25)
    normalizer.update(torch.full((7, 1), 3.0))
    assert normalizer(torch.tensor([[3.0], [4.0]])).tolist() == [[0], [4]]
    assert normalizer.restore(torch.tensor([[4.0]])).tolist() == [[4]]


def test_running_moments_forget() -> None:
    normalizer = RunningNormalizer(1, most=10)
    for value in (0.0, 4.0):
        normalizer.update(torch.full((10, 1), value))
    assert (normalizer.mean.item(), normalizer.variance.item()) == (2, 4)
    for _ in range(20):
        normalizer.update(torch.full((10, 1), 4.0))
    assert normalizer.mean.item() == pytest.approx(4, abs=1e-4)
