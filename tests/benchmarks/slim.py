"""Samples a second of SLIM beside rsl_rl's PPO at equal sizes: python tests/benchmarks/slim.py.

SLIM has a critic for each of three rewards, rsl_rl's PPO one for one reward; otherwise sizes, passes, minibatches,
normalisers and adaptive rates are the same, and both see state and skill. They take turns in one process, and time is
the processor's, which other work on the machine changes little. The peer is optional:
`pip install --no-deps --target DIR rsl-rl-lib`, then PYTHONPATH=DIR.
"""

import argparse
import importlib.util
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tensordict import TensorDict
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

import envs
from agents.replay import ReplayBuffer
from agents.slim import Slim, SlimConfig
from agents.slim.priors import drawn_skills
from agents.spaces import Spaces

REWARDS = {"panda_tabletop": ("reach", "discovery", "safety")}
OTHERS = ("task", "discovery", "effort")  # of tasks without an object to reach
WITHOUT = {"panda_tabletop": ("reach", "effort", "safety")}  # three rewards, of which phi makes none
VARIANTS: dict[str, dict[str, Any]] = {
    "SLIM, three critics": {},
    "SLIM, three linear critics": {"shared": 3},
    "SLIM, nothing shared": {"shared": 0},
    "SLIM, one critic": {"critics": "sum"},
}


class Learner(NamedTuple):
    """`step` acts, steps and stores, and returns the seconds that physics took; `update` learns from what is stored."""

    step: Callable[[], float]
    update: Callable[[], object]


def timed_step(env: envs.BatchedEnv, action: Tensor) -> tuple[TensorDict, float]:
    start = time.process_time()
    timestep = env.step(action)
    return timestep, time.process_time() - start


def slim(env: envs.BatchedEnv, config: SlimConfig, length: int) -> Learner:
    """This suite's loop: act, store, step."""
    spaces = Spaces(env.observation_shapes, env.action_dim, env.num_envs, signals=env.signal_shapes)
    agent, replay = Slim(spaces, config), ReplayBuffer((length + 1) * env.num_envs, env.num_envs)
    timestep, carry = env.reset(), agent.initial_carry(env.num_envs)

    def step() -> float:
        nonlocal timestep, carry
        out, carry = agent.act(timestep, carry)
        replay.add(timestep.clone().update(out))
        timestep, spent = timed_step(env, out["action"])
        return spent

    return Learner(step, lambda: agent.update(replay))


def rsl_rl(env: envs.BatchedEnv, config: SlimConfig, length: int) -> Learner:
    """rsl_rl's PPO as its runner drives it."""
    from rsl_rl.algorithms import PPO
    from rsl_rl.models import MLPModel
    from rsl_rl.storage import RolloutStorage

    skill = drawn_skills(torch.zeros(env.num_envs, config.skill_dim))

    def observed(timestep: TensorDict) -> TensorDict:
        seen = torch.cat([timestep["state"], skill], 1)
        return TensorDict({"policy": seen}, batch_size=timestep.batch_size)

    obs = observed(env.reset())
    groups = {"actor": ["policy"], "critic": ["policy"]}
    nets = {"hidden_dims": list(config.hidden), "activation": "elu", "obs_normalization": True}
    normal = {"class_name": "GaussianDistribution", "init_std": config.std}
    actor = MLPModel(obs, groups, "actor", env.action_dim, **nets, distribution_cfg=normal)
    critic = MLPModel(obs, groups, "critic", 1, **nets)
    storage = RolloutStorage("rl", env.num_envs, length, obs, [env.action_dim])
    algorithm = PPO(actor, critic, storage, config.epochs, config.minibatches, entropy_coef=config.entropy,
                    desired_kl=config.kl)  # fmt: skip

    def step() -> float:
        nonlocal obs
        with torch.inference_mode():
            timestep, spent = timed_step(env, algorithm.act(obs))
            obs = observed(timestep)
            extras = {"time_outs": timestep["is_last"] & ~timestep["is_terminal"]}
            algorithm.process_env_step(obs, timestep["reward"], timestep["is_last"], extras)
        return spent

    def update() -> object:
        with torch.inference_mode():
            algorithm.compute_returns(obs)
        return algorithm.update()

    return Learner(step, update)


def turn(learner: Learner, length: int) -> tuple[float, float, float]:
    """Collect `length` steps and learn from them; return the seconds of acting and storing, physics and learning."""
    start = time.process_time()
    physics = sum(learner.step() for _ in range(length))
    collected = time.process_time()
    learner.update()
    return collected - start - physics, physics, time.process_time() - collected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="panda_tabletop")
    parser.add_argument("--num-envs", type=int, default=256)
    parser.add_argument("--length", type=int, default=25, help="steps of each environment between updates")
    parser.add_argument("--hidden", type=int, nargs=3, default=[512, 256, 256])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rewards, hidden = REWARDS.get(args.task, OTHERS), tuple(args.hidden)
    config = SlimConfig(rewards=rewards, hidden=hidden)
    scene = {"num_envs": args.num_envs, "signals": True, "threads": args.threads}
    learners = {
        name: slim(envs.make(args.task, **scene), replace(config, **changes), args.length)
        for name, changes in VARIANTS.items()
    }
    if args.task in WITHOUT:
        without = replace(config, rewards=WITHOUT[args.task])
        learners["SLIM, three critics without phi"] = slim(envs.make(args.task, **scene), without, args.length)
    if importlib.util.find_spec("rsl_rl") is None:
        print("rsl_rl is not here: pip install --no-deps --target DIR rsl-rl-lib, then PYTHONPATH=DIR")
    else:
        learners["rsl_rl PPO, one critic"] = rsl_rl(envs.make(args.task, **scene), config, args.length)
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in learners}
    for _ in range(args.turns + 1):
        for name, learner in learners.items():
            times[name].append(turn(learner, args.length))
    samples = args.num_envs * args.length
    print(f"{date.today()} {platform.machine()} torch {torch.__version__} threads {args.threads}: {args.task}, "
          f"{args.num_envs} x {args.length} samples, hidden {hidden}, medians of {args.turns} turns")  # fmt: skip
    print(f"{'samples a processor second':<34}{'collection':>12}{'without physics':>17}{'update':>10}{'both':>10}")
    for name, all_turns in times.items():
        act, physics, learn = torch.tensor(all_turns[1:], dtype=torch.float64).median(0).values.tolist()
        spent = (act + physics, act, learn, act + physics + learn)
        print(f"{name:<34}" + "".join(f"{samples / t:>{w},.0f}" for t, w in zip(spent, (12, 17, 10, 10), strict=True)))


if __name__ == "__main__":
    main()
