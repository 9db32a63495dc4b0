"""Say where the time of a step with pixels goes, on one thread and on all: python tests/benchmarks/pixels.py."""

import argparse
import dataclasses
import platform
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

import envs
from envs.cores import cores

TASKS = ("cartpole_swingup", "cheetah_run", "walker_walk", "humanoid_walk")


class Clock:
    """Call a function and add up the seconds that it takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments: Any) -> None:
        began = time.perf_counter()
        self.function(*arguments)
        self.seconds += time.perf_counter() - began


def put_clocks(env: Any) -> tuple[list[Clock], Clock]:
    """Time the ray caster of a `BatchedEnv`, on each of its threads, and the physics."""
    shards, engine = env._renderer._shards, env._engine
    for covered, some in shards.items():
        shards[covered] = [dataclasses.replace(shard, trace=Clock(shard.trace)) for shard in some]
    engine.step = Clock(engine.step)
    return [shard.trace for some in shards.values() for shard in some], engine.step


def measure(task: str, num_envs: int, threads: int, seconds: float) -> tuple[float, float, float]:
    """Step for some seconds -> environment steps a second, shares of the ray caster and of the physics."""
    env = envs.make(task, num_envs, pixels=True, distraction="video", threads=threads)
    env.reset()
    actions = torch.rand(16, num_envs, env.action_dim) * 2 - 1
    for action in actions:
        env.step(action)
    rays, physics = put_clocks(env)
    began, steps = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < seconds:
        env.step(actions[steps % len(actions)])
        steps += 1
    env.close()
    return steps * num_envs / elapsed, sum(c.seconds for c in rays) / len(rays) / elapsed, physics.seconds / elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=envs.TASKS, metavar="TASK")
    parser.add_argument("--num-envs", type=int, default=64)
    parser.add_argument("--threads", nargs="+", type=int, default=sorted({1, cores()}))
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    arguments = parser.parse_args()
    print(f"{date.today()}, {platform.machine()}, {cores()} cores, {arguments.num_envs} environments, 64x64")
    print(f"\n{'':22}{'threads':>8}{'steps/s':>10}{'speed-up':>10}{'rays':>8}{'physics':>9}{'rest':>7}")
    for task in arguments.tasks:
        first = None
        for threads in arguments.threads:
            rate, rays, physics = measure(task, arguments.num_envs, threads, arguments.seconds)
            first = first or rate
            rest = 1 - rays - physics
            print(f"{task:22}{threads:>8}{rate:>10,.0f}{rate / first:>9.2f}x{rays:>8.0%}{physics:>9.0%}{rest:>7.0%}")


if __name__ == "__main__":
    main()
