"""What skills do: descriptors of whole episodes, measured from the same starts for every skill."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.config import nearest

SMALL = 1e-6  # of a spread to divide by
PATH = "path"


class Placed(Protocol):
    """Environments with next-step reset that can be put where others are."""

    num_envs: int

    @property
    def measure_names(self) -> tuple[str, ...]: ...

    def reset(self) -> TensorDict: ...

    def step(self, action: Tensor) -> TensorDict: ...

    def state_dict(self) -> dict[str, Any]: ...

    def place(self, state: dict[str, Any], source: Tensor) -> TensorDict: ...


@dataclass(frozen=True)
class SkillTable:
    """Descriptors of K skills: means and standard deviations (K, D) over episodes from several starts.

    Its first columns are how far the position has come along each of its axes, then the length of its path, then what
    the task measures of an episode.
    """

    names: tuple[str, ...]
    skill: Tensor  # (K, Z)
    mean: Tensor  # (K, D)
    std: Tensor  # (K, D)
    resets: int

    def __str__(self) -> str:
        """Return a table for people: over the skills, and how much a skill differs between starts."""
        lines = [
            f"{len(self.skill)} skills, {self.resets} starts each",
            f"{'':<28}{'least':>9}{'most':>9}{'spread':>9}",
        ]
        for name, mean, std in zip(self.names, self.mean.T, self.std.T, strict=True):
            lines.append(f"{name:<28}{mean.min():>9.3f}{mean.max():>9.3f}{std.mean():>9.3f}")
        return "\n".join(lines)

    @property
    def axes(self) -> int:
        """Columns of the displacement, which come first."""
        return self.names.index(PATH)

    def nearest(self, descriptor: Mapping[str, float] | Tensor) -> int:
        """Return the row whose mean is nearest to a displacement (axes,), or to values by name.

        Differences count in standard deviations over the skills, one for all axes of the displacement.
        """
        if isinstance(descriptor, Tensor):
            if descriptor.shape != (self.axes,):
                raise ValueError(f"a displacement has {self.axes} numbers, not the shape {tuple(descriptor.shape)}")
            descriptor = dict(zip(self.names, descriptor.tolist(), strict=False))
        for name in descriptor:
            if name not in self.names:
                raise ValueError(f"skills have no descriptor {name}{nearest(name, self.names)}")
        columns = [self.names.index(name) for name in descriptor]
        wanted = torch.tensor(list(descriptor.values()))  # (d,)
        variance = self.mean.var(0, correction=0)  # (D,)
        variance[: self.axes] = variance[: self.axes].mean()
        away = (self.mean[:, columns] - wanted) / variance[columns].sqrt().clamp(min=SMALL)  # (K, d)
        return int(away.square().sum(1).argmin())


@torch.no_grad()
def measure(skill: Tensor, act: Callable[[Tensor, Tensor], Tensor], envs: Placed, resets: int) -> SkillTable:
    """Hold each of the skills (K, Z) for an episode from each of `resets` starts, the same for all skills.

    act: takes states (N, O) and skills (N, Z) to actions. envs: N = K * resets, with signals, and measures or not.
    """
    assert envs.num_envs == len(skill) * resets and resets > 1, (envs.num_envs, len(skill), resets)
    envs.reset()
    start = torch.arange(resets).repeat(len(skill))  # (N,)
    timestep = envs.place(envs.state_dict(), start)
    held = skill.repeat_interleave(resets, 0)  # (N, Z)
    begun = place = timestep["position"]  # (N, axes)
    path, running = torch.zeros_like(timestep["reward"]), ~timestep["is_last"]  # (N,)
    ended = timestep
    while running.any():
        timestep = envs.step(act(timestep["state"], held))
        ended = timestep.where(running, ended)
        path += (ended["position"] - place).norm(dim=1)
        place = ended["position"]
        running = running & ~timestep["is_last"]
    columns = [place - begun, path.unsqueeze(1)]
    columns += [ended["measures"]] if envs.measure_names else []
    values = torch.cat(columns, 1).cpu().view(len(skill), resets, -1)  # (K, resets, D)
    names = (*(f"displacement_{axis}" for axis in range(place.shape[1])), PATH, *envs.measure_names)
    return SkillTable(names, skill.cpu(), values.mean(1), values.std(1), resets)
