"""Planar stacker: pile up two or four boxes (dm_control.suite.stacker)."""

import math
from functools import partial

import numpy as np
import torch
from dm_control.suite import stacker as suite
from torch import Tensor

from envs.draws import Draws
from envs.measures import Measure
from envs.signals import Signal
from envs.tasks.manipulator import CLOSE, QW, QY, Arm
from envs.tasks.rewards import tolerance
from envs.tasks.task import Context, X, Z, avoid_contacts, load, position

CONTROL_TIMESTEP, TIME_LIMIT = 0.01, 10  # seconds
HAND_AWAY = 0.1  # metres from the target


class Stack:
    """Put a box where the target says, which may be on other boxes, and let go of it."""

    fields = ("qpos", "qvel", "sensordata", "xpos", "xquat", "site_xpos")
    model_fields = ("body_pos",)
    terminal = None

    def __init__(self, boxes: int) -> None:
        self.model, self.substeps, self.step_limit = load(suite.make_model(boxes), CONTROL_TIMESTEP, TIME_LIMIT)
        self.arm, self.boxes = Arm(self.model), boxes
        body, site, start = self.model.body("box0").id, self.model.site("box0").id, position(self.model, "box0_x")
        self.box_bodies, self.box_sites = slice(body, body + boxes), slice(site, site + boxes)
        self.joints = slice(start, start + 3 * boxes)  # of each box: x, z, turn about y
        self.target, self.target_site = self.model.body("target").id, self.model.site("target").id
        self.size = float(self.model.geom("target").size[0])  # half of a box's side
        self.signals = {"position": Signal(lambda c: c["xpos"][:, self.box_bodies, X :: Z - X][:, 0], ("xpos",))}
        self.measures = {
            "hand_speed": self.arm.speed,
            "holding": Measure(self.holding, ("sensordata", "site_xpos"), range=(0.0, 1.0)),  # fraction of the steps
            "boxes_height": Measure(lambda c: c["xpos"][:, self.box_bodies, Z].mean(1), ("xpos",)),  # metres
            "highest_box": Measure(lambda c: c["xpos"][:, self.box_bodies, Z].amax(1), ("xpos",)),
            "boxes_displacement_x": Measure(lambda c: c["xpos"][:, self.box_bodies, X].mean(1), ("xpos",), "change"),
            "box_to_target": Measure(lambda c: self.to(c, self.target_site).amin(1), ("site_xpos",)),  # of the nearest
        }

    def to(self, c: Context, site: int) -> Tensor:
        """Return the distances of the boxes from a site, (N, boxes) metres."""
        return (c["site_xpos"][:, self.box_sites] - c["site_xpos"][:, site, None]).norm(dim=2)

    def holding(self, c: Context) -> Tensor:
        return self.arm.holding(c, self.to(c, self.arm.grasp).amin(1))

    def observe(self, c: Context) -> Tensor:
        place, quaternion = c["xpos"][:, self.box_bodies, X :: Z - X], c["xquat"][:, self.box_bodies, QW :: QY - QW]
        poses = torch.cat([place, quaternion], 2).flatten(1)  # (N, 4 boxes)
        moving = c["qvel"][:, self.joints].unflatten(1, (self.boxes, 3))  # x, z, turn
        moving = torch.cat([moving[..., ::2], moving[..., 1:2]], 2).flatten(1)  # (N, 3 boxes): x, turn, z
        return torch.cat([*self.arm.observe(c), poses, moving, c["xpos"][:, self.target, X :: Z - X]], 1)

    def reward(self, c: Context) -> Tensor:
        box_is_close = tolerance(self.to(c, self.target_site).amin(1), margin=2 * self.size)
        hand = (c["site_xpos"][:, self.arm.grasp] - c["site_xpos"][:, self.target_site]).norm(dim=1)
        return box_is_close * tolerance(hand, (HAND_AWAY, math.inf), CLOSE)

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        avoid_contacts(draws, partial(self.draw, draws, random))

    def draw(self, draws: Draws, random: np.random.Generator, rows: np.ndarray) -> None:
        """Draw the arm, the target's place in a pile, and the boxes."""
        self.arm.draw(draws, random, rows)
        draws["body_pos"][rows, self.target, Z] = self.size * (2 * random.integers(self.boxes, size=len(rows)) + 1)
        draws["body_pos"][rows, self.target, X] = random.uniform(-0.37, 0.37, len(rows))
        poses = random.uniform((0.1, 0, 0), (0.3, 0.7, 2 * np.pi), (len(rows), self.boxes, 3))
        draws["qpos"][rows, self.joints] = poses.reshape(len(rows), -1)


TASKS = {f"stacker_stack_{boxes}": partial(Stack, boxes) for boxes in (2, 4)}
