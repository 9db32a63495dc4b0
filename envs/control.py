"""What makes controls of actions, where a task's actions are not its actuators' controls themselves.

A task that owns a `controller` has its actions; any other maps actions in [-1, 1] onto the ranges of its controls.
"""

from typing import Protocol

from torch import Tensor

from envs.measures import Context
from envs.tasks.task import Task


class Controller(Protocol):
    """Turn actions into controls at the beginning of every control step, from a context of N environments.

    It keeps nothing from step to step: what it must know of the past it reads of the controls that it gave last, which
    engines save with the state. Tensors among its attributes are constants, which `place` moves.
    """

    action_dim: int
    fields: tuple[str, ...]  # what it reads of the context

    def __call__(self, c: Context, action: Tensor) -> Tensor:
        """Return the controls (N, U) that an action (N, A) in [-1, 1] asks for."""
        ...


def of(task: Task) -> Controller | None:
    """Return what makes a task's controls; None where its actions are shares of the controls' ranges."""
    return getattr(task, "controller", None)


def action_dim(task: Task) -> int:
    """Return how many numbers an action of a task has."""
    controller = of(task)
    return task.model.nu if controller is None else controller.action_dim
