"""Several agents as one: environments are divided among them, and all write to one replay.

Each acts in environments of its own and learns from batches of which a share are everybody's rows, or from its own rows
alone where its mathematics asks for that. Keys that one agent writes and another does not are zeros in the other's
rows; `source` says whose a row is, by the agent's place.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, cast

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.agent import Agent, Policy
from agents.replay import ReplayBuffer
from agents.schedule import Ratio


@dataclass
class Member:
    """One of the agents, the environments that it acts in, and what it may learn from."""

    agent: Agent
    envs: range
    updates: Ratio
    """How many of its own updates one update of all takes."""
    shared: float
    """Share of each batch that is drawn from everybody's rows; the rest is of its own environments."""


class Crew:
    """Let members act side by side, remember together and learn in turn."""

    def __init__(self, members: Mapping[str, Member], device: torch.device | str = "cpu") -> None:
        self.members, self.device = dict(members), torch.device(device)
        self.num_envs = sum(len(member.envs) for member in members.values())
        assert [n for member in members.values() for n in member.envs] == list(range(self.num_envs)), members
        self.seconds = dict.fromkeys(members, 0.0)  # spent acting and learning

    def policies(self) -> dict[str, Policy]:
        """Return the members by name, each of which acts in any number of environments."""
        return {name: member.agent for name, member in self.members.items()}

    def initial_carry(self, num_envs: int) -> TensorDict:
        """Return every member's carry (N,), by its name; of each, the rows of its own environments count."""
        if num_envs != self.num_envs:
            raise ValueError(f"these agents act in {self.num_envs} environments together, not in {num_envs}")
        carries: dict[str, Any] = {
            name: padded(member.agent.initial_carry(len(member.envs)), member.envs, num_envs)
            for name, member in self.members.items()
        }
        return TensorDict(carries, batch_size=[num_envs], device=self.device)

    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,): each member in its own environments."""
        outs, carries = [], {}
        for source, (name, member) in enumerate(self.members.items()):
            began = time.perf_counter()
            rows = slice(member.envs.start, member.envs.stop)
            own_carry = carry[name][rows]
            out, after = member.agent.act(timestep[rows], own_carry, explore)
            own = torch.full((len(member.envs),), source, dtype=torch.uint8, device=self.device)
            outs.append(out.clone(recurse=False).set("source", own))
            carries[name] = updated(carry[name], own_carry, after, rows)
            self.seconds[name] += time.perf_counter() - began
        together: Any = carries
        return joined(outs), TensorDict(together, batch_size=[self.num_envs], device=self.device)

    def update(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Let each member take the updates that are due to it; metrics carry its name in front.

        `NAME/updates` is how many it took, over its share of the environments: for an environment step of its own,
        --train-ratio times as many.
        `speed/share/NAME` is its share of the time that the host spent on all of them so far.
        """
        metrics: dict[str, Tensor] = {}
        for name, member in self.members.items():
            began = time.perf_counter()
            rows = replay.part(member.envs, member.shared)
            found: dict[str, Tensor] = {}
            due = member.updates()
            for _ in range(due):
                found |= member.agent.update(rows)
            found["updates"] = torch.tensor(due * self.num_envs / len(member.envs))
            metrics |= {f"{name}/{metric}": value for metric, value in found.items()}
            self.seconds[name] += time.perf_counter() - began
        total = sum(self.seconds.values())
        metrics |= {f"speed/share/{name}": torch.tensor(spent / total) for name, spent in self.seconds.items()}
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Return every member's state, how much of its next update each has earned, and what time it took."""
        return {
            "agents": {name: member.agent.state_dict() for name, member in self.members.items()},
            "updates": {name: member.updates.state_dict() for name, member in self.members.items()},
            "seconds": dict(self.seconds),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        for name, member in self.members.items():
            member.agent.load_state_dict(state_dict["agents"][name])
            member.updates.load_state_dict(state_dict["updates"][name])
        self.seconds = dict(state_dict["seconds"])


def joined(outs: list[TensorDict]) -> TensorDict:
    """Put rows of neighbouring environments below each other; a key that some lack is zeros there."""
    ends = list(accumulate(len(out) for out in outs))
    together: dict[str, Tensor] = {}
    for out, end in zip(outs, ends, strict=True):
        place(together, out, slice(end - len(out), end), ends[-1])
    return TensorDict(dict(together), batch_size=[ends[-1]], device=outs[0].device)


def padded(carry: TensorDict, envs: range, num_envs: int) -> TensorDict:
    """Give some environments' carry its places among all of them (N,), with zeros elsewhere."""
    values: dict[str, Tensor] = {}
    place(values, carry, slice(envs.start, envs.stop), num_envs)
    return TensorDict(dict(values), batch_size=[num_envs], device=carry.device)


def updated(whole: TensorDict, before: TensorDict, after: TensorDict, rows: slice) -> TensorDict:
    """Return a carry (N,) in which some rows, which were `before`, are `after`; what did not change is not copied."""
    values = {}
    for key, value in after.items():
        values[key] = whole[key]
        if value is not before.get(key):
            values[key] = whole[key].clone()
            values[key][rows] = value
    return TensorDict(values, batch_size=whole.batch_size, device=whole.device)


def place(together: dict[str, Tensor], part: TensorDict, rows: slice, count: int) -> None:
    """Write a part's rows into tensors (count, ...), which begin as zeros."""
    for key, value in part.items():
        value = cast(Tensor, value)
        if key not in together:
            together[key] = torch.zeros(count, *value.shape[1:], dtype=value.dtype, device=value.device)
        together[key][rows] = value
