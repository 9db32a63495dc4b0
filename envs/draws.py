"""Where tasks draw initial states: a batch of C simulations that is never stepped for an agent."""

from collections.abc import Sequence

import mujoco
import numpy as np

from envs.simulations import Simulations

POS = int(mujoco.mjtStage.mjSTAGE_POS)  # what follows from positions alone, contacts included


class Draws:
    """A batch in which a task draws initial states, `count` at a time.

    Arrays are NumPy views, (count, ...).
    """

    def __init__(self, model: mujoco.MjModel, count: int, threads: int, model_fields: Sequence[str]) -> None:
        self.model, self.count, self.rows = model, count, np.arange(count)
        self._simulations = Simulations(model, count, threads, model_fields)
        self.batch, self.parameters = self._simulations.batch, self._simulations.parameters
        self._contacts = self.batch.bind("ncon")  # (count,)

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a field of the state, or a per-environment model field."""
        return self.parameters[name] if name in self.parameters else self.batch.bind(name)

    def clear(self) -> None:
        """Go back to the model's defaults."""
        self.batch.reset()

    def forward(self, rows: np.ndarray) -> None:
        """Compute what follows from the present state of `rows`, without actuators."""
        self._simulations.forward(rows)

    def contacts(self, rows: np.ndarray) -> np.ndarray:
        """Count the contacts in the present positions of `rows`."""
        self.batch.forward(ids=rows, stage=POS)
        return self._contacts[rows]

    def settle(self, steps: int) -> None:
        """Let physics run from the present positions, and set the clock back.

        The first step moves by the accelerations of the default state: dm_control's `Physics.step` begins with
        `mj_step2`, which goes by what was computed before a reset changed the positions.
        """
        positions = self["qpos"].copy()
        self.batch.reset()
        self._simulations.step(1)
        self["qpos"][:] = positions + self.model.opt.timestep * self["qvel"]  # hinges and slides only
        self._simulations.step(steps - 1)
        self["time"][:] = 0
