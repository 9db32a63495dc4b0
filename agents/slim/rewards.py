"""Rewards that agents give themselves: functions of what a timestep signals, by name, and sets of them with weights.

A reward answers the step that led to a row, so it reads that row's signals, (..., ...), and returns (...).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.config import nearest


class Reward(NamedTuple):
    """`read` takes rows (...), with the signals that `signals` names, to rewards (...)."""

    read: Callable[[TensorDict], Tensor]
    signals: tuple[str, ...] = ()


class Weighted(NamedTuple):
    """A reward of a set, by name."""

    name: str
    weight: float


# our choice: shares of half a joint's range and of its speed, newtons
NEAR_LIMIT, FAST, HARD = 0.1, 0.8, 30.0


def reach(rows: TensorDict) -> Tensor:
    """Return 1 - tanh(10 d) for the mean distance d, in metres, of tool and fingertips from the object: in (0, 1]."""
    return 1 - torch.tanh(10 * rows["reach"].mean(-1))


def joint_limits(rows: TensorDict) -> Tensor:
    """Return minus the number of joints near a limit, each from 0 at NEAR_LIMIT of half its range to 1 at the limit."""
    return -(1 - rows["joint_margin"] / NEAR_LIMIT).clamp(0, 1).sum(-1)


def joint_speeds(rows: TensorDict) -> Tensor:
    """Return minus the number of fast joints, each from 0 at FAST of what is allowed to 1 at what is."""
    return -((rows["joint_speed"] - FAST) / (1 - FAST)).clamp(0, 1).sum(-1)


def table_force(rows: TensorDict) -> Tensor:
    """Return minus the force of the hand on the table, in HARD newtons, at least -1."""
    return -(rows["table_force"] / HARD).clamp(max=1)


def on_table(rows: TensorDict) -> Tensor:
    """Return -1 where the object has left the table."""
    return -rows["off_table"]


REWARDS: dict[str, Reward] = {
    "task": Reward(lambda rows: rows["reward"]),
    "effort": Reward(lambda rows: -rows["effort"], ("effort",)),
    "reach": Reward(reach, ("reach",)),
    "grasp": Reward(lambda rows: rows["grasped"], ("grasped",)),
    "joint_limits": Reward(joint_limits, ("joint_margin",)),
    "joint_speeds": Reward(joint_speeds, ("joint_speed",)),
    "table_force": Reward(table_force, ("table_force",)),
    "on_table": Reward(on_table, ("off_table",)),
}
PENALTIES = ("joint_limits", "joint_speeds", "table_force", "on_table")
REWARDS["safety"] = Reward(
    lambda rows: sum((REWARDS[name].read(rows) for name in PENALTIES), torch.zeros(())),
    tuple(signal for name in PENALTIES for signal in REWARDS[name].signals),
)
DISCOVERIES = ("discovery", "metra", "lsd", "diayn")  # made by agents/slim/discovery.py, which learns what it reads
POSITION = "position"


def reward_set(
    words: Sequence[str], signals: Mapping[str, tuple[int, ...]], reads: str = POSITION
) -> tuple[Weighted, ...]:
    """Read a set such as ("reach", "discovery", "safety:0.5"); raise ValueError, in one line, for one that fails.

    signals: what timesteps show, by name. reads: what phi sees, which is a signal if it is the position.
    """
    found = tuple(weighted(word) for word in words)
    names = [name for name, _ in found]
    if not found:
        raise ValueError("--agent.rewards needs one reward at least, such as discovery")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--agent.rewards has {name} twice")
        seen = (POSITION,) * (reads == POSITION)
        for signal in seen if name in DISCOVERIES else REWARDS[name].signals:
            if signal not in signals:
                shown = ", ".join(signals) or "none: take --signals"
                raise ValueError(f"--agent.rewards {name} reads the signal {signal}; the task's signals are {shown}")
    learned = [name for name in names if name in DISCOVERIES]
    if len(learned) > 1:
        raise ValueError(f"--agent.rewards has {' and '.join(learned)}: skills are found by one of them")
    return found


def weighted(word: str) -> Weighted:
    """Read `name` or `name:weight`."""
    name, _, number = word.partition(":")
    names = (*REWARDS, *DISCOVERIES)
    if name not in names:
        raise ValueError(f"--agent.rewards: unknown reward {name}{nearest(name, names)}")
    try:
        weight = float(number or 1)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise ValueError(f"--agent.rewards {word}: a weight is a number above 0, as in {name}:0.5")
    return Weighted(name, weight)
