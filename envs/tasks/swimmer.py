"""Planar swimmers of 6 and 15 links (dm_control.suite.swimmer)."""

from functools import partial

import numpy as np
import torch
from dm_control.suite import swimmer as suite
from torch import Tensor

from envs import measures, signals
from envs.draws import Draws
from envs.tasks.rewards import tolerance
from envs.tasks.task import Context, X, Y, load, randomize_joints, sensor

CLOSE, FAR = 0.3, 2.0  # metres: half the sides of the squares in which targets stand
CLOSE_PROBABILITY = 0.2


class Swimmer:
    """Bring the nose to a target, which stands elsewhere in every episode."""

    fields = ("qpos", "qvel", "xmat", "geom_xpos", "sensordata")
    model_fields = ("geom_pos", "light_pos")
    terminal = None

    def __init__(self, links: int) -> None:
        self.model, self.substeps, self.step_limit = load(suite.get_model_and_assets(links), 0.03, 30)
        self.head, self.nose = self.model.body("head").id, self.model.geom("nose").id
        self.target, self.light = self.model.geom("target").id, self.model.light("target_light").id
        self.target_size = float(self.model.geom_size[self.target, 0])
        self.velocities = sensor(self.model, "head_vel").start  # from here on: 6 of each link
        self.signals = {"position": signals.body_position(self.model, "head", X, Y)}
        self.measures = {
            "displacement_x": measures.displacement(self.model, "head", X),
            "displacement_y": measures.displacement(self.model, "head", Y),
            "head_turn": measures.turn(self.model, "rootz"),
            "head_speed": measures.speed(self.model, "rootx", "rooty"),
            "bending": measures.Measure(lambda c: c["qpos"][:, 3:].abs().mean(1), ("qpos",)),  # radians a joint
        }

    def to_target(self, c: Context) -> Tensor:
        """Return where the target is from the nose, along the head's x and y axes: (N, 2)."""
        to_target = c["geom_xpos"][:, self.target] - c["geom_xpos"][:, self.nose]  # (N, 3)
        head = c["xmat"][:, self.head].unflatten(1, (3, 3))
        return (to_target.unsqueeze(2) * head).sum(1)[:, :2]

    def observe(self, c: Context) -> Tensor:
        links = c["sensordata"][:, self.velocities :].unflatten(1, (-1, 6))  # (N, links, 6): linear, angular
        velocities = torch.cat([links[..., :2], links[..., 5:]], 2).flatten(1)  # (N, 3 links): x, y, about z
        return torch.cat([c["qpos"][:, 3:], self.to_target(c), velocities], 1)

    def reward(self, c: Context) -> Tensor:
        size = self.target_size
        return tolerance(self.to_target(c).norm(dim=1), (0, size), 5 * size, "long_tail")

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        randomize_joints(draws, random, draws.rows)
        close = random.uniform(size=(draws.count, 1)) < CLOSE_PROBABILITY
        target = np.where(close, CLOSE, FAR) * random.uniform(-1, 1, (draws.count, 2))  # (N, 2): x, y
        draws["geom_pos"][:, self.target, :2] = target
        draws["light_pos"][:, self.light, :2] = target


TASKS = {f"swimmer_swimmer{links}": partial(Swimmer, links) for links in (6, 15)}
