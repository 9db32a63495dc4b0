"""Rewards that agents give themselves: functions of what a timestep signals, by name, and sets of them with weights.

A reward answers the step that led to a row, so it reads that row's signals, (..., ...), and returns (...).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

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


REWARDS: dict[str, Reward] = {
    "task": Reward(lambda rows: rows["reward"]),
    "effort": Reward(lambda rows: -rows["effort"], ("effort",)),
}
DISCOVERIES = ("discovery", "metra", "lsd", "diayn")  # made by agents/discovery.py, which learns what it reads
POSITION = "position"


def reward_set(words: Sequence[str], signals: Mapping[str, tuple[int, ...]]) -> tuple[Weighted, ...]:
    """Read a set such as ("reach", "discovery", "safety:0.5"); raise ValueError, in one line, for one that fails.

    signals: what timesteps show, by name.
    """
    found = tuple(weighted(word) for word in words)
    names = [name for name, _ in found]
    if not found:
        raise ValueError("--agent.rewards needs one reward at least, such as discovery")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--agent.rewards has {name} twice")
        for signal in (POSITION,) if name in DISCOVERIES else REWARDS[name].signals:
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
