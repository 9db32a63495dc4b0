"""Dog: stand, walk, trot, run, and fetch a ball (dm_control.suite.dog)."""

import math
from functools import partial

import mujoco
import numpy as np
import torch
from dm_control.suite import dog as suite
from torch import Tensor

from envs import measures, signals
from envs.draws import Draws
from envs.measures import Context, Measure
from envs.tasks.rewards import tolerance
from envs.tasks.task import ZX, X, Y, Z, load, sensor, velocity

CONTROL_TIMESTEP, TIME_LIMIT = 0.015, 15  # seconds
SPEEDS = {"stand": 0, "walk": 1, "trot": 3, "run": 9}  # metres a second
UPRIGHT_COSINE = math.cos(math.radians(30))
STAND_HEIGHT = 0.9  # of the height in the default pose
PAWS = {"front_left": "palm_L", "front_right": "palm_R", "back_left": "sole_L", "back_right": "sole_R"}
BALL_MARGIN = 2  # metres from the mouth
HIDDEN_GROUP = 3  # of the shapes that collide, under the skin


class Dog:
    """What all tasks observe, and their reward for standing."""

    fields = ("qpos", "qvel", "act", "xpos", "xmat", "sensordata")

    def __init__(self, model: mujoco.MjModel) -> None:
        model.geom_group[model.geom_group == HIDDEN_GROUP] = 0  # ray casting draws no skin: show what is under it
        self.skull, self.torso, self.pelvis = (model.body(name).id for name in ("skull", "torso", "pelvis"))
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        self.heights = [STAND_HEIGHT * float(data.xpos[body, Z]) for body in (self.torso, self.pelvis)]  # metres
        self.weight = float(-model.opt.gravity[Z] * model.body_subtreemass[self.torso])  # newtons
        hinges = int((model.jnt_type == int(mujoco.mjtJoint.mjJNT_HINGE)).sum())  # all of them behind the root
        self.angles, self.velocities = slice(7, 7 + hinges), slice(6, 6 + hinges)
        self.linvel = sensor(model, "torso_linvel")
        self.inertial = slice(sensor(model, "accelerometer").start, sensor(model, "gyro").stop)
        self.forces = slice(sensor(model, "foot_L").start, sensor(model, "hand_R").stop)
        self.touches = slice(sensor(model, "palm_L").start, sensor(model, "sole_R").stop)
        self.signals = {"position": signals.body_position(model, "torso", X, Y)}
        self.measures: dict[str, Measure] = {
            **{f"{paw}_foot_contact": measures.touch(model, site) for paw, site in PAWS.items()},
            "torso_height": measures.height(model, "torso"),
            "torso_cosine": measures.upright(model, "torso"),
            "horizontal_speed": measures.horizontal_speed(model, "root"),
            "displacement_x": measures.displacement(model, "torso", X),
            "displacement_y": measures.displacement(model, "torso", Y),
        }

    def torso_velocity(self, c: Context) -> Tensor:
        """Return the velocity of the centre of mass in the torso's frame, (N, 3)."""
        frame = c["xmat"][:, self.torso].unflatten(1, (3, 3))
        return (c["sensordata"][:, None, self.linvel] @ frame)[:, 0]

    def torso_pelvis_height(self, c: Context) -> Tensor:
        return torch.stack([c["xpos"][:, self.torso, Z], c["xpos"][:, self.pelvis, Z]], 1)  # (N, 2)

    def z_projection(self, c: Context) -> Tensor:
        """Return the world's z axis in the frames of skull, torso and pelvis: (N, 3 bodies, 3)."""
        return torch.stack([c["xmat"][:, body, ZX:] for body in (self.skull, self.torso, self.pelvis)], 1)

    def observe(self, c: Context) -> list[Tensor]:
        sensors = c["sensordata"]
        joints = [c["qpos"][:, self.angles], c["qvel"][:, self.velocities]]
        posture = [self.torso_pelvis_height(c), self.z_projection(c).flatten(1)]
        motion = [self.torso_velocity(c), sensors[:, self.inertial]]
        return [*joints, *posture, *motion, sensors[:, self.forces], sensors[:, self.touches], c["act"]]

    def stand(self, c: Context) -> Tensor:
        """Reward a high and upright trunk whose weight is on the paws: (N,)."""
        torso, pelvis = self.torso_pelvis_height(c).unbind(1)
        high = tolerance(torso, (self.heights[0], math.inf), self.heights[0])
        high = high * tolerance(pelvis, (self.heights[1], math.inf), self.heights[1])
        cosines = self.z_projection(c)[:, :, Z]
        upright = tolerance(cosines, (UPRIGHT_COSINE, math.inf), UPRIGHT_COSINE + 1, "linear", 0).prod(1)
        force = c["sensordata"][:, self.touches].sum(1)
        return high * upright * tolerance(force, (self.weight, math.inf), self.weight, "linear", 0.9)

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        count, azimuth = draws.count, random.uniform(0, 2 * np.pi, draws.count)
        draws["qpos"][:, 3], draws["qpos"][:, 6] = np.cos(azimuth / 2), np.sin(azimuth / 2)
        draws["qvel"][:, [0, 1, 5]] = 2 * random.standard_normal((count, 3))  # along the ground, and turning on it
        low, high = draws.model.actuator_ctrlrange.T
        draws["act"][:] = random.uniform(low, high, (count, len(low)))


