"""Pendulum: swing-up (dm_control.suite.pendulum)."""

import math

import numpy as np
import torch
from dm_control.suite import pendulum as suite
from torch import Tensor

from envs import measures
from envs.draws import Draws
from envs.signals import Signal
from envs.tasks.rewards import tolerance
from envs.tasks.task import XZ, ZZ, Context, load, position

COSINE_BOUND = math.cos(math.radians(8))


class Pendulum:
    """Swing the pole up and hold it there."""

    fields = ("qpos", "qvel", "xmat")
    model_fields = ()
    terminal = None

    def __init__(self) -> None:
        self.model, self.substeps, self.step_limit = load(suite.get_model_and_assets(), None, 20)
        self.pole = self.model.body("pole").id
        self.signals = {"position": Signal(lambda c: c["xmat"][:, self.pole, XZ :: ZZ - XZ], ("xmat",))}
        self.measures = {
            "pole_cosine": measures.upright(self.model, "pole"),
            "pole_speed": measures.speed(self.model, "hinge"),
            "pole_turn": measures.turn(self.model, "hinge"),
        }

    def observe(self, c: Context) -> Tensor:
        pole = c["xmat"][:, self.pole]  # (N, 9)
        return torch.cat([pole[:, ZZ:], pole[:, XZ : XZ + 1], c["qvel"]], 1)

    def reward(self, c: Context) -> Tensor:
        return tolerance(c["xmat"][:, self.pole, ZZ], (COSINE_BOUND, 1))

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        draws["qpos"][:, position(self.model, "hinge")] = random.uniform(-np.pi, np.pi, draws.count)


TASKS = {"pendulum_swingup": Pendulum}
