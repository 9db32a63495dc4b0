"""What must not come about in a batch, noticed without making the host wait for the device."""

from math import isfinite

import torch
from torch import Tensor

from envs.engines import Engine


class Alarms:
    """Watch the actions that come in, and the room that an engine has for contacts.

    On the CPU what is wrong raises at once. On CUDA it is copied to the host behind the steps and raises when the copy
    has arrived, a few steps later.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asynchronous = engine.device.type == "cuda"
        if self._asynchronous:
            self._wrong = torch.zeros(1 + len(engine.room), dtype=torch.bool, device=engine.device)  # since the start
            self._arrived_wrong = torch.zeros(1 + len(engine.room), dtype=torch.bool, pin_memory=True)
            self._arrival = torch.cuda.Event()

    def check(self, action: Tensor) -> None:
        """Raise ValueError for actions (N, A) that are not finite, and where contacts did not fit."""
        if not self._asynchronous and not self._engine.room and isfinite(action.sum().item()):
            return  # what has a finite sum is finite
        wrong = torch.stack([~action.isfinite().all(), *self._engine.lost()])
        if not self._asynchronous:
            return self._raise(wrong)
        self._wrong |= wrong
        if self._arrival.query():  # true before the first copy, too
            self._raise(self._arrived_wrong)
            self._arrived_wrong.copy_(self._wrong, non_blocking=True)
            self._arrival.record()

    def _raise(self, wrong: Tensor) -> None:
        not_finite, *lost = wrong.tolist()
        if not_finite:
            raise ValueError("actions must be finite: the policy gave NaN or infinity")
        for (option, room), yes in zip(self._engine.room.items(), lost, strict=True):
            if yes:
                raise ValueError(f"{option} {room} is too little room: MuJoCo Warp lost some; raise --{option}")
