"""Quantities of a task that reward functions of agents read, beside what the policy observes.

A signal is what the last control step led to, not what an episode was: measures are for that.
"""

from collections.abc import Callable
from typing import NamedTuple

import mujoco
from torch import Tensor

from envs.measures import Context


class Signal(NamedTuple):
    """A quantity of every timestep: `read` takes a context's (N, ...) fields, named in `fields`, to (N, ...)."""

    read: Callable[[Context], Tensor]
    fields: tuple[str, ...]


def body_position(model: mujoco.MjModel, body: str, *axes: int) -> Signal:
    """Where a body's frame is, along world axes, in metres: (N, len(axes))."""
    number, stride = model.body(body).id, axes[1] - axes[0] if len(axes) > 1 else 1
    chosen = slice(axes[0], axes[-1] + 1, stride)
    assert axes == (0, 1, 2)[chosen], axes
    return Signal(lambda c: c["xpos"][:, number, chosen], ("xpos",))


def effort() -> Signal:
    """Mean square of the controls: (N,)."""
    return Signal(lambda c: c["ctrl"].square().mean(1), ("ctrl",))
