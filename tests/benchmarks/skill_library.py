"""Reach goals with skills and without: python tests/benchmarks/skill_library.py RUN [RUN ...] [--steps S].

Each run is one of slim with its library (evaluate.py RUN --library), on the point mass or on the table-top. The task:
to bring the mass, or the box, near a goal, wherever it may be drawn. The reward of an action is 1 if it is then near,
and 0 else; minus the distance, if it is dense. stable-baselines3 learns it in the same number of environment steps from
raw actions and from skills that are held; going to the goal by phi, and planning, learn nothing.

Per cent of 100 goals: near when the episode ends, and near at any of the times at which a method chooses. Then, on the
point mass, four way-points in turn, in an episode five times as long.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from stable_baselines3 import PPO, SAC
from tensordict import TensorDict
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))

import envs
from agents.evaluation import RandomPolicy
from agents.skills import SkillLibrary
from agents.skills.goals import Waypoints
from envs.goals import GoalEnv
from envs.sb3 import vec_env_of

EPISODES, LEARNING = 100, 16  # environments to evaluate and to learn in
CORNERS = torch.tensor([[0.2, 0.2], [-0.2, 0.2], [-0.2, -0.2], [0.2, -0.2]])
BEGIN = 4000  # environment steps before SAC learns
LEARNERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "ppo": (PPO, {"n_steps": 64, "batch_size": 128, "n_epochs": 10, "gamma": 0.99}),
    "sac": (
        SAC,
        {"gradient_steps": 8, "batch_size": 128, "gamma": 0.98, "learning_rate": 1e-3}
        | {"policy_kwargs": {"net_arch": [128, 128]}},
    ),
}
METHODS = ("random", "raw", "skills", "to_goal", "plan")
LONGER = "raw, SLIM's steps too"  # takes long

Act = Callable[[TensorDict, Any], tuple[TensorDict, Any]]


class Scene(NamedTuple):
    """Where goals are drawn, from corner to corner, how near is near, and the episodes; skills are held for `hold`."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    radius: float
    limit: int  # control steps of an episode
    hold: int  # actions


SCENES = {
    "point_mass_easy": Scene((-0.27, -0.27), (0.27, 0.27), 0.03, 200, 2),
    "panda_tabletop": Scene((0.35, -0.3, 0.025), (0.65, 0.3, 0.025), 0.1, 200, 10),
}


