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
        distance = x if lower == 0 else x - lower
    elif upper == math.inf:
        distance = x.clamp(min=lower) - x
    else:
        distance = x - x.clamp(lower, upper)
    return SIGMOIDS[sigmoid](distance, margin, value_at_margin)


# Each is even, 1 at distance 0 and `value` at distance `margin`. Numbers go into one: small tensors pay by operation.


def gaussian(distance: Tensor, margin: float, value: float) -> Tensor:
    return torch.exp(distance.square() * (math.log(value) / margin**2))


def linear(distance: Tensor, margin: float, value: float) -> Tensor:
    return torch.rsub(distance.abs(), 1, alpha=(1 - value) / margin).clamp(min=0)


def quadratic(distance: Tensor, margin: float, value: float) -> Tensor:
    return torch.rsub(distance.square(), 1, alpha=(1 - value) / margin**2).clamp(min=0)


def hyperbolic(distance: Tensor, margin: float, value: float) -> Tensor:
    return 1 / torch.cosh(distance * (math.acosh(1 / value) / margin))


def long_tail(distance: Tensor, margin: float, value: float) -> Tensor:
    return 1 / (distance.square() * ((1 / value - 1) / margin**2) + 1)


def reciprocal(distance: Tensor, margin: float, value: float) -> Tensor:
    return 1 / (distance.abs() * ((1 / value - 1) / margin) + 1)


def cosine(distance: Tensor, margin: float, value: float) -> Tensor:
    angle = distance.abs() * (math.acos(2 * value - 1) / margin)
    return torch.where(angle < math.pi, (1 + torch.cos(angle)) / 2, 0.0)


def tanh_squared(distance: Tensor, margin: float, value: float) -> Tensor:
    return 1 - torch.tanh(distance * (math.atanh(math.sqrt(1 - value)) / margin)).square()


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
