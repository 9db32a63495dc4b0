"""A policy for the table-top that reaches for the object, grasps it, lifts it and holds it, from what is observed."""

import torch
from torch import Tensor

OVER, CLOSE, LIFT = 17, 30, 38  # control steps at which it goes down, closes, and lifts
HOVER, HIGH = 0.08, 0.25  # metres above the object; above the table
QUARTER = torch.pi / 2


def act(state: Tensor, step: int) -> Tensor:
    """Return actions (N, 7) for observations (N, 42) of a control step, 0 the first."""
    thing, tool = state[:, 22:25], state[:, 29:32]
    goal = thing.clone()
    goal[:, 2] += HOVER if step < OVER else 0.0
    if step >= LIFT:
        goal = torch.cat([tool[:, :2], torch.full_like(tool[:, 2:], HIGH)], 1)
    action = torch.zeros(len(state), 7)
    action[:, :3] = 25 * (goal - tool)  # half of the way, 2 cm for an action of 1
    turn = yaw(state[:, 25:29]) - yaw(state[:, 32:36])
    turn = torch.remainder(turn + QUARTER / 2, QUARTER) - QUARTER / 2  # to the nearest pair of a box's faces
    action[:, 5] = 5 * turn * (step < CLOSE)
    action[:, 6] = 1.0 if step < CLOSE else -1.0
    return action.clamp(-1, 1)


def yaw(quaternion: Tensor) -> Tensor:
    """Return the turn about the vertical of quaternions (N, 4): (N,) radians."""
    w, x, y, z = quaternion.unbind(1)
    return torch.atan2(2 * (w * z + x * y), 1 - 2 * (y.square() + z.square()))
