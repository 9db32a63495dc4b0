"""Acrobot: swing-up, dense and sparse (dm_control.suite.acrobot)."""

from functools import partial

import numpy as np
import torch
from dm_control.suite import acrobot as suite
from torch import Tensor

from envs import measures, signals
from envs.draws import Draws
from envs.tasks.rewards import tolerance
from envs.tasks.task import XZ, ZZ, Context, X, Y, Z, load


class Acrobot:
    """Swing two links up by the joint between them, until the tip is at the target above."""

    fields = ("qpos", "qvel", "xmat", "site_xpos")
    model_fields = ()
    terminal = None

    def __init__(self, sparse: bool) -> None:
        self.model, self.substeps, self.step_limit = load(suite.get_model_and_assets(), None, 10)
        self.margin = 0.0 if sparse else 1.0  # metres
        self.tip, self.target = self.model.site("tip").id, self.model.site("target").id
        self.radius = float(self.model.site_size[self.target, 0])
        height = measures.Measure(lambda c: c["site_xpos"][:, self.tip, Z], ("site_xpos",), "maximum")  # metres
        self.signals = {"position": signals.body_position(self.model, "lower_arm", X, Y, Z)}
        self.measures = {
            "upper_arm_cosine": measures.upright(self.model, "upper_arm"),
            "lower_arm_cosine": measures.upright(self.model, "lower_arm"),
            "tip_highest": height,
            "shoulder_turn": measures.turn(self.model, "shoulder"),
            "elbow_turn": measures.turn(self.model, "elbow"),
            "joint_speed": measures.speed(self.model, "shoulder", "elbow"),
        }

    def observe(self, c: Context) -> Tensor:
        arms = c["xmat"][:, 1:]  # (N, 2, 9)
        return torch.cat([arms[..., XZ], arms[..., ZZ], c["qvel"]], 1)

    def reward(self, c: Context) -> Tensor:
        distance = (c["site_xpos"][:, self.target] - c["site_xpos"][:, self.tip]).norm(dim=1)
        return tolerance(distance, (0, self.radius), self.margin)

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        draws["qpos"][:] = random.uniform(-np.pi, np.pi, (draws.count, 2))


TASKS = {
    "acrobot_swingup": partial(Acrobot, sparse=False),
    "acrobot_swingup_sparse": partial(Acrobot, sparse=True),
}
