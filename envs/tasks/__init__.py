"""dm_control's tasks as batched torch functions, one file a domain."""

from collections.abc import Callable

from envs.tasks import cartpole, cheetah, walker
from envs.tasks.task import Task

MODULES = (cartpole, cheetah, walker)
TASKS: dict[str, Callable[[], Task]] = {name: make for module in MODULES for name, make in module.TASKS.items()}
