"""Finger: spin a body, or turn it to a target (dm_control.suite.finger)."""

from functools import partial

import mujoco
import numpy as np
import torch
from dm_control.suite import finger as suite
from torch import Tensor

from envs import measures
from envs.draws import Draws
from envs.signals import Signal
from envs.tasks.task import Context, X, Z, avoid_contacts, load, position, randomize_joints, sensor

EASY_TARGET, HARD_TARGET = 0.07, 0.03  # metres
SPIN_VELOCITY = 15.0  # radians a second
SPIN_DAMPING = 0.03  # of the hinge, which turns more easily in this task


class Sensors:
    """What both tasks observe, which is all in the model's sensors, and measure."""

    def __init__(self, model: mujoco.MjModel) -> None:
        joints = ("proximal", "distal", "proximal_velocity", "distal_velocity", "hinge_velocity")
        sites = ("touchtop", "touchbottom", "tip", "target", "spinner")
        self.at = {name: sensor(model, name) for name in (*joints, *sites)}
        self.spinner = position(model, "hinge")
        self.signals = {"position": Signal(lambda c: c["qpos"][:, self.spinner : self.spinner + 1], ("qpos",))}
        self.measures = {
            "spinner_turn": measures.turn(model, "hinge"),
            "spinner_speed": measures.speed(model, "hinge"),
            "finger_speed": measures.speed(model, "proximal", "distal"),
            "touching": measures.Measure(self.touching, ("sensordata",), range=(0.0, 1.0)),  # fraction of the steps
        }

    def of(self, c: Context, name: str) -> Tensor:
        return c["sensordata"][:, self.at[name]]

    def from_hinge(self, c: Context, name: str) -> Tensor:
        """Return the (x, z) position of the tip or the target relative to the hinge, (N, 2)."""
        return (self.of(c, name) - self.of(c, "spinner"))[:, X :: Z - X]

    def touching(self, c: Context) -> Tensor:
        """Return 1 where the fingertip touches the spinner, else 0: (N,)."""
        force = self.of(c, "touchtop") + self.of(c, "touchbottom")  # (N, 1)
        return (force[:, 0] > 0).to(force.dtype)

    def observe(self, c: Context) -> list[Tensor]:
        position = [self.of(c, "proximal"), self.of(c, "distal"), self.from_hinge(c, "tip")]
        velocity = [self.of(c, f"{name}_velocity") for name in ("proximal", "distal", "hinge")]
        return [*position, *velocity, self.of(c, "touchtop").log1p(), self.of(c, "touchbottom").log1p()]


class Spin:
    """Keep the body spinning."""

    fields = ("qpos", "sensordata")
    model_fields = ()
    terminal = None

    def __init__(self) -> None:
        self.model, self.substeps, self.step_limit = load(suite.get_model_and_assets(), 0.02, 20)
        self.model.dof_damping[self.model.joint("hinge").dofadr[0]] = SPIN_DAMPING
        for site in ("target", "tip"):
            self.model.site(site).rgba[3] = 0
        self.sensors = Sensors(self.model)
        self.signals = self.sensors.signals
        self.measures = self.sensors.measures

    def observe(self, c: Context) -> Tensor:
        return torch.cat(self.sensors.observe(c), 1)

    def reward(self, c: Context) -> Tensor:
        velocity = self.sensors.of(c, "hinge_velocity")[:, 0]  # (N,)
        return (velocity <= -SPIN_VELOCITY).to(velocity.dtype)

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        avoid_contacts(draws, partial(randomize_joints, draws, random))


class Turn:
    """Turn the body's tip to a target, which stands elsewhere in every episode."""

    fields = ("qpos", "sensordata")
    model_fields = ("site_pos",)
    terminal = None

    def __init__(self, target_radius: float) -> None:
        self.model, self.substeps, self.step_limit = load(suite.get_model_and_assets(), 0.02, 20)
        self.target, self.target_radius = self.model.site("target").id, target_radius
        self.model.site_size[self.target, 0] = target_radius
        self.sensors = Sensors(self.model)
        self.signals = self.sensors.signals
        self.measures = self.sensors.measures

    def distance(self, c: Context) -> Tensor:
        """Return the distance of the tip from the target's surface, negative inside: (N,)."""
        to_target = self.sensors.from_hinge(c, "target") - self.sensors.from_hinge(c, "tip")
        return to_target.norm(dim=1) - self.target_radius

    def observe(self, c: Context) -> Tensor:
        target = self.sensors.from_hinge(c, "target")
        return torch.cat([*self.sensors.observe(c), target, self.distance(c)[:, None]], 1)

    def reward(self, c: Context) -> Tensor:
        distance = self.distance(c)
        return (distance <= 0).to(distance.dtype)

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        angle = random.uniform(-np.pi, np.pi, draws.count)
        hinge, radius = self.model.body("spinner").pos, self.model.geom("cap1").size.sum()
        draws["site_pos"][:, self.target, X] = hinge[X] + radius * np.sin(angle)
        draws["site_pos"][:, self.target, Z] = hinge[Z] + radius * np.cos(angle)
        avoid_contacts(draws, partial(randomize_joints, draws, random))


TASKS = {
    "finger_spin": Spin,
    "finger_turn_easy": partial(Turn, EASY_TARGET),
    "finger_turn_hard": partial(Turn, HARD_TARGET),
}
