"""Many simulations of one model on threads, without what nobody sees of them."""

import copy
import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch

from envs.height_fields import HeightFields

VEL = int(mujoco.mjtStage.mjSTAGE_VEL)  # what follows from positions and velocities
ACTUATION, SENSOR, ISLAND, AUTORESET, FRICTIONLOSS = (
    int(getattr(mujoco.mjtDisableBit, f"mjDSBL_{part}"))
    for part in ("ACTUATION", "SENSOR", "ISLAND", "AUTORESET", "FRICTIONLOSS")
)
ENERGY = int(mujoco.mjtEnableBit.mjENBL_ENERGY)
CLOCK = ctypes.c_void_p.in_dll(ctypes.CDLL(str(next(Path(mujoco.__file__).parent.glob("libmujoco.*")))), "mjcb_time")


class Simulations:
    """A `Batch` of a copy of a model, which gives MuJoCo's bits for less time.

    It leaves out MuJoCo's clock, energies, friction losses where there are none, the search for islands of constraints
    where one tree of bodies makes one, and, where no field of the model is expanded, sensors in all physics steps of a
    `step` but the last.

    batch       states, fields and resets are its own
    parameters  fields of the model that differ between simulations, arrays (count, ...) to read and write by rows
    """

    def __init__(
        self, model: mujoco.MjModel, count: int, threads: int, model_fields: Sequence[str], persistent: bool = False
    ) -> None:
        model = copy.copy(model)
        model.opt.disableflags |= AUTORESET  # of what diverged, into the default state: it is to be noticed
        model.opt.enableflags &= ~ENERGY
        if model.ntree == 1:
            model.opt.disableflags |= ISLAND
        if not (model.dof_frictionloss.any() or model.tendon_frictionloss.any() or model_fields):
            model.opt.disableflags |= FRICTIONLOSS
        self._disabled = model.opt.disableflags
        self.batch = Batch(model, nsim=count, nthread=threads, persistent=persistent)
        self.parameters: dict[str, Any] = {}
        # The models that run. What is edited in them does not make the batch forget what it has computed, as a write to
        # an expanded field does: sensors, on which nothing else depends, can be switched off without losing time.
        self._models: list[mujoco.MjModel] = []
        if "hfield_data" in model_fields:
            self.parameters["hfield_data"] = terrain = HeightFields(self.batch)
            self._models = terrain.models
        elif model_fields:
            self.parameters = {name: self.batch.expand(name) for name in model_fields}
        else:
            self._models = [model]
            self.batch.set_models(model)
        self._skips_sensors = model.nsensor > 0 and bool(self._models)

    def step(self, substeps: int, rows: np.ndarray | None = None) -> None:
        """Take some physics steps in `rows`, by default all, and compute what follows from the state that results."""
        with untimed():
            if self._skips_sensors and substeps > 2:  # the second call takes about as long as one step's sensors
                self._switch_off(SENSOR)
                self.batch.step(ids=rows, nstep=substeps - 1)
                self._switch_off(0)
                substeps = 1
            self.batch.step(ids=rows, nstep=substeps, stage=VEL)

    def forward(self, rows: np.ndarray) -> None:
        """Compute what follows from the states of `rows`, without actuators: as dm_control does when episodes begin."""
        self._switch_off(ACTUATION)
        with untimed():
            self.batch.forward(ids=rows)
        self._switch_off(0)
        if self._models:  # forget what was computed: compensation of gravity is an actuator's with some joints
            self.batch.set_models(self._models if "hfield_data" in self.parameters else self._models[0])

    def _switch_off(self, parts: int) -> None:
        """Go without parts of the physics, bits of `mjtDisableBit`, and those that are always left out."""
        for model in self._models:
            model.opt.disableflags = self._disabled | parts
        if not self._models:
            self.batch.expand("opt.disableflags")[:] = self._disabled | parts


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
