"""Planar cheetah: run (dm_control.suite.cheetah)."""

import math

import numpy as np
import torch
from dm_control.suite import cheetah as suite
from torch import Tensor

from envs import measures, signals
from envs.draws import Draws
from envs.tasks.rewards import tolerance
from envs.tasks.task import Context, X, load, sensor

RUN_SPEED = 10.0  # metres a second
SETTLING_STEPS = 200


class Cheetah:
    """Run forwards."""

    fields = ("qpos", "qvel", "sensordata")
    model_fields = ()
    terminal = None

    def __init__(self) -> None:
        self.model, self.substeps, self.step_limit = load(suite.get_model_and_assets(), None, 10)
        self.velocity = sensor(self.model, "torso_subtreelinvel")
        self.signals = {"position": signals.body_position(self.model, "torso", X)}
        self.measures = {
            "back_foot_contact": measures.ground_contact(self.model, "bfoot"),
            "front_foot_contact": measures.ground_contact(self.model, "ffoot"),
            "torso_height": measures.height(self.model, "torso"),
            "torso_turn": measures.turn(self.model, "rooty"),
            "torso_speed": measures.speed(self.model, "rootx", "rootz"),
            "displacement_x": measures.displacement(self.model, "torso", X),
        }

    def observe(self, c: Context) -> Tensor:
        return torch.cat([c["qpos"][:, 1:], c["qvel"]], 1)

    def reward(self, c: Context) -> Tensor:
        return tolerance(c["sensordata"][:, self.velocity][:, 0], (RUN_SPEED, math.inf), RUN_SPEED, "linear", 0.0)

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        limited = self.model.jnt_limited == 1
        low, high = self.model.jnt_range[limited].T
        draws["qpos"][:, limited] = random.uniform(low, high, (draws.count, len(low)))
        draws.settle(SETTLING_STEPS)


TASKS = {"cheetah_run": Cheetah}
