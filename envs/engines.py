"""Physics in batches: what an engine is, and C MuJoCo on threads."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Protocol

import mujoco
import numpy as np
import torch
from torch import Tensor

from envs.simulations import Simulations

STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)
MANY = 512  # simulations from which an MjData for each thread takes less time: one for each leaves the caches; measured


class Engine(Protocol):
    """N copies of a model.

    fields      live views of MuJoCo's data by name, (N, ...) in `dtype` on `device`, rotations as 9 numbers
    parameters  fields of the model that differ between environments, (N, ...)
    skips_rows  whether stepping fewer rows takes less time
    room        how many contacts and constraints fit, by the option that sets it; empty where memory grows
    """

    skips_rows: bool

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def fields(self) -> Mapping[str, Tensor]: ...

    @property
    def parameters(self) -> Mapping[str, Tensor]: ...

    @property
    def room(self) -> Mapping[str, int]: ...

    def step(self, ctrl: Tensor, substeps: int, rows: np.ndarray | None = None) -> None:
        """Apply controls (N, A) for some physics steps; rows outside a mask (N,) stay as they are."""
        ...

    def state(self) -> Tensor:
        """Return a copy of all that the physics' future depends on but `parameters`, (N, S)."""
        ...

    def set_state(self, rows: np.ndarray, state: np.ndarray, parameters: Mapping[str, np.ndarray]) -> None:
        """Put the environments at indices `rows` (n,) into states (n, S) with their own model parameters (n, ...).

        Every field follows, and a state that was read from an engine goes on exactly as it would have there. Sensors
        of acceleration and force say what there would be without actuators, as after dm_control's resets.
        """
        ...

    def lost(self) -> Sequence[Tensor]:
        """Return, for each option of `room`, whether something did not fit since the start: 0-dim bool."""
        ...


class CEngine:
    """C MuJoCo in float64 on a pool of threads: equal to dm_control's own stepping, bit for bit."""

    device, dtype, skips_rows = torch.device("cpu"), torch.float64, True
    room: Mapping[str, int] = {}

    def __init__(
        self, model: mujoco.MjModel, num_envs: int, fields: Sequence[str], model_fields: Sequence[str], threads: int
    ) -> None:
        self.num_envs = num_envs
        # persistent: an MjData each, so that a step goes on from what the last one computed
        self._simulations = Simulations(model, num_envs, threads, model_fields, persistent=num_envs < MANY)
        self._batch, self._parameters = self._simulations.batch, self._simulations.parameters
        self.parameters = {name: torch.from_numpy(np.asarray(values)) for name, values in self._parameters.items()}
        self.fields = {name: self._view(name) for name in fields}
        self._ctrl = self._view("ctrl")  # (N, A)

    def step(self, ctrl: Tensor, substeps: int, rows: np.ndarray | None = None) -> None:
        """See `Engine`."""
        self._ctrl.copy_(ctrl)
        self._simulations.step(substeps, rows)

    def state(self) -> Tensor:
        """See `Engine`."""
        return torch.from_numpy(self._batch.state.copy())

    def set_state(self, rows: np.ndarray, state: np.ndarray, parameters: Mapping[str, np.ndarray]) -> None:
        """See `Engine`."""
        for name, values in parameters.items():
            self._parameters[name][rows] = values
        self._batch.state[rows] = state
        self._simulations.forward(rows)
        self._batch.state[rows] = state  # again: the solver left there what it would start from next

    def lost(self) -> tuple[()]:
        """See `Engine`."""
        return ()

    def _view(self, name: str) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # outputs are read-only arrays, and nothing here writes them
            return torch.from_numpy(self._batch.bind(name))
