"""The page of a skill library: skills as points, each with what it did, instead of an archive's cells."""

from dataclasses import replace
from typing import Any, Literal

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.slim import Slim
from agents.slim.metrics import FixedSkills
from agents.slim.priors import even_skills
from envs.batched import BatchedEnv
from views import motions
from views.blocks import array

SHOWN = 96  # skills on a page: our choice
MARGIN = 1.1  # of the axes, beyond the farthest point


class Ends:
    """Keep where the object was when each of N episodes began, and when it ended or fell off its table: (N, K)."""

    def __init__(self) -> None:
        self.running: Tensor | None = None

    def __call__(self, timestep: TensorDict) -> None:
        """Take in a timestep (N,); what comes after an end or a fall does not count, as in `metrics.displacement`."""
        position = timestep["position"].clone()
        if self.running is None:
            self.first = self.last = position
            self.running = torch.ones_like(timestep["is_last"])
        if "off_table" in timestep:
            self.running = self.running & (timestep["off_table"] == 0)
        self.last = torch.where(self.running.unsqueeze(1), position, self.last)
        self.running = self.running & ~timestep["is_last"]


def map_of(agent: Slim, envs: BatchedEnv, name: str, value: Literal["moved", "return"] = "moved") -> dict[str, Any]:
    """Play evenly spread skills, one an environment; return a map of the page.

    value: of a point: how far its object moved, or its episode's return.
    """
    skills = even_skills(torch.arange(envs.num_envs, device=envs.device), agent.config.skill_dim)  # (N, Z)
    ends = Ends()
    played = motions.record(FixedSkills(agent, skills), envs, watch=ends)
    moved = ends.last - ends.first  # (N, K)
    places = torch.cat([skills.to(moved), moved], 1)  # (N, Z+K)
    values = {"moved": moved.norm(dim=1).cpu(), "return": torch.tensor([motion.total for motion in played])}
    names = [f"z{n + 1}" for n in range(skills.shape[1])]
    names += [f"displacement {axis}" for axis in [*"xyz", *range(4, moved.shape[1] + 1)][: moved.shape[1]]]
    count, sides = len(skills), (places.abs().amax(0) * MARGIN).clamp(min=1e-3).tolist()
    return {
        "name": name,
        "noun": "skill",
        "axes": [{"name": each, "low": -side, "high": side} for each, side in zip(names, sides, strict=True)],
        "tessellation": {"kind": "points"},
        "cells": count,
        "points": {
            "cell": array(torch.arange(count).numpy(), "int32"),
            "value": array(values[value].numpy(), "float32"),
            "spread": array(torch.full((count,), torch.nan).numpy(), "float32"),
            "measures": array(places.cpu().numpy(), "float32"),
            "evaluations": array(torch.ones(count).numpy(), "int32"),
        },
        "motions": [replace(motion, measures=()).data() for motion in played],
        "history": [],
        "curves": {},
    }
