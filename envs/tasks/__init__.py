"""Tasks as batched torch functions, one file a domain: all of dm_control's suite, and ours."""

from collections.abc import Callable

from envs.tasks import (
    acrobot,
    ball_in_cup,
    cartpole,
    cheetah,
    dog,
    finger,
    fish,
    hopper,
    humanoid,
    humanoid_CMU,
    lqr,
    manipulator,
    panda,
    pendulum,
    point_mass,
    quadruped,
    reacher,
    stacker,
    swimmer,
    walker,
)
from envs.tasks.task import Task

SUITE_MODULES = (
    acrobot,
    ball_in_cup,
    cartpole,
    cheetah,
    dog,
    finger,
    fish,
    hopper,
    humanoid,
    humanoid_CMU,
    lqr,
    manipulator,
    pendulum,
    point_mass,
    quadruped,
    reacher,
    stacker,
    swimmer,
    walker,
)
TASKS: dict[str, Callable[[], Task]] = {
    name: make for module in (*SUITE_MODULES, panda) for name, make in module.TASKS.items()
}
SUITE = tuple(name for module in SUITE_MODULES for name in module.TASKS)  # those that dm_control has
