"""Physics in batches: what an engine is, and C MuJoCo on threads."""

import copy
import ctypes
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import mujoco
import numpy as np
import torch
from mujoco.batch import Batch
from torch import Tensor

from envs.height_fields import expand

STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)
VEL = int(mujoco.mjtStage.mjSTAGE_VEL)  # state after the step, position and velocity quantities fresh
ACTUATION, SENSOR, ISLAND = (
    int(getattr(mujoco.mjtDisableBit, f"mjDSBL_{part}")) for part in ("ACTUATION", "SENSOR", "ISLAND")
)
RANGEFINDER = int(mujoco.mjtSensor.mjSENS_RANGEFINDER)
CLOCK = ctypes.c_void_p.in_dll(ctypes.CDLL(str(next(Path(mujoco.__file__).parent.glob("libmujoco.*")))), "mjcb_time")


class Engine(Protocol):
    """N copies of a model.

    fields      live views of MuJoCo's data by name, (N, ...) in `dtype` on `device`, rotations as 9 numbers
    parameters  fields of the model that differ between environments, (N, ...) or, where all share one, (...)
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
    """C MuJoCo in float64 on a pool of threads: equal to dm_control's own stepping, bit for bit.

    It leaves out what nobody sees: MuJoCo's clock, the search for islands of constraints where one tree of bodies makes
    one, and rangefinders in all physics steps of a control step but the last.
    """

    device, dtype, skips_rows = torch.device("cpu"), torch.float64, True
    room: Mapping[str, int] = {}

    def __init__(
        self, model: mujoco.MjModel, num_envs: int, fields: Sequence[str], model_fields: Sequence[str], threads: int
    ) -> None:
        self.num_envs = num_envs
        # one MjData each, so that a step goes on from what the last one computed
        self._batch = make_batch(model, num_envs, threads, persistent=True)
        self._skips_rays = bool((model.sensor_type == RANGEFINDER).any())
        self._parameters = {name: expand(self._batch, name) for name in model_fields}
        self.parameters = {name: torch.from_numpy(np.asarray(values)) for name, values in self._parameters.items()}
        self.fields = {name: self._view(name) for name in fields}
        self._ctrl = self._view("ctrl")  # (N, A)

    def step(self, ctrl: Tensor, substeps: int, rows: np.ndarray | None = None) -> None:
        """See `Engine`."""
        self._ctrl.copy_(ctrl)
        with untimed():
            if self._skips_rays and substeps > 1:
                switch_off(self._batch, self._parameters, SENSOR)
                self._batch.step(ids=rows, nstep=substeps - 1)
                switch_off(self._batch, self._parameters, 0)
                substeps = 1
            self._batch.step(ids=rows, nstep=substeps, stage=VEL)

    def state(self) -> Tensor:
        """See `Engine`."""
        return torch.from_numpy(self._batch.state.copy())

    def set_state(self, rows: np.ndarray, state: np.ndarray, parameters: Mapping[str, np.ndarray]) -> None:
        """See `Engine`."""
        for name, values in parameters.items():
            self._parameters[name][rows] = values
        self._batch.state[rows] = state
        forward(self._batch, self._parameters, rows)
        self._batch.state[rows] = state  # again: the solver left there what it would start from next

    def lost(self) -> tuple[()]:
        """See `Engine`."""
        return ()

    def _view(self, name: str) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # outputs are read-only arrays, and nothing here writes them
            return torch.from_numpy(self._batch.bind(name))


def make_batch(model: mujoco.MjModel, count: int, threads: int, persistent: bool = False) -> Batch:
    """Return simulations of a copy of a model, without a search for islands where there can be only one."""
    model = copy.copy(model)
    if model.ntree == 1:
        model.opt.disableflags |= ISLAND
    return Batch(model, nsim=count, nthread=threads, persistent=persistent)


def forward(batch: Batch, parameters: Mapping[str, Any], rows: np.ndarray) -> None:
    """Compute what follows from the states of `rows`, without actuators: as dm_control does when an episode begins."""
    switch_off(batch, parameters, ACTUATION)
    with untimed():
        batch.forward(ids=rows)
    switch_off(batch, parameters, 0)


def switch_off(batch: Batch, parameters: Mapping[str, Any], parts: int) -> None:
    """Let all simulations go without parts of the physics, bits of `mjtDisableBit`, and those that the model lacks."""
    flags = batch.model.opt.disableflags | parts
    if "hfield_data" in parameters:  # then each simulation has a model of its own
        parameters["hfield_data"].disable(flags)
    else:
        batch.expand("opt.disableflags")[:] = flags


@contextmanager
def untimed() -> Iterator[None]:
    """Take away the clock by which MuJoCo's bindings fill `MjData.timer`: reading it takes up to a third of a step."""
    clock = CLOCK.value
    CLOCK.value = None
    try:
        yield
    finally:
        if clock is not None:  # None where another thread has taken it, and will give it back
            CLOCK.value = clock
