"""Cart-pole: balance and swing-up, dense and sparse, and swing-up of chained poles (dm_control.suite.cartpole)."""

from functools import partial

import numpy as np
import torch
from dm_control.suite import cartpole as suite
from torch import Tensor

from envs import measures, signals
from envs.draws import Draws
from envs.tasks.rewards import tolerance
from envs.tasks.task import XZ, ZZ, Context, X, load, position

CART_RANGE = (-0.25, 0.25)  # metres
ANGLE_COSINE_RANGE = (0.995, 1.0)


class Cartpole:
    """Hold the pole or the chain of poles upright, from near upright or from hanging."""

    fields = ("qpos", "qvel", "ctrl", "xmat")
    model_fields = ()
    terminal = None

    def __init__(self, swing_up: bool, sparse: bool, poles: int = 1) -> None:
        self.model, self.substeps, self.step_limit = load(suite.get_model_and_assets(poles), None, 10)
        self.swing_up, self.sparse = swing_up, sparse
        self.slider = position(self.model, "slider")
        self.signals = {"position": signals.body_position(self.model, "cart", X)}
        self.measures = {
            "cart_position": measures.Measure(lambda c: c["qpos"][:, self.slider], ("qpos",)),  # metres
            "cart_speed": measures.speed(self.model, "slider"),
            "pole_cosine": measures.upright(self.model, *(f"pole_{pole + 1}" for pole in range(poles))),
            "pole_speed": measures.speed(self.model, *(f"hinge_{pole + 1}" for pole in range(poles))),
        }

    def observe(self, c: Context) -> Tensor:
        poles = c["xmat"][:, 2:]  # (N, poles, 9)
        angles = torch.stack([poles[..., ZZ], poles[..., XZ]], 2).flatten(1)  # (N, 2 poles): zz, xz
        return torch.cat([c["qpos"][:, self.slider : self.slider + 1], angles, c["qvel"]], 1)

    def reward(self, c: Context) -> Tensor:
        cart, cosine = c["qpos"][:, self.slider], c["xmat"][:, 2:, ZZ]  # (N,), (N, poles)
        if self.sparse:
            return tolerance(cart, CART_RANGE) * tolerance(cosine, ANGLE_COSINE_RANGE).prod(1)
        upright = ((cosine + 1) / 2).mean(1)
        centered = (1 + tolerance(cart, margin=2)) / 2
        small_control = (4 + tolerance(c["ctrl"][:, 0], margin=1, value_at_margin=0, sigmoid="quadratic")) / 5
        small_velocity = (1 + tolerance(c["qvel"][:, 1:], margin=5).amin(1)) / 2
        return upright * small_control * small_velocity * centered

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        count, slider, first = draws.count, self.slider, position(self.model, "hinge_1")
        if self.swing_up:
            draws["qpos"][:, slider] = 0.01 * random.standard_normal(count)
            draws["qpos"][:, first] = np.pi + 0.01 * random.standard_normal(count)
            draws["qpos"][:, first + 1 :] = 0.1 * random.standard_normal((count, self.model.nv - 2))
        else:
            draws["qpos"][:, slider] = random.uniform(-0.1, 0.1, count)
            draws["qpos"][:, first:] = random.uniform(-0.034, 0.034, (count, self.model.nv - 1))
        draws["qvel"][:] = 0.01 * random.standard_normal((count, self.model.nv))


TASKS = {
    "cartpole_balance": partial(Cartpole, swing_up=False, sparse=False),
    "cartpole_balance_sparse": partial(Cartpole, swing_up=False, sparse=True),
    "cartpole_swingup": partial(Cartpole, swing_up=True, sparse=False),
    "cartpole_swingup_sparse": partial(Cartpole, swing_up=True, sparse=True),
    "cartpole_two_poles": partial(Cartpole, swing_up=True, sparse=False, poles=2),
    "cartpole_three_poles": partial(Cartpole, swing_up=True, sparse=False, poles=3),
}
