"""Tasks compute where their context is and in its type: shown on the meta device, which has no numbers to look at."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

import envs
from envs.engines import CEngine
from envs.tasks import TASKS
from envs.tasks.task import place


class NoLists(TorchFunctionMode):
    """Refuse indices that would be copied to the device at every step."""

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function is torch.Tensor.__getitem__:
            indices = args[1] if isinstance(args[1], tuple) else (args[1],)
            assert not any(isinstance(index, list | np.ndarray) for index in indices), f"indexed by {indices}"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", envs.TASKS)
def test_tasks_compute_where_their_context_is(name: str) -> None:
    task, meta = TASKS[name](), torch.device("meta")
    place(task, meta, torch.float32)
    reads = list(task.measures.values())
    fields = {*task.fields, *(field for measure in reads for field in measure.fields)}
    on_cpu = CEngine(task.model, 3, tuple(fields), task.model_fields, 1).fields
    context = {field: view.to(meta, torch.float32) for field, view in on_cpu.items()}
    with NoLists():
        observation, reward = task.observe(context), task.reward(context)
        values = [measure.read(context) for measure in reads]
        ended = None if task.terminal is None else task.terminal(context)
    assert observation.shape[0] == 3 and observation.dim() == 2
    for value in (observation, reward, *values):
        assert value.device == meta and value.dtype == torch.float32
    assert all(value.shape == (3,) for value in (reward, *values))
    assert ended is None or (ended.shape == (3,) and ended.device == meta and ended.dtype == torch.bool)
