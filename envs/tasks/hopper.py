"""Planar hopper: stand and hop (dm_control.suite.hopper)."""

import math
from functools import partial

import numpy as np
import torch
from dm_control.suite import hopper as suite
from torch import Tensor

from envs import measures, signals
from envs.draws import Draws
from envs.tasks.rewards import tolerance
from envs.tasks.task import Context, X, Z, load, randomize_joints, sensor

STAND_HEIGHT = 0.6  # metres
HOP_SPEED = 2.0  # metres a second


class Hopper:
    """Keep the torso above the foot, at rest or while hopping forwards."""

    fields = ("qpos", "qvel", "ctrl", "xipos", "sensordata")
    model_fields = ()
    terminal = None

    def __init__(self, hopping: bool) -> None:
        self.model, self.substeps, self.step_limit = load(suite.get_model_and_assets(), 0.02, 20)
        self.hopping = hopping
        self.torso, self.foot = self.model.body("torso").id, self.model.body("foot").id
        self.velocity = sensor(self.model, "torso_subtreelinvel")
        self.toe, self.heel = sensor(self.model, "touch_toe"), sensor(self.model, "touch_heel")
        self.signals = {"position": signals.body_position(self.model, "torso", X)}
        self.measures = {
            "foot_contact": measures.ground_contact(self.model, "foot"),
            "torso_height": measures.height(self.model, "torso"),
            "torso_highest": measures.height(self.model, "torso", "maximum"),
            "torso_turn": measures.turn(self.model, "rooty"),
            "torso_speed": measures.speed(self.model, "rootx", "rootz"),
            "displacement_x": measures.displacement(self.model, "torso", X),
        }

    def observe(self, c: Context) -> Tensor:
        touch = torch.cat([c["sensordata"][:, self.toe], c["sensordata"][:, self.heel]], 1)  # (N, 2)
        return torch.cat([c["qpos"][:, 1:], c["qvel"], touch.log1p()], 1)

    def reward(self, c: Context) -> Tensor:
        height = c["xipos"][:, self.torso, Z] - c["xipos"][:, self.foot, Z]
        standing = tolerance(height, (STAND_HEIGHT, 2))
        if self.hopping:
            speed = c["sensordata"][:, self.velocity][:, 0]
            return standing * tolerance(speed, (HOP_SPEED, math.inf), HOP_SPEED / 2, "linear", 0.5)
        small_control = tolerance(c["ctrl"], margin=1, value_at_margin=0, sigmoid="quadratic").mean(1)
        return standing * (small_control + 4) / 5

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        randomize_joints(draws, random, draws.rows)


TASKS = {"hopper_stand": partial(Hopper, hopping=False), "hopper_hop": partial(Hopper, hopping=True)}
