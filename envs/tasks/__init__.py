"""dm_control's tasks as batched torch functions, one file a domain."""

from collections.abc import Callable

from envs.tasks import ball_in_cup, cartpole, cheetah, finger, hopper, pendulum, point_mass, reacher, walker
from envs.tasks.task import Task

MODULES = (ball_in_cup, cartpole, cheetah, finger, hopper, pendulum, point_mass, reacher, walker)
TASKS: dict[str, Callable[[], Task]] = {name: make for module in MODULES for name, make in module.TASKS.items()}
