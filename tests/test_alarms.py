"""What is noticed behind the steps of a device, which is pretended: its copies arrive when they are told to."""

import pytest
import torch

from envs.alarms import Alarms

N = 3


class Engine:
    """An engine whose speeds and lost contacts are set from outside."""

    device, room = torch.device("cuda"), {"contacts": 7}

    def __init__(self) -> None:
        self.fields, self.contacts_lost = {"qvel": torch.zeros(N, 2)}, torch.tensor(False)

    def lost(self) -> tuple[torch.Tensor]:
        return (self.contacts_lost,)


class Arrival:
    """Say whether the last copy has arrived."""

    arrived = True

    def query(self) -> bool:
        return self.arrived

    def record(self) -> None:
        pass


def test_what_was_wrong_first_is_told_when_it_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation diverges; the policy answers with NaN, and contacts are lost, before anybody knows."""
    zeros = torch.zeros
    engine = Engine()
    monkeypatch.setattr(torch, "zeros", lambda *shape, dtype, **_: zeros(*shape, dtype=dtype))  # on no device
    monkeypatch.setattr(torch.cuda, "Event", Arrival)
    alarms = Alarms(engine, "some_task")  # type: ignore[arg-type]

    def step(action: float, arrived: bool) -> None:
        alarms._arrival.arrived = arrived
        alarms.check_actions(torch.full((N, 1), action))
        alarms.check_physics()

    step(0.0, arrived=True)
    engine.fields["qvel"][1, 1] = torch.nan
    step(0.0, arrived=False)
    engine.contacts_lost = torch.tensor(True)
    step(torch.nan, arrived=False)
    step(torch.nan, arrived=True)  # what was copied before any of it
    with pytest.raises(ValueError, match="the simulation of some_task diverged"):
        step(torch.nan, arrived=True)
