"""Operational-space control of an arm with a gripper: changes of the hand's pose become joint targets, in batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from envs import kinematics
from envs.measures import Context


@dataclass(frozen=True)
class ArmSettings:
    """Numbers of a `HandControl`, one a joint where there are several; all of them our choice but the limits."""

    low: Sequence[float]  # joint angles, radians
    high: Sequence[float]
    speed: Sequence[float]  # of the joints at most, radians a second
    home: Sequence[float]  # joint angles that the arm leans to where the hand's pose leaves a choice
    box: tuple[tuple[float, float, float], tuple[float, float, float]]  # corners of where the tool may be sent, metres
    opening: float  # position of the fingers when open, metres; 0 is closed
    step: float = 0.02  # metres along each axis that an action of 1 asks for
    turn: float = 0.1  # radians about each axis
    lead: float = 0.25  # radians that a joint's target may be ahead of the joint
    damping: float = 0.02  # of the least squares
    lean: float = 0.02  # share of the way home in a control step


class HandControl:
    """Move an arm's tool by six changes of its pose, and open or close its gripper: actions (N, 7).

    An action moves the pose that the arm has been sent to along and about the world's axes, so that no action means to
    stay. Joint targets follow by damped least squares, and never faster than the joints' limits; actuators take the
    joints there. The gripper opens at 0 and above, and closes below. Controls are J joint targets, then the fingers'.
    """

    action_dim, fields = 7, ("qpos", "ctrl")

    def __init__(self, links: Tensor, tool: Tensor, settings: ArmSettings, seconds: float) -> None:
        """Take an arm as `kinematics.forward` does, whose angles come first in qpos; seconds: of a control step."""
        self.links, self.tool, self.settings = links, tool, settings
        exact = partial(torch.tensor, dtype=torch.float64)
        self.low, self.high, self.home = (exact(x) for x in (settings.low, settings.high, settings.home))
        self.most = exact(settings.speed) * seconds  # radians in a control step
        self.near, self.far = (exact(corner) for corner in settings.box)
        self.damped = settings.damping**2 * torch.eye(6, dtype=torch.float64)

    def __call__(self, c: Context, action: Tensor) -> Tensor:
        """See `envs.control.Controller`."""
        joints = self.links.shape[1]
        now, before = c["qpos"][:, :joints], c["ctrl"][:, :joints]  # (N, J)
        sent = kinematics.forward(self.links, self.tool, before)
        place = (sent.place + self.settings.step * action[:, :3]).clamp(self.near, self.far)
        turn = kinematics.rotation(self.settings.turn * action[:, 3:6]) @ sent.turn
        target = before + self._towards(sent, place, turn, self.settings.lean * (self.home - before))
        sent = kinematics.forward(self.links, self.tool, target)
        target = target + self._towards(sent, place, turn, torch.zeros_like(target))  # what was curved in between
        step = target - before
        step = step * (self.most / step.abs().clamp(min=1e-9)).amin(1, keepdim=True).clamp(max=1)
        lead = self.settings.lead
        target = (before + step).clamp(now - lead, now + lead).clamp(self.low, self.high)
        fingers = torch.where(action[:, 6:] >= 0, self.settings.opening, 0.0).to(target.dtype)  # (N, 1)
        return torch.cat([target, fingers], 1)

    def _towards(self, sent: kinematics.Reach, place: Tensor, turn: Tensor, lean: Tensor) -> Tensor:
        """Return the change of the angles (N, J) that brings the tool to a pose, and leans where that is free."""
        error = torch.cat([place - sent.place, kinematics.turned(turn, sent.turn)], 1).unsqueeze(2)  # (N, 6, 1)
        back = sent.jacobian.transpose(1, 2)  # (N, J, 6)
        error = error - sent.jacobian @ lean.unsqueeze(2)
        solved, _ = torch.linalg.solve_ex(sent.jacobian @ back + self.damped, error)
        return lean + (back @ solved).squeeze(2)
