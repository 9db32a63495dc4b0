"""Reach goals with skills and without: python tests/benchmarks/skill_library.py RUN [RUN ...] [--write FILE].

Each run is one of `slim-small` on point_mass_easy with its library. The task: be less than 3 cm from a goal, drawn from
the whole arena, when the episode ends. The reward is 1 for each action after which it is that near, 0 else, or that
minus the distance (dense). stable-baselines3's PPO learns it in the same number of environment steps from raw actions
and from skills held for 5; going to the goal by phi and planning learn nothing. Then four way-points in turn, each
passed within 3 cm, in an episode five times as long.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from stable_baselines3 import PPO
from tensordict import TensorDict
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

import envs
from agents.evaluation import RandomPolicy
from agents.skills import HOLD, SkillLibrary
from agents.skills.goals import Waypoints
from envs.goals import GoalEnv
from envs.sb3 import vec_env_of

LOW, HIGH, RADIUS = (-0.27, -0.27), (0.27, 0.27), 0.03
EPISODES, LEARNING, LIMIT = 100, 16, 200  # environments to evaluate and to learn in, control steps of an episode
CORNERS = torch.tensor([[0.2, 0.2], [-0.2, 0.2], [-0.2, -0.2], [0.2, -0.2]])
SETTINGS = {"n_steps": 64, "batch_size": 128, "n_epochs": 10, "gamma": 0.99}

Act = Callable[[TensorDict, Any], tuple[TensorDict, Any]]


def points(num_envs: int, seed: int, goals: Tensor | None = None, dense: bool = False, limit: int = LIMIT) -> GoalEnv:
    options = {"signals": True, "action_repeat": 2, "time_limit": limit, "threads": 1}
    env = envs.make("point_mass_easy", num_envs, seed=seed, **options)  # type: ignore[arg-type]
    return GoalEnv(env, LOW, HIGH, RADIUS, dense, goals, seed)


def learn(library: SkillLibrary | None, steps: int, dense: bool, seed: int) -> PPO:
    """Train PPO for environment steps, on skills or on raw actions."""
    env: Any = points(LEARNING, seed, dense=dense)
    env = env if library is None else library.as_env(env, HOLD)
    model = PPO("MultiInputPolicy", vec_env_of(env), seed=seed, device="cpu", **SETTINGS)  # type: ignore[arg-type]
    return model.learn(steps // env.action_repeat)


def of(model: PPO) -> Act:
    """Let a trained PPO answer timesteps."""

    def act(timestep: TensorDict, carry: Any) -> tuple[TensorDict, Any]:
        seen = {name: timestep[name].numpy() for name in ("state", "goal")}
        action = torch.from_numpy(model.predict(seen, deterministic=True)[0])
        return TensorDict({"action": action}, batch_size=timestep.batch_size), carry

    return act


def play(act: Act, carry: Any, env: Any) -> list[Tensor]:
    """Play one episode in each environment; return positions (N, 2), in their order."""
    timestep = env.reset()
    places = [timestep["position"]]
    while not timestep["is_last"].all():
        out, carry = act(timestep, carry)
        timestep = env.step(out["action"])
        places.append(timestep["position"])
    return places


def succeeded(act: Act, carry: Any, library: SkillLibrary | None = None) -> float:
    """Return the share of goals near which the episode ends; those of the same seed for all."""
    env: Any = points(EPISODES, 1000, goals())
    places = play(act, carry, env if library is None else library.as_env(env, HOLD))
    return ((places[-1] - goals()).norm(dim=1) < RADIUS).float().mean().item()


def goals() -> Tensor:
    low, high = torch.tensor(LOW), torch.tensor(HIGH)
    return torch.rand(EPISODES, 2, generator=torch.Generator().manual_seed(5)) * (high - low) + low


def passed(act: Act, carry: Any) -> list[float]:
    """Return how many of the way-points were passed, and after how many actions the last was, on average."""
    places = play(act, carry, points(EPISODES, 1000, CORNERS[-1].expand(EPISODES, -1), limit=5 * LIMIT))
    number, waypoints = torch.zeros(EPISODES, dtype=torch.int64), Waypoints(CORNERS, RADIUS, 2, "cpu")
    times = torch.full((EPISODES,), torch.nan)
    for time, place in enumerate(places):
        here = number < len(CORNERS)
        at = waypoints.at(number.clamp(max=len(CORNERS) - 1))
        number += here & ((place - at).norm(dim=1) < RADIUS)
        times = torch.where((number == len(CORNERS)) & times.isnan(), float(time), times)
    return [number.float().mean().item(), (number == len(CORNERS)).float().mean().item(), times.nanmean().item()]


def measure(run: Path, steps: int, trained: int, seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    library, each = SkillLibrary.load(run), goals().unsqueeze(1)
    found: dict[str, Any] = {}
    random = RandomPolicy(2, "cpu", seed)
    found["random actions"] = succeeded(random.act, random.initial_carry(EPISODES))
    for dense in (False, True):
        name = "dense" if dense else "sparse"
        found[f"PPO, raw actions, {name}"] = succeeded(of(learn(None, steps, dense, seed)), None)
        more = steps + trained
        found[f"PPO, raw actions, {name}, and the steps of SLIM"] = succeeded(of(learn(None, more, dense, seed)), None)
        found[f"PPO, skills, {name}"] = succeeded(of(learn(library, steps, dense, seed)), None, library)
    goal, plan = library.to_goal(each), library.plan(each)
    found["to_goal"] = succeeded(goal.act, goal.initial_carry(EPISODES))
    found["plan"] = succeeded(plan.act, plan.initial_carry(EPISODES))
    for name, policy in {"to_goal": library.to_goal(CORNERS, RADIUS), "plan": library.plan(CORNERS, RADIUS)}.items():
        found[f"way-points, {name}"] = passed(policy.act, policy.initial_carry(EPISODES))  # type: ignore[attr-defined]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, default=100_000, help="environment steps of PPO")
    parser.add_argument("--seed", type=int, default=0, help="of the first run's PPO; the next ones' follow")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = []
    for seed, run in enumerate(options.runs, options.seed):
        trained = SkillLibrary.load(run).origin.step
        results.append(measure(run, options.steps, trained, seed))
        print(json.dumps(results[-1], indent=1), flush=True)
    for name, first in results[0].items():
        if isinstance(first, float):
            values = torch.tensor([result[name] for result in results])
            each = ", ".join(f"{value:.0%}" for value in values.tolist())
            print(f"{name:<52}{values.mean().item():>6.0%}   ({each})")
        else:
            rows = torch.tensor([result[name] for result in results])
            count, whole, time = rows.nanmean(0).tolist()
            print(f"{name:<52}{count:.2f} of 4 passed, all in {whole:.0%}, after {time:.0f} actions")
    if options.write:
        options.write.write_text(json.dumps({"steps": options.steps, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
