"""Fish: keep upright, or swim to a target (dm_control.suite.fish)."""

from functools import partial

import numpy as np
import torch
from dm_control.suite import fish as suite
from torch import Tensor

from envs import measures, signals
from envs.draws import Draws
from envs.tasks.rewards import tolerance
from envs.tasks.task import ZZ, Context, X, Y, Z, load, position, unit_vectors

LARGEST_ANGLE = 0.2  # radians, of a joint at the start
TARGET_LOW, TARGET_HIGH = (-0.4, -0.4, 0.1), (0.4, 0.4, 0.3)  # metres


class Fish:
    """Keep upright and, when swimming, bring the mouth to a target, which stands elsewhere in every episode."""

    fields = ("qpos", "qvel", "xmat", "geom_xpos", "geom_xmat")
    terminal = None

    def __init__(self, swimming: bool) -> None:
        self.model, self.substeps, self.step_limit = load(suite.get_model_and_assets(), 0.04, 40)
        self.swimming, self.model_fields = swimming, ("geom_pos",) if swimming else ()
        self.torso, self.joints = self.model.body("torso").id, position(self.model, "tail1")  # 7 from there on
        self.mouth, self.target = self.model.geom("mouth").id, self.model.geom("target").id
        self.radii = float(self.model.geom_size[[self.mouth, self.target], 0].sum())
        if not swimming:
            self.model.geom_rgba[self.target, 3] = 0
        self.signals = {"position": signals.body_position(self.model, "torso", X, Y, Z)}
        self.measures = {
            "torso_cosine": measures.upright(self.model, "torso"),
            "torso_speed": measures.speed(self.model, "root"),
            "displacement_x": measures.displacement(self.model, "torso", X),
            "displacement_y": measures.displacement(self.model, "torso", Y),
            "displacement_z": measures.displacement(self.model, "torso", Z),
        }

    def to_target(self, c: Context) -> Tensor:
        """Return where the target is from the mouth, along the mouth's axes: (N, 3)."""
        to_target = c["geom_xpos"][:, self.target] - c["geom_xpos"][:, self.mouth]  # (N, 3)
        return (to_target.unsqueeze(2) * c["geom_xmat"][:, self.mouth].unflatten(1, (3, 3))).sum(1)

    def observe(self, c: Context) -> Tensor:
        target = [self.to_target(c)] if self.swimming else []
        return torch.cat([c["qpos"][:, self.joints :], c["xmat"][:, self.torso, ZZ:], *target, c["qvel"]], 1)

    def reward(self, c: Context) -> Tensor:
        cosine = c["xmat"][:, self.torso, ZZ]
        if not self.swimming:
            return tolerance(cosine, (1, 1), 1)
        in_target = tolerance(self.to_target(c).norm(dim=1), (0, self.radii), 2 * self.radii)
        return (7 * in_target + (cosine + 1) / 2) / 8

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        count, angles = draws.count, self.model.nq - self.joints
        draws["qpos"][:, 3:7] = unit_vectors(count, 4, random)
        draws["qpos"][:, self.joints :] = random.uniform(-LARGEST_ANGLE, LARGEST_ANGLE, (count, angles))
        if self.swimming:
            draws["geom_pos"][:, self.target] = random.uniform(TARGET_LOW, TARGET_HIGH, (count, 3))


TASKS = {"fish_upright": partial(Fish, swimming=False), "fish_swim": partial(Fish, swimming=True)}
