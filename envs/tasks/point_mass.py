"""Point mass: easy, and hard with its actuators mixed anew in every episode (dm_control.suite.point_mass)."""

from functools import partial

import numpy as np
import torch
from dm_control.suite import point_mass as suite
from torch import Tensor

from envs import measures, signals
from envs.draws import Draws
from envs.tasks.rewards import tolerance
from envs.tasks.task import ATTEMPTS, Context, X, Y, load, randomize_joints, unit_vectors

PARALLEL = 0.9  # largest |cosine| between the two directions of actuation


class PointMass:
    """Push a point mass to the middle."""

    fields = ("qpos", "qvel", "ctrl", "geom_xpos")
    terminal = None

    def __init__(self, mixed: bool) -> None:
        self.model, self.substeps, self.step_limit = load(suite.get_model_and_assets(), None, 20)
        self.mixed, self.model_fields = mixed, ("wrap_prm",) if mixed else ()
        self.mass, self.target = self.model.geom("pointmass").id, self.model.geom("target").id
        self.target_size = float(self.model.geom_size[self.target, 0])
        self.signals = {"position": signals.body_position(self.model, "pointmass", X, Y)}
        self.measures = {
            "displacement_x": measures.displacement(self.model, "pointmass", X),
            "displacement_y": measures.displacement(self.model, "pointmass", Y),
            "speed": measures.speed(self.model, "root_x", "root_y"),
        }

    def observe(self, c: Context) -> Tensor:
        return torch.cat([c["qpos"], c["qvel"]], 1)

    def reward(self, c: Context) -> Tensor:
        distance = (c["geom_xpos"][:, self.target] - c["geom_xpos"][:, self.mass]).norm(dim=1)
        near_target = tolerance(distance, (0, self.target_size), self.target_size)
        small_control = tolerance(c["ctrl"], margin=1, value_at_margin=0, sigmoid="quadratic").mean(1)
        return near_target * ((small_control + 4) / 5)

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        randomize_joints(draws, random, draws.rows)
        if self.mixed:
            first, second = self.directions(draws.count, random)
            draws["wrap_prm"][:, self.coefficients("t1")] = first
            draws["wrap_prm"][:, self.coefficients("t2")] = second

    def coefficients(self, tendon: str) -> slice:
        """Where the joint coefficients of a fixed tendon stand in wrap_prm."""
        number = self.model.tendon(tendon).id
        start = int(self.model.tendon_adr[number])
        return slice(start, start + int(self.model.tendon_num[number]))

    def directions(self, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw pairs of unit vectors, (count, 2) each, that are not too parallel."""
        first, second = unit_vectors(count, 2, random), unit_vectors(count, 2, random)
        for _ in range(ATTEMPTS):
            parallel = np.abs((first * second).sum(1)) > PARALLEL  # (count,)
            if not parallel.any():
                break
            second[parallel] = unit_vectors(int(parallel.sum()), 2, random)
        return first, second


TASKS = {"point_mass_easy": partial(PointMass, mixed=False), "point_mass_hard": partial(PointMass, mixed=True)}
