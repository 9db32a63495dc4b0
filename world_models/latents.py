"""Stochastic states z: what distribution a network's outputs name, Gaussian or categorical.

A latent knows its flat size S and how many outputs it reads; its distributions sample with gradients, and z is always
flat (..., S), so that nothing else asks which one it is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional as F

MIN_STD = 0.1
UNIMIX = 0.01  # share of the uniform distribution in every categorical: DreamerV3 (arXiv 2301.04104)


class Distribution(Protocol):
    """A distribution over flat states (..., S)."""

    def sample(self) -> Tensor:
        """Draw (..., S); gradients reach the parameters."""
        ...

    def mode(self) -> Tensor:
        """Return the state (..., S) to act from greedily."""
        ...

    def detach(self) -> Self: ...

    def kl(self, other: Self) -> Tensor:
        """Return KL(self || other) in nats, summed over the state: (...)."""
        ...

    def spread(self) -> dict[str, Tensor]:
        """Return how wide it is, under the name of the measure: 0-dim."""
        ...


class Gaussian(NamedTuple):
    """Diagonal normal distribution over (..., S)."""

    mean: Tensor
    std: Tensor

    def sample(self) -> Tensor:
        return self.mean + self.std * torch.randn_like(self.std)

    def mode(self) -> Tensor:
        return self.mean

    def detach(self) -> "Gaussian":
        return Gaussian(self.mean.detach(), self.std.detach())

    def kl(self, other: "Gaussian") -> Tensor:
        ratio = (self.std / other.std).square()
        return 0.5 * (ratio + ((self.mean - other.mean) / other.std).square() - 1 - ratio.log()).sum(-1)

    def spread(self) -> dict[str, Tensor]:
        return {"std": self.std.mean()}


class Categorical(NamedTuple):
    """`G` categorical variables of `K` classes each, as flat one-hot vectors (..., G * K)."""

    probs: Tensor  # (..., G, K)

    @property
    def log_probs(self) -> Tensor:
        return self.probs.log()

    def sample(self) -> Tensor:
        """Draw with straight-through gradients (DreamerV2, arXiv 2010.02193, algorithm 1).

        One uniform number a variable, looked up in the distribution function: six times faster than a race of K.
        """
        probs = self.probs
        below = probs.detach().cumsum(-1)[..., :-1]  # (..., G, K-1): what is above them all is the last class
        winner = (torch.rand_like(below[..., :1]) >= below).sum(-1, keepdim=True)  # (..., G, 1)
        one_hot = torch.zeros_like(probs).scatter_(-1, winner, 1.0)  # (..., G, K)
        return (one_hot + (probs - probs.detach())).flatten(-2)  # (..., S)

    def mode(self) -> Tensor:
        return F.one_hot(self.probs.argmax(-1), self.probs.shape[-1]).to(self.probs.dtype).flatten(-2)

    def detach(self) -> "Categorical":
        return Categorical(self.probs.detach())

    def kl(self, other: "Categorical") -> Tensor:
        return (self.probs * (self.probs / other.probs).log()).sum((-2, -1))

    def spread(self) -> dict[str, Tensor]:
        return {"entropy": -(self.probs * self.log_probs).sum(-1).mean()}  # nats a variable


class GaussianLatent:
    """Normal variables, as in Dreamer; the standard deviation lies in (0.1, 2.1), our choice."""

    def __init__(self, stoch: int, classes: int = 0) -> None:
        self.size, self.outputs = stoch, 2 * stoch

    def __call__(self, outputs: Tensor) -> Gaussian:
        mean, std = outputs.chunk(2, -1)
        return Gaussian(mean, 2 * torch.sigmoid(std / 2) + MIN_STD)

    def stack(self, parts: list[Gaussian]) -> Gaussian:
        return Gaussian(torch.stack([p.mean for p in parts], 1), torch.stack([p.std for p in parts], 1))


class CategoricalLatent:
    """One-hot variables, as in DreamerV2, mixed with 1 % of the uniform distribution."""

    def __init__(self, stoch: int, classes: int) -> None:
        self.classes = classes
        self.size = self.outputs = stoch * classes

    def __call__(self, outputs: Tensor) -> Categorical:
        probs = F.softmax(outputs.unflatten(-1, (-1, self.classes)), -1)  # (..., G, K)
        return Categorical((1 - UNIMIX) * probs + UNIMIX / self.classes)

    def stack(self, parts: list[Categorical]) -> Categorical:
        return Categorical(torch.stack([p.probs for p in parts], 1))


class Latent(Protocol):
    """Reads network outputs (..., outputs) as a distribution over (..., size)."""

    size: int
    outputs: int

    def __call__(self, outputs: Tensor) -> Any: ...

    def stack(self, parts: list[Any]) -> Any:
        """Join the distributions (B, ...) of T time steps: (B, T, ...)."""
        ...


LATENTS: dict[str, Callable[[int, int], Latent]] = {"gaussian": GaussianLatent, "categorical": CategoricalLatent}
