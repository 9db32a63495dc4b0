"""Quadruped: walk, run, escape from a hollow, fetch a ball (dm_control.suite.quadruped)."""

import math
from functools import partial

import mujoco
import numpy as np
import torch
from dm_control.suite import common
from dm_control.suite import quadruped as suite
from scipy import ndimage
from torch import Tensor

from envs import measures, signals
from envs.draws import Draws
from envs.measures import Measure
from envs.tasks.rewards import tolerance
from envs.tasks.task import ZZ, Context, X, Y, Z, load, sensor, unit_vectors

CONTROL_TIMESTEP, TIME_LIMIT = 0.02, 20  # seconds
SPEEDS = {"walk": 0.5, "run": 5.0}  # metres a second
TOES = ("front_left", "front_right", "back_left", "back_right")
HINGES = 16  # in the four legs; qpos and qvel hold them behind the root
LOWEST_BUMP = 0.15  # of the height that the hollow has there
BUMP_SPACING = 2.0  # metres
STEP_UP, STEPS_UP = 0.01, 127  # metres, and how many are enough: its toes are 1.03 m from the middle of its torso
RANGEFINDERS = 20


def simulate(textures: bool = True, **options: bool | float) -> tuple[mujoco.MjModel, int, int]:
    """Load a variant of dm_control's model, with sensors of touch under the toes for the sake of the measures."""
    toes = "".join(f'<touch name="touch_toe_{toe}" site="toe_{toe}"/>' for toe in TOES)
    xml = suite.make_model(**options).decode().replace("</sensor>", f"{toes}</sensor>")
    return load((xml, common.ASSETS), CONTROL_TIMESTEP, TIME_LIMIT, textures)


class Robot:
    """What all tasks observe and reward; the torso's frame is the one that it sees in."""

    fields = ("qpos", "qvel", "act", "xpos", "xmat", "sensordata")

    def __init__(self, model: mujoco.MjModel) -> None:
        self.torso = model.body("torso").id
        self.velocity = sensor(model, "velocimeter")
        self.imu = slice(sensor(model, "imu_accel").start, sensor(model, "imu_gyro").stop)
        forces, torques = sensor(model, "force_toe_front_left"), sensor(model, "torque_toe_back_left")
        self.toes = slice(forces.start, torques.stop)  # all forces, then all torques
        self.signals = {"position": signals.body_position(model, "torso", X, Y)}
        self.measures: dict[str, Measure] = {
            **{f"{toe}_foot_contact": measures.touch(model, f"touch_toe_{toe}") for toe in TOES},
            "torso_height": measures.height(model, "torso"),
            "torso_cosine": measures.upright(model, "torso"),
            "horizontal_speed": measures.horizontal_speed(model, "root"),
            "displacement_x": measures.displacement(model, "torso", X),
            "displacement_y": measures.displacement(model, "torso", Y),
        }

    def observe(self, c: Context) -> list[Tensor]:
        sensors = c["sensordata"]
        joints = [c["qpos"][:, 7 : 7 + HINGES], c["qvel"][:, 6 : 6 + HINGES], c["act"]]
        torso = [sensors[:, self.velocity], c["xmat"][:, self.torso, ZZ:], sensors[:, self.imu]]
        return [*joints, *torso, sensors[:, self.toes].arcsinh()]

    def egocentric(self, c: Context, vectors: Tensor) -> Tensor:
        """Turn vectors (N, k, 3) into the torso's frame, flat: (N, 3 k)."""
        return (vectors @ c["xmat"][:, self.torso].unflatten(1, (3, 3))).flatten(1)

    def upright(self, c: Context, deviation: float = 0.0) -> Tensor:
        """Reward being upright: 1 within `deviation` degrees, 0 upside down; (N,)."""
        cosine = math.cos(math.radians(deviation))
        return tolerance(c["xmat"][:, self.torso, ZZ], (cosine, math.inf), 1 + cosine, "linear", 0)


class Move:
    """Go forwards, upright."""

    fields = Robot.fields
    model_fields = ()
    terminal = None

    def __init__(self, speed: float) -> None:
        self.model, self.substeps, self.step_limit = simulate(floor_size=TIME_LIMIT * speed)
        self.speed, self.robot = speed, Robot(self.model)
        self.signals = self.robot.signals
        self.measures = self.robot.measures

    def observe(self, c: Context) -> Tensor:
        return torch.cat(self.robot.observe(c), 1)

    def reward(self, c: Context) -> Tensor:
        forwards = c["sensordata"][:, self.robot.velocity][:, X]
        moving = tolerance(forwards, (self.speed, math.inf), self.speed, "linear", 0.5)
        return self.robot.upright(c) * moving

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        lift_off_ground(draws, unit_vectors(draws.count, 4, random))


