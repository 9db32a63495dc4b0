"""Linear-quadratic regulator: chains of 2 and 6 masses on springs (dm_control.suite.lqr)."""

from functools import partial

import numpy as np
import torch
from dm_control.suite import lqr as suite
from torch import Tensor

from envs import measures
from envs.draws import Draws
from envs.signals import Signal
from envs.tasks.task import Context, load, unit_vectors

SPRINGS_SEED = 0  # our choice: dm_control draws the springs when it makes an environment, we have one system for all
TIME_LIMIT = 30  # seconds, 1000 control steps: our choice, dm_control has none
LARGEST_CONTROL = 6  # newtons: our choice, dm_control has no bounds; the optimal controller stays below
CONTROL_COST = 0.1
TERMINAL_NORM = 1e-6  # of positions and velocities together


class LQR:
    """Bring all masses to rest in the middle with little force; the episode ends when they are there."""

    fields = ("qpos", "qvel", "ctrl")
    model_fields = ()

    def __init__(self, bodies: int, actuators: int) -> None:
        source = suite.get_model_and_assets(bodies, actuators, np.random.RandomState(SPRINGS_SEED))
        self.model, self.substeps, self.step_limit = load(source, None, TIME_LIMIT)
        self.model.actuator_ctrllimited[:] = True
        self.model.actuator_ctrlrange[:] = (-LARGEST_CONTROL, LARGEST_CONTROL)
        self.signals = {"position": Signal(lambda c: c["qpos"], ("qpos",))}
        self.measures = {
            "distance": measures.Measure(lambda c: c["qpos"].norm(dim=1), ("qpos",)),  # metres, root of sum of squares
            "speed": measures.speed(self.model, *(f"joint_{body}" for body in range(bodies))),
            "control": measures.Measure(lambda c: c["ctrl"].norm(dim=1), ("ctrl",)),  # newtons, root of sum of squares
        }

    def observe(self, c: Context) -> Tensor:
        return torch.cat([c["qpos"], c["qvel"]], 1)

    def reward(self, c: Context) -> Tensor:
        return 1 - (c["qpos"].square().sum(1) / 2 + CONTROL_COST * (c["ctrl"].square().sum(1) / 2))

    def terminal(self, c: Context) -> Tensor:
        """Return where positions and velocities are zero, nearly: (N,) bool."""
        return torch.cat([c["qpos"], c["qvel"]], 1).norm(dim=1) < TERMINAL_NORM

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        draws["qpos"][:] = np.sqrt(2) * unit_vectors(draws.count, self.model.nq, random)


TASKS = {"lqr_lqr_2_1": partial(LQR, 2, 1), "lqr_lqr_6_2": partial(LQR, 6, 2)}