class Move:
    """Stand and, with a speed, go forwards."""

    fields = Dog.fields
    model_fields = ()
    terminal = None

    def __init__(self, speed: int) -> None:
        source = suite.get_model_and_assets(floor_size=max(speed, SPEEDS["walk"]) * TIME_LIMIT)
        self.model, self.substeps, self.step_limit = load(source, CONTROL_TIMESTEP, TIME_LIMIT)
        self.speed, self.dog = speed, Dog(self.model)
        self.signals = self.dog.signals
        self.measures = self.dog.measures

    def observe(self, c: Context) -> Tensor:
        return torch.cat(self.dog.observe(c), 1)

    def reward(self, c: Context) -> Tensor:
        stand = self.dog.stand(c)
        if self.speed == 0:
            return stand
        forwards = self.dog.torso_velocity(c)[:, X]
        moving = tolerance(forwards, (self.speed, 2 * self.speed), max(1, self.speed), "linear", 0)
        return stand * (4 * moving + 1) / 5

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        self.dog.reset(draws, random)


class Fetch:
    """Catch a thrown ball and bring it to the middle."""

    fields = (*Dog.fields, "site_xpos", "site_xmat", "geom_xpos", "cvel", "subtree_com")
    model_fields = ()
    terminal = None

    def __init__(self) -> None:
        source = suite.get_model_and_assets(remove_ball=False)
        self.model, self.substeps, self.step_limit = load(source, CONTROL_TIMESTEP, TIME_LIMIT)
        model, self.dog = self.model, Dog(self.model)
        self.head, self.lips = model.site("head").id, [model.site(f"{lip}_bite").id for lip in ("upper", "lower")]
        self.ball_body, self.ball, self.target = model.body("ball").id, model.geom("ball").id, model.geom("target").id
        self.bite, self.near = float(model.site("upper_bite").size[0]), float(model.geom("target").size[0])
        self.arena = float(model.geom("floor").size[0])  # half of its side
        self.signals = self.dog.signals
        self.measures = {
            **self.dog.measures,
            "ball_to_mouth": Measure(self.to_mouth, ("geom_xpos", "site_xpos")),  # metres
            "ball_to_target": Measure(self.to_target, ("geom_xpos",)),  # metres
        }

    def to_mouth(self, c: Context) -> Tensor:
        """Return the distance of the ball from the mouth, (N,)."""
        ball = c["geom_xpos"][:, self.ball]
        upper, lower = ((ball - c["site_xpos"][:, lip]).norm(dim=1) for lip in self.lips)
        return (upper + lower) / 2

    def to_target(self, c: Context) -> Tensor:
        """Return the distance of the ball from the target, (N,)."""
        return (c["geom_xpos"][:, self.ball] - c["geom_xpos"][:, self.target]).norm(dim=1)

    def observe(self, c: Context) -> Tensor:
        head, ball = c["site_xpos"][:, self.head], c["geom_xpos"][:, self.ball]  # (N, 3) each
        moving = velocity(c, self.ball_body, self.ball_body, ball) - velocity(c, self.dog.skull, self.dog.torso, head)
        vectors = torch.stack([ball - head, moving, c["geom_xpos"][:, self.target] - head], 1)  # (N, 3 vectors, 3)
        frame = c["site_xmat"][:, self.head].unflatten(1, (3, 3))
        return torch.cat([*self.dog.observe(c), (vectors @ frame).flatten(1)], 1)

    def reward(self, c: Context) -> Tensor:
        distance = self.to_target(c)
        reach = (6 * tolerance(self.to_mouth(c), (0, self.bite), BALL_MARGIN, "reciprocal") + 1) / 7
        reach = torch.where(distance < 2 * self.near, 1.0, reach)  # let go of a ball that has been fetched
        fetch = (tolerance(distance, (0, self.near), self.arena, "reciprocal") + 1) / 2
        return self.dog.stand(c) * reach * fetch

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        """Throw the ball from near the walls towards the middle."""
        self.dog.reset(draws, random)
        count, root = draws.count, self.model.joint("ball_root")
        azimuth, apex, speed = (random.uniform(0, most, count) for most in (2 * np.pi, 3, 5))  # rad, m, m/s
        outwards = np.stack([np.sin(azimuth), np.cos(azimuth)], 1)
        place, throw = int(root.qposadr[0]), int(root.dofadr[0])
        draws["qpos"][:, place : place + 2] = 0.75 * self.arena * outwards
        draws["qpos"][:, place + Z] = 0.05
        noise = 0.05 * random.standard_normal((count, 2))
        draws["qvel"][:, throw : throw + 2] = speed[:, None] * (noise - outwards)
        draws["qvel"][:, throw + Z] = np.sqrt(-2 * self.model.opt.gravity[Z] * apex)


TASKS = {f"dog_{name}": partial(Move, speed) for name, speed in SPEEDS.items()} | {"dog_fetch": Fetch}
