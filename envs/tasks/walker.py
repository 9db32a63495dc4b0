"""Planar walker: stand, walk, run (dm_control.suite.walker)."""

import math
from functools import partial

import numpy as np
import torch
from dm_control.suite import walker as suite
from torch import Tensor

from envs import measures, signals
from envs.draws import Draws
from envs.tasks.rewards import tolerance
from envs.tasks.task import XX, XZ, ZZ, Context, X, Z, load, randomize_joints, sensor

STAND_HEIGHT = 1.2  # metres
SPEEDS = {"stand": 0.0, "walk": 1.0, "run": 8.0}  # metres a second


class Walker:
    """Keep the torso high and upright and, with a speed, move on."""

    fields = ("qpos", "qvel", "xpos", "xmat", "sensordata")
    model_fields = ()
    terminal = None

    def __init__(self, speed: float) -> None:
        self.model, self.substeps, self.step_limit = load(suite.get_model_and_assets(), 0.025, 25)
        self.speed = speed
        self.torso = self.model.body("torso").id
        self.velocity = sensor(self.model, "torso_subtreelinvel")
        self.signals = {"position": signals.body_position(self.model, "torso", X)}
        self.measures = {
            "right_foot_contact": measures.ground_contact(self.model, "right_foot"),
            "left_foot_contact": measures.ground_contact(self.model, "left_foot"),
            "torso_height": measures.height(self.model, "torso"),
            "torso_cosine": measures.upright(self.model, "torso"),
            "torso_speed": measures.speed(self.model, "rootx", "rootz"),
            "displacement_x": measures.displacement(self.model, "torso", X),
        }

    def observe(self, c: Context) -> Tensor:
        orientations = c["xmat"][:, 1:, XX : XZ + 1 : XZ - XX].flatten(1)  # (N, 2 bodies): xx, xz
        return torch.cat([orientations, c["xpos"][:, self.torso, Z:], c["qvel"]], 1)

    def reward(self, c: Context) -> Tensor:
        height, upright = c["xpos"][:, self.torso, Z], (1 + c["xmat"][:, self.torso, ZZ]) / 2
        standing = tolerance(height, (STAND_HEIGHT, math.inf), STAND_HEIGHT / 2)
        stand = (3 * standing + upright) / 4
        if self.speed == 0:
            return stand
        velocity = c["sensordata"][:, self.velocity][:, 0]
        moving = tolerance(velocity, (self.speed, math.inf), self.speed / 2, "linear", 0.5)
        return stand * (5 * moving + 1) / 6

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        randomize_joints(draws, random, draws.rows)


TASKS = {f"walker_{name}": partial(Walker, speed) for name, speed in SPEEDS.items()}
