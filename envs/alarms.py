"""What must not come about in a batch, noticed without making the host wait for the device."""

from collections.abc import Iterable
from math import isfinite

import mujoco
import torch
from torch import Tensor

from envs.engines import Engine

MOST = mujoco.mjMAXVAL  # metres or radians a second: MuJoCo, too, calls what is faster diverged


class Alarms:
    """Watch the actions that come in, the speeds that they lead to, and the room that an engine has for contacts.

    On the CPU what is wrong raises at once. On CUDA what was wrong first is copied to the host behind the steps and
    raises when the copy has arrived, a few steps later.
    """

    def __init__(self, engine: Engine, task: str) -> None:
        self._engine = engine
        self._lines = [
            "actions must be finite: the policy gave NaN or infinity",
            f"the simulation of {task} diverged: speeds are beyond {MOST:.0e} or NaN; smaller actions, or a smaller "
            "time step of its model, may keep it stable",
        ]
        for option, room in engine.room.items():
            self._lines.append(f"{option} {room} is too little room: MuJoCo Warp lost some; raise --{option}")
        self._asynchronous = engine.device.type == "cuda"
        if self._asynchronous:
            self._wrong = torch.zeros(len(self._lines), dtype=torch.bool, device=engine.device)  # first
            self._arrived_wrong = torch.zeros(len(self._lines), dtype=torch.bool, pin_memory=True)
            self._arrival = torch.cuda.Event()

    def check_actions(self, action: Tensor) -> None:
        """Raise ValueError for actions (N, A) that are not finite."""
        if self._asynchronous:
            self._not_finite = ~action.isfinite().all()
        elif not isfinite(action.sum().item()) and not action.isfinite().all():  # the sum takes less time
            raise ValueError(self._lines[0])

    def check_physics(self) -> None:
        """Raise ValueError for a simulation that has diverged, and where contacts did not fit.

        Positions are not looked at, as they follow from the speeds: what is wrong with them is wrong with these.
        """
        speed = self._engine.fields["qvel"].sum()  # in which one that is NaN or huge shows
        if not self._asynchronous:
            diverged = not abs(speed.item()) < MOST
            if diverged or self._engine.room:
                self._raise([False, diverged, *self._engine.lost()])
            return
        wrong = torch.stack([self._not_finite, ~(speed.abs() < MOST), *self._engine.lost()])
        self._wrong |= wrong & ~self._wrong.any()  # what comes later may come of it
        if self._arrival.query():  # true before the first copy, too
            self._raise(self._arrived_wrong.tolist())
            self._arrived_wrong.copy_(self._wrong, non_blocking=True)
            self._arrival.record()

    def _raise(self, wrong: Iterable[bool | Tensor]) -> None:
        for line, yes in zip(self._lines, wrong, strict=True):
            if yes:
                raise ValueError(line)
