"""Planar manipulator: bring a ball or a peg to a target, or insert it there (dm_control.suite.manipulator)."""

from functools import partial

import mujoco
import numpy as np
import torch
from dm_control.suite import manipulator as suite
from torch import Tensor

from envs import measures, signals
from envs.draws import Draws
from envs.measures import Measure
from envs.tasks.rewards import tolerance
from envs.tasks.task import XX, ZX, Context, X, Z, avoid_contacts, load, position, sensor, velocity

CONTROL_TIMESTEP, TIME_LIMIT = 0.01, 10  # seconds
CLOSE = 0.01  # metres
IN_GRASP = 0.05  # metres between an object and the middle of the grasp: our choice
FINGERS = ("finger", "thumb", "fingertip", "thumbtip")
IN_HAND, IN_TARGET = 0.1, 0.1  # shares of the starts, before those with contacts are left out
QW, QY = 0, 2  # places in a quaternion; bodies turn about y alone


class Arm:
    """A planar arm with a hand, which the stacker has too."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.hand, self.root = model.body("hand").id, model.body("upper_arm").id
        arm, finger, thumb = (position(model, joint) for joint in ("arm_root", "finger", "thumb"))
        self.finger, self.thumb = finger, thumb
        # In dm_control's order, which is not the model's. All joints are hinges and slides: qvel is laid out as qpos.
        self.parts = slice(arm, arm + 4), slice(finger, finger + 2), slice(thumb, thumb + 2)
        self.grasp, touch = model.site("grasp").id, [sensor(model, f"{part}_touch").start for part in FINGERS]
        self.sides = slice(touch[0], touch[2] + 1, 2), slice(touch[1], touch[3] + 1, 2)
        self.speed = Measure(self.hand_speed, ("xpos", "cvel", "subtree_com"))  # metres a second

    def hand_speed(self, c: Context) -> Tensor:
        return velocity(c, self.hand, self.root, c["xpos"][:, self.hand]).norm(dim=1)

    def holding(self, c: Context, distance: Tensor) -> Tensor:
        """Return 1 where finger and thumb feel something and an object is near enough to be it, else 0: (N,).

        distance: of the object from the grasp, (N,) metres. Fingers feel each other too.
        """
        finger, thumb = (c["sensordata"][:, side].sum(1) > 0 for side in self.sides)
        return (finger & thumb & (distance < IN_GRASP)).to(distance.dtype)

    def observe(self, c: Context) -> list[Tensor]:
        angles, velocities = (torch.cat([c[name][:, part] for part in self.parts], 1) for name in ("qpos", "qvel"))
        bounded = torch.stack([angles.sin(), angles.cos()], 2).flatten(1)  # (N, 2 joints)
        return [bounded, velocities, c["sensordata"].log1p(), pose(c, self.hand)]

    def draw(self, draws: Draws, random: np.random.Generator, rows: np.ndarray) -> None:
        """Draw angles, the same for finger and thumb."""
        for part in self.parts:
            limited, limits = draws.model.jnt_limited[part, None] == 1, draws.model.jnt_range[part]
            low, high = np.where(limited, limits, (-np.pi, np.pi)).T
            draws["qpos"][rows, part] = random.uniform(low, high, (len(rows), len(low)))
        draws["qpos"][rows, self.finger] = draws["qpos"][rows, self.thumb]


class Bring:
    """Bring an object to a target, which stands elsewhere in every episode."""

    fields = ("qpos", "qvel", "sensordata", "xpos", "xquat", "site_xpos")
    model_fields = ("body_pos", "body_quat")
    terminal = None

    def __init__(self, prop: str, insert: bool) -> None:
        source = suite.make_model(use_peg=prop == "peg", insert=insert)
        self.model, self.substeps, self.step_limit = load(source, CONTROL_TIMESTEP, TIME_LIMIT)
        self.prop, self.arm = prop, Arm(self.model)
        self.object, self.target = self.model.body(prop).id, self.model.body(f"target_{prop}").id
        start = position(self.model, f"{prop}_x")
        self.joints = slice(start, start + 3)  # x, z, turn about y
        self.most_turn = np.pi / 3 if insert else np.pi  # of the target, either way
        receptacle = {"ball": "cup", "peg": "slot"}[prop]
        self.placed = (self.target, self.model.body(receptacle).id) if insert else (self.target,)
        self.sites = {self.model.site(number).name: number for number in range(self.model.nsite)}
        self.signals = {"position": signals.body_position(self.model, prop, X, Z)}
        self.measures = {
            "hand_speed": self.arm.speed,
            "holding": Measure(self.holding, ("sensordata", "site_xpos"), range=(0.0, 1.0)),  # fraction of the steps
            f"{prop}_height": measures.height(self.model, prop),
            f"{prop}_displacement_x": measures.displacement(self.model, prop, X),
            f"{prop}_displacement_z": measures.displacement(self.model, prop, Z),
            f"{prop}_to_target": Measure(lambda c: self.distance(c, prop, f"target_{prop}"), ("site_xpos",)),  # metres
        }

    def observe(self, c: Context) -> Tensor:
        bodies = [pose(c, self.object), c["qvel"][:, self.joints], pose(c, self.target)]
        return torch.cat([*self.arm.observe(c), *bodies], 1)

    def distance(self, c: Context, one: str, two: str) -> Tensor:
        """Return the distance between two sites, (N,) metres."""
        return (c["site_xpos"][:, self.sites[one]] - c["site_xpos"][:, self.sites[two]]).norm(dim=1)

    def holding(self, c: Context) -> Tensor:
        return self.arm.holding(c, self.distance(c, {"ball": "ball", "peg": "peg_grasp"}[self.prop], "grasp"))

    def reward(self, c: Context) -> Tensor:
        def near(one: str, two: str) -> Tensor:
            return tolerance(self.distance(c, one, two), (0, CLOSE), 2 * CLOSE)

        if self.prop == "ball":
            return near("ball", "target_ball")
        grasping = (near("peg_grasp", "grasp") + near("peg_pinch", "pinch")) / 2
        bringing = (near("peg", "target_peg") + near("target_peg_tip", "peg_tip")) / 2
        return torch.maximum(bringing, grasping / 3)

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        avoid_contacts(draws, partial(self.draw, draws, random))

    def draw(self, draws: Draws, random: np.random.Generator, rows: np.ndarray) -> None:
        """Draw the arm, the target and the object: one start in ten in the hand, one in ten at the target."""
        self.arm.draw(draws, random, rows)
        count = len(rows)
        target = random.uniform((-0.4, 0.1, -self.most_turn), (0.4, 0.4, self.most_turn), (count, 3))  # x, z, turn
        for body in self.placed:
            draws["body_pos"][rows, body, X], draws["body_pos"][rows, body, Z] = target[:, 0], target[:, 1]
            draws["body_quat"][rows, body, QW] = np.cos(target[:, 2] / 2)
            draws["body_quat"][rows, body, QY] = np.sin(target[:, 2] / 2)
        kind = random.random(count)
        held, thrown = kind < IN_HAND, kind >= IN_HAND + IN_TARGET
        poses = target.copy()  # x, z, turn
        poses[held] = self.grasp(draws, rows[held])
        poses[thrown] = random.uniform((-0.5, 0, 0), (0.5, 0.7, 2 * np.pi), (thrown.sum(), 3))
        draws["qpos"][rows, self.joints] = poses
        # The others keep the speed, if any, of a pose that was thrown away for its contacts, as in dm_control.
        draws["qvel"][rows[thrown], self.joints.start] = random.uniform(-5, 5, thrown.sum())

    def grasp(self, draws: Draws, rows: np.ndarray) -> np.ndarray:
        """Return the poses (n, 3) of objects that are in the hand: x, z, turn."""
        places, frames = draws["site_xpos"], draws["site_xmat"]  # live, once they are asked for
        draws.forward(rows)
        place, frame = places[rows, self.arm.grasp], frames[rows, self.arm.grasp]  # (n, 3), (n, 9)
        return np.stack([place[:, X], place[:, Z], np.pi - np.arctan2(frame[:, ZX], frame[:, XX])], 1)


def pose(c: Context, body: int) -> Tensor:
    """Return the place and the quaternion of a body in the plane: (N, 4) x, z, qw, qy."""
    return torch.cat([c["xpos"][:, body, X :: Z - X], c["xquat"][:, body, QW :: QY - QW]], 1)


TASKS = {
    f"manipulator_{verb}_{prop}": partial(Bring, prop, insert=verb == "insert")
    for verb in ("bring", "insert")
    for prop in ("ball", "peg")
}
