"""Physics in batches: C MuJoCo on threads."""

import warnings
from collections.abc import Sequence

import mujoco
import numpy as np
import torch
from mujoco.batch import Batch
from torch import Tensor

VEL = int(mujoco.mjtStage.mjSTAGE_VEL)  # state after the step, position and velocity quantities fresh


class Draws:
    """A batch in which a task draws initial states, `count` at a time.

    Arrays are NumPy views, (count, ...); actuation is off, as in dm_control's resets.
    """

    def __init__(self, model: mujoco.MjModel, count: int, threads: int, model_fields: Sequence[str]) -> None:
        self.model, self.count = model, count
        without_actuation = model.__copy__()
        without_actuation.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_ACTUATION)
        self.batch = Batch(without_actuation, nsim=count, nthread=threads)
        self.parameters = {name: self.batch.expand(name) for name in model_fields}

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a data field or a per-environment model field."""
        return self.parameters[name] if name in self.parameters else self.batch.bind(name)

    def clear(self) -> None:
        """Go back to the model's defaults."""
        self.batch.reset(stage=int(mujoco.mjtStage.mjSTAGE_NONE))

    def forward(self) -> None:
        """Compute everything that follows from the present state."""
        self.batch.forward()

    def settle(self, steps: int) -> None:
        """Let physics run for a while, and set the clock back."""
        self.batch.step(nstep=steps)
        self["time"][:] = 0


class CEngine:
    """N copies of a model in float64, stepped by a pool of C threads; `fields` are live torch views, (N, ...)."""

    def __init__(
        self, model: mujoco.MjModel, num_envs: int, threads: int, fields: Sequence[str], model_fields: Sequence[str]
    ) -> None:
        self.model, self.num_envs = model, num_envs
        self.batch = Batch(model, nsim=num_envs, nthread=threads)
        self.parameters = {name: self.batch.expand(name) for name in model_fields}
        self.fields = {name: self._view(name) for name in fields}
        self.ctrl = self._view("ctrl")  # (N, A)

    def step(self, ctrl: Tensor, substeps: int, rows: np.ndarray | None = None) -> None:
        """Apply controls (N, A) for some physics steps, in all rows or where the mask (N,) is set."""
        self.ctrl.copy_(ctrl)
        self.batch.step(ids=rows, nstep=substeps, stage=VEL)

    def set_state(self, rows: np.ndarray, state: np.ndarray, parameters: dict[str, np.ndarray]) -> None:
        """Put the environments at indices `rows` (n,) into states (n, S) with their own model parameters (n, ...)."""
        for name, values in parameters.items():
            self.parameters[name][rows] = values
        self.batch.state[rows] = state
        self.batch.forward(ids=rows, stage=VEL)

    def _view(self, name: str) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # outputs are read-only arrays, and nothing here writes them
            return torch.from_numpy(self.batch.bind(name))