class Escape:
    """Get out of a hollow in bumpy ground, other ground in every episode.

    Ground of its own gives each environment a copy of the model, which therefore has no textures: 0.2 MB, not 12.
    """

    fields = (*Robot.fields, "site_xpos")
    model_fields = ("hfield_data",)
    terminal = None

    def __init__(self) -> None:
        model = simulate(textures=False, floor_size=40, terrain=True, rangefinders=True)
        self.model, self.substeps, self.step_limit = model
        self.robot, self.workspace = Robot(self.model), self.model.site("workspace").id
        self.signals = self.robot.signals
        self.measures = self.robot.measures
        start = sensor(self.model, "rf_00").start
        self.rangefinders = slice(start, start + RANGEFINDERS)
        self.points, self.radius = int(self.model.hfield_nrow[0]), float(self.model.hfield_size[0, 0])
        assert self.points == self.model.hfield_ncol[0]

    def observe(self, c: Context) -> Tensor:
        origin = self.robot.egocentric(c, -c["xpos"][:, self.robot.torso, None])
        distance = c["sensordata"][:, self.rangefinders]  # (N, 20) metres, -1 where there is nothing
        return torch.cat([*self.robot.observe(c), origin, torch.where(distance == -1, 1.0, distance.tanh())], 1)

    def reward(self, c: Context) -> Tensor:
        distance = c["site_xpos"][:, self.workspace].norm(dim=1)
        return self.robot.upright(c, 20) * tolerance(distance, (self.radius, math.inf), self.radius, "linear", 0)

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        draws["hfield_data"][:] = self.terrain(draws.count, random).reshape(draws.count, -1)
        lift_off_ground(draws, unit_vectors(draws.count, 4, random))

    def terrain(self, count: int, random: np.random.Generator) -> np.ndarray:
        """Draw heights (count, points, points) in [0, 1]: a ring around a hollow, times smooth bumps."""
        line = np.linspace(-1, 1, self.points)
        radius = np.clip(np.hypot(line, line[:, None]), 0.04, 1)
        ring = 0.5 - np.cos(2 * np.pi * radius) / 2
        bumps = int(2 * self.radius / BUMP_SPACING)
        # Splines are linear in their knots, and each axis has its own: (points, bumps).
        splines = ndimage.zoom(np.eye(bumps), (self.points / bumps, 1))
        return ring * (splines @ random.uniform(LOWEST_BUMP, 1, (count, bumps, bumps)) @ splines.T)


class Fetch:
    """Bring a ball to the middle of a walled arena."""

    fields = (*Robot.fields, "site_xpos")
    model_fields = ()
    terminal = None

    def __init__(self) -> None:
        self.model, self.substeps, self.step_limit = simulate(walls_and_ball=True)
        self.robot, self.ball = Robot(self.model), self.model.body("ball").id
        self.signals = {"position": signals.body_position(self.model, "ball", X, Y)}
        self.measures = self.robot.measures
        self.workspace, self.target = self.model.site("workspace").id, self.model.site("target").id
        self.arena = float(self.model.geom("floor").size[0])  # half of its side
        self.reach = float(self.model.site("workspace").size[0] + self.model.geom("ball").size[0])
        self.target_radius = float(self.model.site("target").size[0])

    def observe(self, c: Context) -> Tensor:
        torso, velocity = c["xpos"][:, self.robot.torso], c["qvel"]
        ball = c["xpos"][:, self.ball] - torso, velocity[:, -6:-3] - velocity[:, :3], velocity[:, -3:]
        seen = torch.stack([*ball, c["site_xpos"][:, self.target] - torso], 1)  # (N, 4, 3)
        return torch.cat([*self.robot.observe(c), self.robot.egocentric(c, seen)], 1)

    def reward(self, c: Context) -> Tensor:
        sites, ball = c["site_xpos"], c["xpos"][:, self.ball]
        to_ball = (sites[:, self.workspace] - ball)[:, :2].norm(dim=1)  # (N,) metres on the ground
        to_target = (sites[:, self.target] - ball)[:, :2].norm(dim=1)
        margin = self.arena * math.sqrt(2)
        reach = tolerance(to_ball, (0, self.reach), margin, "linear", 0)
        fetch = tolerance(to_target, (0, self.target_radius), margin, "linear", 0)
        return self.robot.upright(c) * (reach * (0.5 + 0.5 * fetch))

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        half, nothing = random.uniform(0, 2 * np.pi, draws.count) / 2, np.zeros(draws.count)
        room = 0.9 * self.arena
        draws["qpos"][:, :2] = random.uniform(-room, room, (draws.count, 2))
        lift_off_ground(draws, np.stack([np.cos(half), nothing, nothing, np.sin(half)], 1))
        draws["qpos"][:, -7:-5] = random.uniform(-room, room, (draws.count, 2))
        draws["qpos"][:, -5] = 2
        draws["qvel"][:, -6:-4] = 5 * random.standard_normal((draws.count, 2))


def lift_off_ground(draws: Draws, orientation: np.ndarray) -> None:
    """Turn the torso (count, 4) and put it as low as nothing touches, at a whole number of dm_control's steps up.

    It tries them one after the other, which finds the same: what is free of the ground is free above it, too.
    """
    qpos, heights = draws["qpos"], np.cumsum([0.0, *[STEP_UP] * STEPS_UP])
    qpos[:, 3:7] = orientation
    low, high = np.zeros(draws.count, int), np.full(draws.count, STEPS_UP)  # the first free height lies in [low, high]
    while (low < high).any():
        middle = (low + high) // 2
        qpos[:, Z] = heights[middle]
        touching = draws.contacts(draws.rows) > 0
        low, high = np.where(touching, middle + 1, low), np.where(touching, high, middle)
    qpos[:, Z] = heights[high]
    assert not draws.contacts(draws.rows).any(), f"the quadruped touches something at {heights[-1]} metres"


TASKS = {
    **{f"quadruped_{name}": partial(Move, speed) for name, speed in SPEEDS.items()},
    "quadruped_escape": Escape,
    "quadruped_fetch": Fetch,
}
