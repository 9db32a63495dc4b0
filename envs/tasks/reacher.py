"""Two-link reacher: easy and hard (dm_control.suite.reacher)."""

from functools import partial

import numpy as np
import torch
from dm_control.suite import reacher as suite
from torch import Tensor

from envs import measures, signals
from envs.draws import Draws
from envs.tasks.rewards import tolerance
from envs.tasks.task import Context, X, Y, load, randomize_joints

BIG_TARGET, SMALL_TARGET = 0.05, 0.015  # metres


class Reacher:
    """Bring the finger to a target, which stands elsewhere in every episode."""

    fields = ("qpos", "qvel", "geom_xpos")
    model_fields = ("geom_pos",)
    terminal = None

    def __init__(self, target_size: float) -> None:
        self.model, self.substeps, self.step_limit = load(suite.get_model_and_assets(), None, 20)
        self.finger, self.target = self.model.geom("finger").id, self.model.geom("target").id
        self.model.geom_size[self.target, 0] = target_size
        self.radii = float(self.model.geom_size[[self.target, self.finger], 0].sum())
        self.signals = {"position": signals.body_position(self.model, "finger", X, Y)}
        self.measures = {
            "displacement_x": measures.displacement(self.model, "finger", X),
            "displacement_y": measures.displacement(self.model, "finger", Y),
            "shoulder_turn": measures.turn(self.model, "shoulder"),
            "arm_speed": measures.speed(self.model, "shoulder", "wrist"),
        }

    def to_target(self, c: Context) -> Tensor:
        return c["geom_xpos"][:, self.target, :2] - c["geom_xpos"][:, self.finger, :2]  # (N, 2)

    def observe(self, c: Context) -> Tensor:
        return torch.cat([c["qpos"], self.to_target(c), c["qvel"]], 1)

    def reward(self, c: Context) -> Tensor:
        return tolerance(self.to_target(c).norm(dim=1), (0, self.radii))

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        randomize_joints(draws, random, draws.rows)
        angle, radius = random.uniform(0, 2 * np.pi, draws.count), random.uniform(0.05, 0.20, draws.count)
        draws["geom_pos"][:, self.target, 0] = radius * np.sin(angle)
        draws["geom_pos"][:, self.target, 1] = radius * np.cos(angle)


TASKS = {"reacher_easy": partial(Reacher, BIG_TARGET), "reacher_hard": partial(Reacher, SMALL_TARGET)}