class Bench:
    """One library, its scene, and goals (EPISODES, G) that are the same for every method."""

    def __init__(self, run: Path, options: argparse.Namespace, seed: int) -> None:
        self.library, self.options, self.seed = SkillLibrary.load(run), options, seed
        if self.library.origin.task not in SCENES:
            raise SystemExit(f"goals are known on {', '.join(SCENES)}, not on {self.library.origin.task} of {run}")
        self.scene = SCENES[self.library.origin.task]
        self.hold = options.hold or self.scene.hold
        low, high = torch.tensor(self.scene.low), torch.tensor(self.scene.high)
        self.goals = torch.rand(EPISODES, len(low), generator=torch.Generator().manual_seed(5)) * (high - low) + low

    def points(self, num_envs: int, seed: int, goals: Tensor | None = None, times: int = 1) -> GoalEnv:
        """Make environments with goals, of episodes `times` as long as the scene's."""
        origin, scene = self.library.origin, self.scene
        env = envs.make(
            origin.task, num_envs, seed=seed, signals=True, action_repeat=origin.action_repeat,
            time_limit=scene.limit * times, threads=1,
        )  # fmt: skip
        dense = self.options.reward == "dense"
        return GoalEnv(env, scene.low, scene.high, scene.radius, dense, goals, seed)

    def learned(self, name: str, steps: int, on_skills: bool) -> dict[str, list[float]]:
        """Train stable-baselines3 for environment steps; return how often it came near, and how far it passed along."""
        env: Any = self.points(LEARNING, self.seed)
        env = self.library.as_env(env, self.hold) if on_skills else env
        kind, settings = LEARNERS[self.options.learner]
        begin = {"learning_starts": BEGIN // env.action_repeat} if kind is SAC else {}
        model = kind("MultiInputPolicy", vec_env_of(env), seed=self.seed, device="cpu", **settings, **begin)
        act = of(model.learn(steps // env.action_repeat))
        found = {name: self.came_near(act, None, on_skills)}
        if len(self.scene.low) == 2:
            found[f"way-points, {name}"] = self.passed(self.along(act), None, on_skills)
        return found

    def along(self, act: Act) -> Act:
        """Let a policy of goals go to the way-points in turn."""
        number, waypoints = torch.zeros(EPISODES, dtype=torch.int64), Waypoints(CORNERS, self.scene.radius, 2, "cpu")

        def turn(timestep: TensorDict, carry: Any) -> tuple[TensorDict, Any]:
            near = (timestep["position"] - waypoints.at(number)).norm(dim=1) < self.scene.radius
            number.add_(near).clamp_(max=len(CORNERS) - 1)
            return act(timestep.clone(recurse=False).set("goal", waypoints.at(number)), carry)

        return turn

    def came_near(self, act: Act, carry: Any, on_skills: bool = False) -> list[float]:
        """Return the share of goals that are near at the end, and near at any time."""
        env: Any = self.points(EPISODES, 1000, self.goals)
        places = play(act, carry, self.library.as_env(env, self.hold) if on_skills else env)
        near = (places - self.goals).norm(dim=2) < self.scene.radius  # (T + 1, N)
        return [near[-1].float().mean().item(), near.any(0).float().mean().item()]

    def passed(self, act: Act, carry: Any, on_skills: bool = False) -> list[float]:
        """Return how many of the way-points were passed, and after how many actions the last was, on average."""
        env: Any = self.points(EPISODES, 1000, CORNERS[-1].expand(EPISODES, -1), times=5)
        places = play(act, carry, self.library.as_env(env, self.hold) if on_skills else env)
        number = torch.zeros(EPISODES, dtype=torch.int64)
        waypoints = Waypoints(CORNERS, self.scene.radius, 2, "cpu")
        times = torch.full((EPISODES,), torch.nan)
        for time, place in enumerate(places):
            here = number < len(CORNERS)
            at = waypoints.at(number.clamp(max=len(CORNERS) - 1))
            number += here & ((place - at).norm(dim=1) < self.scene.radius)
            actions = float(time * (self.hold if on_skills else 1))
            times = torch.where((number == len(CORNERS)) & times.isnan(), actions, times)
        return [number.float().mean().item(), (number == len(CORNERS)).float().mean().item(), times.nanmean().item()]

    def measure(self) -> dict[str, list[float]]:
        """Let every method that is asked for go to the goals."""
        torch.manual_seed(self.seed)
        library, steps, each = self.library, self.options.steps, self.goals.unsqueeze(1)
        random = RandomPolicy(envs.make(library.origin.task, 1).action_dim, "cpu", self.seed)
        ways: dict[str, Callable[[], dict[str, list[float]]]] = {
            "random": lambda: {"random": self.came_near(random.act, random.initial_carry(EPISODES))},
            "raw": lambda: self.learned("raw", steps, on_skills=False),
            LONGER: lambda: self.learned(LONGER, steps + library.origin.step, on_skills=False),
            "skills": lambda: self.learned("skills", steps, on_skills=True),
            "to_goal": lambda: {"to_goal": self.came_near(*begun(library.to_goal(each)))},
            "plan": lambda: {"plan": self.came_near(*begun(library.plan(each)))},
        }
        found: dict[str, list[float]] = {}
        for name in (name for name in ways if name in self.options.methods):
            found |= ways[name]()
        if len(self.scene.low) == 2:
            radius = self.scene.radius
            by = {"to_goal": library.to_goal(CORNERS, radius), "plan": library.plan(CORNERS, radius)}
            named = {name: policy for name, policy in by.items() if name in self.options.methods}
            found |= {f"way-points, {name}": self.passed(*begun(policy)) for name, policy in named.items()}
        return found


def begun(policy: Any) -> tuple[Act, Any]:
    return policy.act, policy.initial_carry(EPISODES)


def of(model: Any) -> Act:
    """Let what stable-baselines3 has trained answer timesteps."""

    def act(timestep: TensorDict, carry: Any) -> tuple[TensorDict, Any]:
        seen = {name: timestep[name].numpy() for name in ("state", "goal")}
        action = torch.from_numpy(model.predict(seen, deterministic=True)[0])
        return TensorDict({"action": action}, batch_size=timestep.batch_size), carry

    return act


def play(act: Act, carry: Any, env: Any) -> Tensor:
    """Play one episode in each environment; return positions (T + 1, N, G), in their order."""
    timestep = env.reset()
    places = [timestep["position"]]
    while not timestep["is_last"].all():
        out, carry = act(timestep, carry)
        timestep = env.step(out["action"])
        places.append(timestep["position"])
    return torch.stack(places)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, default=50_000, help="environment steps of stable-baselines3")
    parser.add_argument("--learner", choices=LEARNERS, default="sac", help="of stable-baselines3")
    parser.add_argument("--reward", choices=("dense", "sparse"), default="dense")
    parser.add_argument("--hold", type=int, default=0, help="actions for which it holds a skill; 0: the scene's")
    parser.add_argument("--methods", nargs="+", choices=(*METHODS, LONGER), default=METHODS)
    parser.add_argument("--seed", type=int, default=0, help="of the first run's learner; the next ones' follow")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = []
    for seed, run in enumerate(options.runs, options.seed):
        results.append(Bench(run, options, seed).measure())
        print(json.dumps(results[-1]), flush=True)
    print("\n| | near at the end, % | near at any time, % |\n|---|---|---|")
    rows = {name: torch.tensor([result[name] for result in results]) for name in results[0]}  # (S, 2) or (S, 3)
    for name, found in rows.items():
        if found.shape[1] == 2:
            print(f"| {name} | {' | '.join(', '.join(f'{100 * v:.0f}' for v in c) for c in found.T.tolist())} |")
    for name, found in rows.items():
        if found.shape[1] == 3:
            whole = ", ".join(f"{100 * value:.0f}" for value in found[:, 1].tolist())
            print(f"\n{name}: all passed in {whole} %, after {found[:, 2].nanmean().item():.0f} actions", end="")
    print()
    if options.write:
        told = {name: value for name, value in vars(options).items() if name not in ("runs", "write")}
        options.write.write_text(json.dumps({**told, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
