"""Statistics of few runs on several tasks, as Agarwal et al. 2021 (arXiv 2108.13264) define them in rliable.

Scores come in strata, one for each task: (runs, ...), where each stratum may have another number of runs. Aggregates
count every run alike, so with equal numbers the tasks weigh the same.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Statistic = Callable[[Tensor], Tensor]  # (samples, runs, ...) -> (samples, ...)


def mean(scores: Tensor) -> Tensor:
    """Return means over runs: (samples, runs, ...) -> (samples, ...)."""
    return scores.mean(1)


def interquartile_mean(scores: Tensor) -> Tensor:
    """Return means of the middle half of the runs: (samples, runs, ...) -> (samples, ...).

    A quarter of the runs, rounded down, is left out at either end: SciPy's `trim_mean(..., 0.25)`.
    """
    runs = scores.shape[1]
    return scores.sort(1).values[:, runs // 4 : runs - runs // 4].mean(1)


def profile(scores: Tensor, thresholds: Tensor) -> Tensor:
    """Return the share of scores (..., conditions) above each threshold (Q,): (..., Q), of one run or of many."""
    return (scores.unsqueeze(-1) > thresholds).double().mean(-2)


def improvement(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """Return the probability that a run of ours beats one of theirs on the same task, mean over tasks: (samples,).

    Strata (samples, runs), task by task. Equal scores count half: Mann and Whitney's U over the number of pairs.
    """
    chances = []
    for one, other in zip(ours, theirs, strict=True):
        difference = one.unsqueeze(2) - other.unsqueeze(1)  # (samples, runs, other runs)
        chances.append(((difference > 0).double() + 0.5 * (difference == 0)).mean((1, 2)))
    return torch.stack(chances).mean(0)


def resample(strata: Sequence[Tensor], seed: int, samples: int) -> list[Tensor]:
    """Draw runs with replacement within each stratum (runs, ...): a (samples, runs, ...) for each.

    What a run scored under several conditions, (runs, conditions), stays together.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for scores in strata:
        chosen = torch.randint(len(scores), (samples, len(scores)), generator=generator)
        drawn.append(scores.double().cpu()[chosen])
    return drawn


def band(values: Tensor, level: float = 0.95) -> Tensor:
    """Return the percentile interval of bootstrapped values (samples, ...): low and high, (2, ...)."""
    return values.quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=values.dtype), dim=0)


def bootstrap_interval(
    *strata: Tensor, statistic: Statistic = mean, seed: int = 0, level: float = 0.95, samples: int = 10_000
) -> tuple[float, float]:
    """Return the stratified bootstrap's percentile interval of a statistic of strata, each (runs,).

    Of one stratum it is Efron's, 1979. With one run in each it has no width: nothing varies that it could draw.
    """
    low, high = band(statistic(torch.cat(resample(strata, seed, samples), 1)), level).tolist()
    return low, high
