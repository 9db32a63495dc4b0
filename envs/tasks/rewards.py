"""dm_control's soft indicator function, on tensors."""

import math

import torch
from torch import Tensor


def tolerance(
    x: Tensor,
    bounds: tuple[float, float] = (0.0, 0.0),
    margin: float = 0.0,
    sigmoid: str = "gaussian",
    value_at_margin: float = 0.1,
) -> Tensor:
    """Return 1 where `x` lies in the inclusive bounds, falling to `value_at_margin` at distance `margin` outside.

    Any shape; margin 0 falls to 0 at once. Equals dm_control.utils.rewards.tolerance.
    """
    lower, upper = bounds
    if margin == 0:
        return ((lower <= x) & (x <= upper)).to(x.dtype)
    if lower == upper:
        distance = (x - lower).abs()
    elif upper == math.inf:
        distance = (lower - x).clamp(min=0)
    else:
        distance = torch.maximum(lower - x, x - upper).clamp(min=0)
    return SIGMOIDS[sigmoid](distance / margin, value_at_margin)  # 1 at distance 0, all of them


# Each falls from 1 at distance x = 0, and x is never negative.


def gaussian(x: Tensor, value: float) -> Tensor:
    return torch.exp(-0.5 * (x * math.sqrt(-2 * math.log(value))).square())


def linear(x: Tensor, value: float) -> Tensor:
    return (1 - x * (1 - value)).clamp(min=0)


def quadratic(x: Tensor, value: float) -> Tensor:
    return (1 - (x * math.sqrt(1 - value)).square()).clamp(min=0)


def hyperbolic(x: Tensor, value: float) -> Tensor:
    return 1 / torch.cosh(x * math.acosh(1 / value))


def long_tail(x: Tensor, value: float) -> Tensor:
    return 1 / ((x * math.sqrt(1 / value - 1)).square() + 1)


def reciprocal(x: Tensor, value: float) -> Tensor:
    return 1 / (x.abs() * (1 / value - 1) + 1)


def cosine(x: Tensor, value: float) -> Tensor:
    scaled = x * (math.acos(2 * value - 1) / math.pi)
    return torch.where(scaled.abs() < 1, (1 + torch.cos(math.pi * scaled)) / 2, 0.0)


def tanh_squared(x: Tensor, value: float) -> Tensor:
    return 1 - torch.tanh(x * math.atanh(math.sqrt(1 - value))).square()


SIGMOIDS = {
    "gaussian": gaussian,
    "linear": linear,
    "quadratic": quadratic,
    "hyperbolic": hyperbolic,
    "long_tail": long_tail,
    "reciprocal": reciprocal,
    "cosine": cosine,
    "tanh_squared": tanh_squared,
}
