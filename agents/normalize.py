"""Running statistics that live on the device and in state_dicts."""

import torch
from torch import Tensor, nn

FAR = 10.0  # deviations beyond which all is alike, our choice: what was constant so long has hardly any


class RunningMoments(nn.Module):
    """Exponential averages of mean and variance; the first batch sets them."""

    weight: Tensor  # of all that was seen; bias correction as in Adam
    first: Tensor
    second: Tensor

    def __init__(self, rate: float = 0.01) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("weight", torch.zeros(()))
        self.register_buffer("first", torch.zeros(()))
        self.register_buffer("second", torch.zeros(()))

    @torch.no_grad()
    def update(self, values: Tensor, mask: Tensor) -> None:
        """Take in `values` where `mask` (same shape, 0.0 or 1.0) is set."""
        count = mask.sum().clamp(min=1)
        self.weight.lerp_(torch.ones_like(self.weight), self.rate)
        self.first.lerp_((values * mask).sum() / count, self.rate)
        self.second.lerp_((values.square() * mask).sum() / count, self.rate)

    def standardize(self, values: Tensor) -> Tensor:
        """Return values in deviations from the mean, `FAR` at most."""
        mean, std = self.moments()
        return ((values - mean) / std).clamp(-FAR, FAR)

    def restore(self, values: Tensor) -> Tensor:
        """Undo `standardize`, of what was not too far."""
        mean, std = self.moments()
        return values * std + mean

    def around_zero(self, values: Tensor) -> Tensor:
        """Undo what `standardize` subtracted: values in root mean squares, in which nothing is 0."""
        mean, std = self.moments()
        return self.restore(values) / (mean.square() + std.square()).sqrt()

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation, each 0-dim."""
        weight = self.weight.clamp(min=self.rate)  # as after one batch, if there was none yet
        mean = self.first / weight
        return mean, (self.second / weight - mean.square()).clamp(min=1e-6).sqrt()


class RunningRange(nn.Module):
    """Exponential average of the 5 % to 95 % range, at least `least` (DreamerV3, arXiv 2301.04104, actor loss)."""

    range: Tensor
    levels: Tensor

    def __init__(self, rate: float = 0.01, least: float = 1.0) -> None:
        super().__init__()
        self.rate, self.least = rate, least
        self.register_buffer("range", torch.ones(()))
        self.register_buffer("levels", torch.tensor([0.05, 0.95]))

    @torch.no_grad()
    def update(self, values: Tensor) -> None:
        low, high = torch.quantile(values.flatten(), self.levels)
        self.range.lerp_(high - low, self.rate)

    def __call__(self) -> Tensor:
        return self.range.clamp(min=self.least)


class RunningNormalizer(nn.Module):
    """Mean and variance of each of F features, of all rows so far or, beyond `most` rows, of about the last `most`."""

    count: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, size: int, most: float = 1e8, least: float = 1e-4) -> None:
        """least: the smallest deviation to divide by, in the features' units."""
        super().__init__()
        self.most, self.least = most, least
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Take in rows (K, F) (Chan et al. 1979: pairwise moments)."""
        variance, mean = torch.var_mean(rows, 0, correction=0)  # (F,)
        before, total = self.count, self.count + len(rows)
        share, shift = len(rows) / total, mean - self.mean
        inside = torch.where(before > 0, self.variance, 0.0) * (1 - share) + variance * share
        self.variance.copy_(inside + shift.square() * share * (1 - share))
        self.mean.add_(shift * share)
        self.count.copy_(total.clamp(max=self.most))

    def forward(self, rows: Tensor) -> Tensor:
        """Standardise rows (..., F)."""
        return (rows - self.mean) / self.std

    def restore(self, rows: Tensor) -> Tensor:
        """Undo `forward`."""
        return rows * self.std + self.mean

    @property
    def std(self) -> Tensor:
        return self.variance.sqrt().clamp(min=self.least)
