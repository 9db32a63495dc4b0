"""Initial states, drawn in batches as dm_control draws them one by one."""

import json
from typing import Any

import numpy as np

from envs.checks import check_whole
from envs.draws import Draws
from envs.tasks.task import Task

FEWEST = 32  # states drawn at a time, or as many as there are environments


class Resets:
    """A supply of initial states that refills itself; no state is handed out twice."""

    def __init__(self, task: Task, num_envs: int, threads: int, seed: int) -> None:
        self._task, self.num_envs = task, num_envs
        self._draws = Draws(task.model, max(num_envs, FEWEST), threads, task.model_fields)
        self._next = 0
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Begin anew with the states of another seed; raise ValueError for one below 0."""
        check_whole(0, seed=seed)
        self._random = np.random.default_rng(seed)
        self._refill()

    def take(self, count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return states (count, S) and the model fields that go with them, name -> (count, ...)."""
        states, parameters = [], {name: [] for name in self._draws.parameters}  # type: ignore[var-annotated]
        while count:
            if self._next == self._draws.count:
                self._refill()
            some = slice(self._next, min(self._next + count, self._draws.count))
            states.append(self._draws.batch.state[some].copy())
            for name, values in self._draws.parameters.items():
                parameters[name].append(values[some].copy())
            count -= some.stop - some.start
            self._next = some.stop
        return np.concatenate(states), {name: np.concatenate(values) for name, values in parameters.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the generator as it was before the present batch, which loading draws again, and the place in it."""
        return {"random": json.dumps(self._before), "next": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state` was taken."""
        self._random.bit_generator.state = json.loads(state["random"])
        self._refill()
        self._next = state["next"]

    def _refill(self) -> None:
        self._before: Any = self._random.bit_generator.state
        self._draws.clear()
        self._task.reset(self._draws, self._random)
        self._draws.forward(self._draws.rows)
        self._next = 0
