"""Evaluations a second of agents that fill archives, and where the time goes: python tests/benchmarks/evaluations.py.

The trainer's loop without its logger: all environments play one generation after another, and timing begins after
--warm-up evaluations. "floor" is physics alone: the simulator replays the actions of a generation, without tasks,
policies or new starts. Rates are the best of --turns generations; shares are of another generation, in which every part
is timed by itself: "starts" draws where episodes begin, "tasks" is what else environments do. On one thread time is the
processor's, which other work changes little; on several, and on a GPU, it is the clock's on the wall.

On a GPU: --device cuda --agents map-elites pga-map-elites --num-envs 1024 8192.
"""

import argparse
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents.config import Config
from agents.generators import seed_generators
from agents.map_elites import MapElites
from agents.presets import AGENTS
from agents.replay import ReplayBuffer
from agents.schedule import Ratio
from envs.checks import check_device
from train import make_agent, make_envs

PARTS = ("physics", "starts", "tasks", "policies", "variation", "archive", "replay", "learning")
Call = Callable[..., Any]


class Clock:
    """Seconds that each part took, without the parts that it called."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, defaultdict[str, float](float)
        self.read = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
        self.inner = [0.0]  # seconds of the parts that were called, for each part that is running

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return self.read()

    def timed(self, name: str, call: Call) -> Call:
        """Return a function that does what `call` does, and counts its time."""

        def counted(*args: Any, **more: Any) -> Any:
            start = self.now()
            self.inner.append(0.0)
            result = call(*args, **more)
            spent, within = self.now() - start, self.inner.pop()
            self.seconds[name] += spent - within
            self.inner[-1] += spent
            return result

        return counted


class Loop:
    """An agent that plays generations."""

    def __init__(self, config: Config[Any]) -> None:
        seed_generators(config.seed)
        self.config, self.device = config, check_device(config.device)
        self.envs = make_envs(config)
        self.agent = make_agent(config, self.envs)
        self.replay = ReplayBuffer(config.replay_size, config.num_envs, self.device)
        self.should_learn = Ratio(config.train_ratio, config.num_envs * config.action_repeat)
        self.timestep, self.carry = self.envs.reset(), self.agent.initial_carry(config.num_envs)
        self.actions: list[Tensor] = []

    def generation(self) -> None:
        """Play one episode in each environment, to its last row."""
        agent, replay, envs, prefill = self.agent, self.replay, self.envs, self.config.prefill
        self.actions.clear()
        for _ in range(envs.episode_length + 1):
            out, self.carry = agent.act(self.timestep, self.carry)
            replay.add(self.timestep.clone().update(out))
            self.timestep = envs.step(out["action"])
            self.actions.append(out["action"])
            for _ in range(self.should_learn() if len(replay) * self.config.action_repeat >= prefill else 0):
                agent.update(replay)

    def physics(self) -> None:
        """Step the simulator alone through the actions of the last generation, but the one that only resets."""
        envs = self.envs
        for action in self.actions[1:]:
            ctrl = envs._middle + envs._half * action.to(envs._engine.device, envs._engine.dtype)
            envs._engine.step(ctrl, envs._functions.substeps)

    def watch(self, clock: Clock) -> None:
        """Let a clock follow every part from now on."""
        envs, agent = self.envs, self.agent
        assert isinstance(agent, MapElites)
        for owner, method, part in (
            (envs, "step", "tasks"),
            (envs, "_begin", "starts"),
            (envs._engine, "step", "physics"),
            (agent, "act", "archive"),
            (agent, "update", "learning"),
            (agent.kind, "act", "policies"),
            (agent.emitters, "emit", "variation"),
            (self.replay, "add", "replay"),
        ):
            setattr(owner, method, clock.timed(part, getattr(owner, method)))


def seconds(call: Call, device: torch.device) -> float:
    clock = Clock(device)
    clock.timed("all", call)()
    return clock.seconds["all"]


def measure(config: Config[Any], warm_up: int, turns: int) -> tuple[float, float, dict[str, float]]:
    """Return evaluations a second, those of physics alone, and the share of each part."""
    loop = Loop(config)
    for _ in range(-(-warm_up // config.num_envs)):
        loop.generation()
    rates = [config.num_envs / seconds(loop.generation, loop.device) for _ in range(turns)]
    state = loop.envs.state_dict()
    alone = []
    for _ in range(turns):
        loop.envs.load_state_dict(state)
        alone.append(config.num_envs / seconds(loop.physics, loop.device))
    loop.envs.load_state_dict(state)
    clock = Clock(loop.device)
    loop.watch(clock)
    loop.generation()
    total = sum(clock.seconds.values())
    return max(rates), max(alone), {part: clock.seconds[part] / total for part in PARTS}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", nargs="+", default=["map-elites-small", "pga-map-elites-small"])
    parser.add_argument("--num-envs", type=int, nargs="+", default=[64, 256, 1024], help="policies at once")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--warm-up", type=int, default=1024, help="evaluations that are not timed")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--time-limit", type=int, help="control steps of an evaluation instead of the agent's own")
    args = parser.parse_args(arguments)
    print(f"{date.today()} {platform.machine()} torch {torch.__version__} {args.device}, best of {args.turns} turns\n")
    print(f"| agent | population | threads | evaluations/s | floor | {' | '.join(PARTS)} |")
    print("|---" * (5 + len(PARTS)) + "|")
    for name in args.agents:
        for threads in args.threads:
            torch.set_num_threads(threads)
            for num_envs in args.num_envs:
                prefill = max(AGENTS[name].prefill, 2 * num_envs)  # critics learn from pairs of rows
                scene = {"num_envs": num_envs, "prefill": prefill, "threads": threads, "device": args.device}
                config = replace(AGENTS[name], **scene)
                if args.time_limit is not None:
                    config = replace(config, time_limit=args.time_limit)
                rate, floor, shares = measure(config, args.warm_up, args.turns)
                cells = [name, f"{num_envs:,}", str(threads), f"{rate:,.0f}", f"{floor:,.0f} ({floor / rate:.1f}x)"]
                print(f"| {' | '.join([*cells, *(f'{shares[part]:.0%}' for part in PARTS)])} |", flush=True)


if __name__ == "__main__":
    main()
