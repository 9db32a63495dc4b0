"""Lambda-returns and running statistics by hand."""

import pytest
import torch

from agents.normalize import RunningMoments, RunningRange
from agents.returns import lambda_return


def test_lambda_return_by_hand() -> None:
    """H = 2, discount .5, lambda .5: G1 = 2 + .5 * 8 = 6; G0 = 1 + .5 (.5 * 4 + .5 * 6) = 3.5."""
    reward, value = torch.tensor([[1.0], [2.0]]), torch.tensor([[4.0], [8.0]])
    assert lambda_return(reward, value, 0.5, 0.5).flatten().tolist() == [3.5, 6.0]


@pytest.mark.parametrize("lambda_, expected", [(0.0, [1 + 0.9 * 4, 2 + 0.9 * 8]), (1.0, [1 + 0.9 * 2 + 0.81 * 8, 9.2])])
def test_lambda_return_limits(lambda_: float, expected: list[float]) -> None:
    """lambda 0 is the one-step target, lambda 1 the discounted sum with the last value."""
    reward, value = torch.tensor([[1.0], [2.0]]), torch.tensor([[4.0], [8.0]])
    assert lambda_return(reward, value, 0.9, lambda_).flatten().tolist() == pytest.approx(expected)


def test_lambda_return_is_its_recursion() -> None:
    reward, value = torch.randn(2, 11, 5, dtype=torch.float64)
    last, expected = value[-1], []
    for k in reversed(range(11)):
        last = reward[k] + 0.97 * ((1 - 0.8) * value[k] + 0.8 * last)
        expected.append(last)
    torch.testing.assert_close(lambda_return(reward, value, 0.97, 0.8), torch.stack(expected[::-1]))


def test_moments_standardise_the_masked_values() -> None:
    moments = RunningMoments(rate=0.5)
    moments.update(torch.tensor([1.0, 3.0, 99.0]), torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(moments.standardize(torch.tensor([1.0, 2.0, 3.0])), torch.tensor([-1.0, 0.0, 1.0]))
    moments.update(torch.tensor([5.0, 5.0, 0.0]), torch.tensor([1.0, 1.0, 0.0]))
    # weights .25 and .5 over .75: mean (2 + 2 * 5) / 3 = 4, mean square (5 + 2 * 25) / 3
    expected = (torch.tensor([4.0, 5.0]) - 4) / (55 / 3 - 16) ** 0.5
    torch.testing.assert_close(moments.standardize(torch.tensor([4.0, 5.0])), expected)


@pytest.mark.parametrize("constant", [0.0, 3.0, 1e3])
def test_moments_of_what_never_varies_are_finite(constant: float) -> None:
    """Its deviation is taken to be a thousandth, or what rounding leaves of the mean square where that is more."""
    moments = RunningMoments(rate=0.25)
    for _ in range(7):
        moments.update(torch.full((5,), constant), torch.ones(5))
    assert moments.moments()[1] >= 1e-3
    assert moments.standardize(torch.tensor(constant)).abs() < 1
    assert moments.standardize(torch.tensor([constant + 5, constant - 5])).tolist() == [10, -10]  # not 5,000


def test_range_follows_the_percentiles() -> None:
    scale = RunningRange(rate=1.0, least=1.0)
    scale.update(torch.linspace(0, 100, 101))
    assert scale().item() == pytest.approx(90)
    scale.update(torch.zeros(3))
    assert scale().item() == 1.0
    scale = RunningRange(rate=0.25, least=1.0)  # begins at 1
    for expected in (0.75 * 1 + 0.25 * 90, 0.75 * 23.25 + 0.25 * 90):
        scale.update(torch.linspace(0, 100, 101))
        assert scale().item() == pytest.approx(expected)
