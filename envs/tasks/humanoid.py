"""Humanoid: stand, walk, run (dm_control.suite.humanoid), for humanoids of any anatomy."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from dm_control.suite import humanoid as suite
from torch import Tensor

from envs import measures, signals
from envs.draws import Draws
from envs.measures import Measure
from envs.tasks.rewards import tolerance
from envs.tasks.task import ZZ, Context, Source, X, Y, Z, avoid_contacts, load, randomize_joints, sensor

STAND_HEIGHT = 1.4  # metres, of the head
SPEEDS = {"stand": 0.0, "walk": 1.0, "run": 10.0}  # metres a second
JOINTS = 7  # where the joints stand in qpos, behind the place and the quaternion of the root


class Anatomy(NamedTuple):
    """Tell one humanoid from another.

    torso  the body whose frame is the humanoid's; `up` is the place in its rotation matrix that is 1 when upright
    limbs  the bodies that end its arms and legs
    feet   the sensors of touch under each foot
    """

    source: Callable[[], Source]
    control_timestep: float  # seconds
    time_limit: float  # seconds
    torso: str
    up: int
    limbs: tuple[str, ...]
    feet: dict[str, tuple[str, ...]]


class Humanoid:
    """Keep the head high and the torso upright, at rest or, with a speed, on the move in any direction."""

    fields = ("qpos", "qvel", "ctrl", "xpos", "xmat", "sensordata")
    model_fields = ()
    terminal = None

    def __init__(self, anatomy: Anatomy, speed: float, pure_state: bool = False) -> None:
        source, control_timestep, time_limit, torso, up, limbs, feet = anatomy
        self.model, self.substeps, self.step_limit = load(source(), control_timestep, time_limit)
        self.speed, self.pure_state, self.up = speed, pure_state, up
        self.torso, self.head = self.model.body(torso).id, self.model.body("head").id
        self.limbs = torch.tensor([self.model.body(limb).id for limb in limbs])
        self.velocity = sensor(self.model, f"{torso}_subtreelinvel")
        self.signals = {"position": signals.body_position(self.model, torso, X, Y)}
        self.measures = {
            **{f"{foot}_contact": measures.touch(self.model, *sensors) for foot, sensors in feet.items()},
            "torso_height": measures.height(self.model, torso),
            "torso_cosine": Measure(self.upright, ("xmat",), range=(-1.0, 1.0)),
            "horizontal_speed": measures.horizontal_speed(self.model, "root"),
            "displacement_x": measures.displacement(self.model, torso, X),
            "displacement_y": measures.displacement(self.model, torso, Y),
        }

    def upright(self, c: Context) -> Tensor:
        return c["xmat"][:, self.torso, self.up]

    def observe(self, c: Context) -> Tensor:
        if self.pure_state:
            return torch.cat([c["qpos"], c["qvel"]], 1)
        places, frame = c["xpos"], c["xmat"][:, self.torso].unflatten(1, (3, 3))  # (N, bodies, 3), (N, 3, 3)
        extremities = (places[:, self.limbs] - places[:, self.torso, None]) @ frame  # (N, limbs, 3) as the torso sees
        head_height, velocity = places[:, self.head, Z:], c["sensordata"][:, self.velocity]
        egocentric = [c["qpos"][:, JOINTS:], head_height, extremities.flatten(1), frame[:, Z]]
        return torch.cat([*egocentric, velocity, c["qvel"]], 1)

    def reward(self, c: Context) -> Tensor:
        standing = tolerance(c["xpos"][:, self.head, Z], (STAND_HEIGHT, math.inf), STAND_HEIGHT / 4)
        upright = tolerance(self.upright(c), (0.9, math.inf), 1.9, "linear", 0)
        small_control = tolerance(c["ctrl"], margin=1, value_at_margin=0, sigmoid="quadratic").mean(1)
        stand = standing * upright * ((4 + small_control) / 5)
        velocity = c["sensordata"][:, self.velocity][:, :2]  # (N, 2) horizontal, of the centre of mass
        if self.speed == 0:
            return stand * tolerance(velocity, margin=2).mean(1)
        moving = tolerance(velocity.norm(dim=1), (self.speed, math.inf), self.speed, "linear", 0)
        return stand * ((5 * moving + 1) / 6)

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        avoid_contacts(draws, partial(randomize_joints, draws, random))


ANATOMY = Anatomy(
    source=suite.get_model_and_assets,
    control_timestep=0.025,
    time_limit=25,
    torso="torso",
    up=ZZ,
    limbs=("left_hand", "left_foot", "right_hand", "right_foot"),
    feet={
        "left_foot": ("left_left_foot_touch", "right_left_foot_touch"),
        "right_foot": ("left_right_foot_touch", "right_right_foot_touch"),
    },
)
TASKS = {
    **{f"humanoid_{name}": partial(Humanoid, ANATOMY, speed) for name, speed in SPEEDS.items()},
    "humanoid_run_pure_state": partial(Humanoid, ANATOMY, SPEEDS["run"], pure_state=True),
}
