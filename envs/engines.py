"""Physics in batches: C MuJoCo on threads."""

import warnings
from collections.abc import Sequence

import mujoco
import numpy as np
import torch
from mujoco.batch import Batch
from torch import Tensor

VEL = int(mujoco.mjtStage.mjSTAGE_VEL)  # state after the step, position and velocity quantities fresh


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
        """Put the environments at indices `rows` (n,) into states (n, S) with their own model parameters (n, ...).

        Every field follows, sensors of acceleration and force included, and a state that was read from an engine
        goes on exactly as it would have there.
        """
        for name, values in parameters.items():
            self.parameters[name][rows] = values
        self.batch.state[rows] = state
        self.batch.forward(ids=rows)
        self.batch.state[rows] = state  # again: the solver left there what it would start from next

    def _view(self, name: str) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # outputs are read-only arrays, and nothing here writes them
            return torch.from_numpy(self.batch.bind(name))
