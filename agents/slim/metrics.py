"""What skills do: whole episodes of each, without noise, and numbers about them.

Displacement is measured from where the object was when the episode began, so that starts that differ count for nothing.
"""

from typing import Protocol

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.agent import Policy
from agents.evaluation import Environments
from agents.runs.statistics import bootstrap_interval

BIN = 0.1  # metres, of coverage


class Scene(Environments, Protocol):
    """Environments whose episodes have a length that nothing but time ends later."""

    episode_length: int


class Skilled(Protocol):
    """An agent whose actions depend on a skill (Z,)."""

    def answer(self, timestep: TensorDict, skill: Tensor) -> Tensor: ...

    def toward(self, place: Tensor, goal: Tensor) -> Tensor: ...


class FixedSkills:
    """A policy that holds one skill in each environment."""

    def __init__(self, agent: Skilled, skills: Tensor) -> None:
        self.agent, self.skills = agent, skills  # (N, Z)

    def initial_carry(self, num_envs: int) -> TensorDict:
        return TensorDict({}, batch_size=[num_envs])

    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = False) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,)."""
        action = self.agent.answer(timestep, self.skills)
        return TensorDict({"action": action}, batch_size=timestep.batch_size), carry


class Aimed:
    """A policy that takes, in every step, the skill that leads to a goal (N, K) of each environment."""

    def __init__(self, agent: Skilled, goals: Tensor) -> None:
        self.agent, self.goals = agent, goals

    def initial_carry(self, num_envs: int) -> TensorDict:
        return TensorDict({}, batch_size=[num_envs])

    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = False) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,)."""
        action = self.agent.answer(timestep, self.agent.toward(timestep["position"], self.goals))
        return TensorDict({"action": action}, batch_size=timestep.batch_size), carry


def play(policy: Policy, envs: Scene) -> TensorDict:
    """Play an episode in each of N environments and return its rows (N, T + 1), the first and the last included.

    The rows of an episode that ended early repeat its last one, which nothing answers: its `action` is 0. The global
    generators stay as they were.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        timestep, carry = envs.reset(), policy.initial_carry(envs.num_envs)
        rows = [timestep.clone()]
        for _ in range(envs.episode_length):
            out, carry = policy.act(timestep, carry, explore=False)
            rows[-1]["action"] = out["action"]
            timestep = envs.step(out["action"])
            rows.append(timestep.clone())
        rows[-1]["action"] = torch.zeros_like(out["action"])
    played = {name: torch.stack([row[name] for row in rows], 1) for name in rows[0].keys()}  # noqa: SIM118
    end = played["is_last"].int().argmax(1, keepdim=True)  # (N, 1) the first end
    time = torch.minimum(torch.arange(len(rows), device=end.device), end)  # (N, T + 1)
    env = torch.arange(len(end), device=end.device).unsqueeze(1)
    found = {name: value[env, time] for name, value in played.items()}
    found["action"] = found["action"].masked_fill((time == end).unsqueeze(-1), 0.0)
    return TensorDict(found, batch_size=time.shape)


def displacement(rows: TensorDict) -> Tensor:
    """Return how far from its start the object was in rows (N, T + 1): (N, T + 1, K).

    What falls from a table stays, here, where it last was on it: rolling on the floor is nobody's skill.
    """
    place = rows["position"]
    if "off_table" in rows:
        on = rows["off_table"].cumsum(1) == 0  # (N, T + 1) until it first falls
        last = (on.sum(1, keepdim=True) - 1).clamp(min=0)  # (N, 1)
        time = torch.arange(on.shape[1], device=on.device).minimum(last)  # (N, T + 1)
        place = place.gather(1, time.unsqueeze(-1).expand_as(place))
    return place - place[:, :1]


def bins(places: Tensor, size: float) -> Tensor:
    """Return the distinct bins (..., K), `size` wide and centred on the start, that displacements (..., K) lie in."""
    return (places / size).round().long().flatten(0, -2).unique(dim=0)


def diversity(ends: Tensor) -> float:
    """Return the mean distance of any two of N displacements (N, K); 0 of one alone."""
    return torch.pdist(ends).mean().nan_to_num().item()


def consistency(grasped: Tensor) -> float:
    """Return the share of N skills that grasp in each of M episodes, given which do: (M, N) bool."""
    return grasped.all(0).float().mean().item()


def measured(episodes: list[TensorDict], size: float) -> dict[str, float]:
    """Return what M episodes (N, T + 1) of the same N skills show; coverage is the first one's.

    coverage            bins of the displacement, `size` wide, that some skill entered; of x and y alone as well, if
                        there is a third axis
    reached, diversity  how far from the start episodes end, with a 95 % interval, and from each other
    grasps, consistency shares of episodes with a grasp, and of skills that grasp in every episode
    violations          share of steps after which the task signals one
    """
    moved = displacement(episodes[0])
    ends = [displacement(rows)[:, -1] for rows in episodes]
    reached = torch.cat(ends).norm(dim=1)  # (M * N,)
    low, high = bootstrap_interval(reached)
    found = {"coverage": float(len(bins(moved, size))), "bin": size}
    if moved.shape[-1] > 2:
        found["coverage_xy"] = float(len(bins(moved[..., :2], size)))
    found |= {"reached": reached.mean().item(), "reached_low": low, "reached_high": high}
    found["diversity"] = sum(map(diversity, ends)) / len(ends)
    if "grasped" in episodes[0]:
        grasped = torch.stack([rows["grasped"].amax(1) > 0 for rows in episodes])  # (M, N)
        found |= {"grasps": grasped.float().mean().item(), "consistency": consistency(grasped)}
    if "violation" in episodes[0]:
        found["violations"] = torch.stack([rows["violation"][:, 1:] for rows in episodes]).mean().item()
    return found


def missed(agent: Skilled, envs: Scene, goals: Tensor) -> dict[str, float]:
    """Return how far from goals (N, K) the object is at the start and at the end, led there without learning."""
    rows = play(Aimed(agent, goals), envs)
    away = (rows["position"] - goals.unsqueeze(1)).norm(dim=-1)  # (N, T + 1)
    return {"goal/start": away[:, 0].mean().item(), "goal/end": away[:, -1].mean().item()}
