"""Aggregates and their intervals against SciPy's, and against numbers worked by hand."""

import numpy as np
import pytest
import torch
from scipy.stats import bootstrap, mannwhitneyu, trim_mean
from torch import Tensor

from agents.runs.statistics import band, bootstrap_interval, improvement, interquartile_mean, mean, profile, resample


def scores(runs: int, seed: int) -> Tensor:
    return torch.randn(runs, generator=torch.Generator().manual_seed(seed)).double() * 40 + 100 * seed


@pytest.mark.parametrize("runs", [1, 2, 3, 4, 5, 7, 8, 11, 13])
def test_the_interquartile_mean_is_scipys(runs: int) -> None:
    values = torch.stack([scores(runs, seed) for seed in (1, 2, 3)])  # (3, runs)
    expected = trim_mean(values.numpy(), 0.25, axis=1)
    np.testing.assert_allclose(interquartile_mean(values), expected, rtol=1e-12)


def test_the_interquartile_mean_by_hand() -> None:
    values = torch.tensor([[9.0, 1, 5, 100, 2, 3, 7, -50]])  # sorted: -50 1 | 2 3 5 7 | 9 100
    assert interquartile_mean(values).item() == (2 + 3 + 5 + 7) / 4


def test_bootstrap_intervals_are_scipys() -> None:
    returns = scores(23, 3)
    expected = bootstrap((returns.numpy(),), np.mean, method="percentile", n_resamples=50_000, rng=1)
    low, high = bootstrap_interval(returns)
    assert abs(low - expected.confidence_interval.low) < 0.5 and abs(high - expected.confidence_interval.high) < 0.5
    assert bootstrap_interval(torch.full((4,), 7.0)) == (7.0, 7.0)


@pytest.mark.parametrize("name", ["mean", "iqm"])
def test_stratified_intervals_are_scipys(name: str) -> None:
    """SciPy draws each of several samples with replacement, which are the strata."""
    strata = [scores(7, 1), scores(5, 2), scores(11, 9)]
    ours = {"mean": mean, "iqm": interquartile_mean}[name]
    theirs = {"mean": np.mean, "iqm": lambda x, axis: trim_mean(x, 0.25, axis=axis)}[name]

    def together(*samples: np.ndarray, axis: int) -> np.ndarray:
        return theirs(np.concatenate(samples, axis), axis=axis)

    arrays = tuple(stratum.numpy() for stratum in strata)
    expected = bootstrap(arrays, together, method="percentile", vectorized=True, n_resamples=50_000, rng=1)
    low, high = bootstrap_interval(*strata, statistic=ours)
    interval = expected.confidence_interval
    assert abs(low - interval.low) < 0.02 * (interval.high - interval.low)
    assert abs(high - interval.high) < 0.02 * (interval.high - interval.low)
    pooled = bootstrap_interval(torch.cat(strata), statistic=ours)
    assert pooled[1] - pooled[0] > 3 * (high - low)  # which stratum a run is from does not vary


def test_draws_stay_in_their_stratum_and_keep_a_runs_conditions_together() -> None:
    one, two = torch.tensor([[1.0, 10], [2, 20], [3, 30]]), torch.tensor([[7.0, 70], [8, 80]])
    first, second = resample([one, two], seed=0, samples=500)
    assert first.shape == (500, 3, 2) and second.shape == (500, 2, 2)
    assert set(first[..., 0].flatten().tolist()) == {1, 2, 3} and set(second[..., 0].flatten().tolist()) == {7, 8}
    assert torch.equal(first[..., 1], 10 * first[..., 0]) and torch.equal(second[..., 1], 10 * second[..., 0])


def test_bands_are_percentiles() -> None:
    values = torch.arange(101.0).unsqueeze(1) * torch.tensor([1.0, 2.0])  # (101, 2)
    torch.testing.assert_close(band(values, 0.9), torch.tensor([[5.0, 10.0], [95.0, 190.0]]))


def test_profiles_count_what_lies_above_by_hand() -> None:
    values = torch.tensor([[0.1, 0.5, 0.9], [0.5, 0.5, 0.5]])  # (runs, conditions)
    found = profile(values, torch.tensor([0.0, 0.3, 0.5, 0.9]))
    expected = torch.tensor([[3, 2, 1, 0], [3, 3, 0, 0]]) / 3
    torch.testing.assert_close(found, expected.double())


def test_the_probability_of_improvement_is_mann_and_whitneys() -> None:
    tasks = [(scores(5, 1).round(), scores(7, 1).round()), (scores(3, 2), scores(5, 2) + 9)]
    found = improvement([one[None] for one, _ in tasks], [other[None] for _, other in tasks])
    expected = [mannwhitneyu(one, other).statistic / (len(one) * len(other)) for one, other in tasks]
    assert found.tolist() == pytest.approx([sum(expected) / 2])
    equal = torch.ones(1, 3)
    assert improvement([equal], [equal]).item() == 0.5


def test_the_figures_are_rliables() -> None:
    """What rliable 1.2.0 says of these (runs, tasks), with 50,000 draws of intervals and 5,000 of bands."""
    ours = torch.tensor([[91, 13, 42], [75, 21, 57], [88, 2, 31], [62, 35, 66], [97, 18, 49]]).double() / 100
    theirs = torch.tensor([[81, 23, 44], [95, 11, 37], [58, 9, 36]]).double() / 100
    tasks, others = ours.unbind(1), theirs.unbind(1)
    assert ours.mean().item() == pytest.approx(0.498)
    assert interquartile_mean(ours.reshape(1, -1)).item() == pytest.approx(0.48666667)
    assert bootstrap_interval(*tasks) == pytest.approx((0.43733333, 0.55666667), abs=0.003)
    interval = bootstrap_interval(*tasks, statistic=interquartile_mean)
    assert interval == pytest.approx((0.41777778, 0.56555556), abs=0.003)
    assert improvement([task[None] for task in tasks], [task[None] for task in others]).item() == pytest.approx(29 / 45)
    drawn = improvement(resample(tasks, 0, 5000), resample(others, 1, 5000))
    assert band(drawn).tolist() == pytest.approx([0.37777778, 0.86666667], abs=0.03)
    thresholds = torch.tensor([0.1, 0.3, 0.5, 0.8]).double()
    assert profile(ours.flatten(), thresholds).tolist() == pytest.approx([14 / 15, 11 / 15, 7 / 15, 3 / 15])
    curves = torch.cat(resample([profile(task.unsqueeze(1), thresholds) for task in tasks], 0, 5000), 1).mean(1)
    low, high = band(curves).tolist()
    assert low == pytest.approx([0.8, 2 / 3, 1 / 3, 1 / 15]) and high == pytest.approx([1, 13 / 15, 0.6, 1 / 3])
