"""Evaluate a run: python evaluate.py RUN [--distraction D ...] [--episodes E]; a table, a JSON file and pictures."""

import copy
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from PIL import Image
from tensordict import TensorDict
from torch import Tensor

import envs as environments
from agents.agent import Assessable, Examinable, Policy
from agents.config import Config, nearest
from agents.evaluation import RandomPolicy, bootstrap_interval, evaluate
from agents.examination import diagnose, examined
from agents.replay import ReplayBuffer
from agents.run_folder import load_config
from envs import distracting
from envs.batched import BatchedEnv
from envs.distractions import shows_background
from envs.film import Film
from train import load_agent, make_agent, make_envs
from views import diagnostics
from views.curves import load_run, save

FRAMES, SCALE = 125, 3  # of an animated picture: its longest, and its enlargement


@dataclass(frozen=True)
class Command:
    """Play greedy episodes of a trained agent, and of a random policy, in front of videos that training never shows."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder."""
    distraction: tuple[str, ...] = ()
    """Any that train.py knows, such as none, video and dcs-easy. Default: none, and what the run was trained with."""
    episodes: int = 20
    """Episodes a condition, played in parallel."""
    seed: int = 1000
    """Of the episodes: starts, videos and random actions."""
    film: bool = False
    """Also film the agent in front of each: ten seconds of what it sees beside the clean scene in 480 pixels."""
    diagnostics: bool = False
    """Also measure what the latent states hold of the simulator's state and of the background; draws a page of it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass
class Watch:
    """Keep the frames that the first environment shows, and tell a terminal how far the episodes are."""

    label: str
    steps: int
    frames: list[Tensor] = field(default_factory=list)  # (size, size, 3) uint8
    seen: int = 0
    began: float = field(default_factory=time.monotonic)

    def __call__(self, row: TensorDict) -> None:
        if len(self.frames) < FRAMES:
            self.frames.append(row["pixels"][0].cpu())
        self.seen += 1
        if sys.stderr.isatty():
            left = (time.monotonic() - self.began) / self.seen * (self.steps - self.seen)
            print(f"\r{self.label}: {self.seen}/{self.steps} steps, {left:.0f} s left\x1b[K", end="", file=sys.stderr)

    def clear(self) -> None:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr)


def check(command: Command, config: Config[Any]) -> tuple[str, ...]:
    """Return the distractions to evaluate; raise ValueError for what makes no sense."""
    if command.episodes < 1:
        raise ValueError(f"--episodes must be at least 1, not {command.episodes}")
    if command.seed < 0:
        raise ValueError(f"--seed must be at least 0, not {command.seed}")
    if command.diagnostics and command.episodes < 2:
        raise ValueError("--diagnostics needs --episodes 2 at least: one to fit probes, another to ask about")
    for name in command.distraction:
        if name not in environments.DISTRACTIONS:
            raise ValueError(f"unknown distraction {name}{nearest(name, environments.DISTRACTIONS)}")
    return tuple(dict.fromkeys(command.distraction or ("none", config.distraction)))


def evaluate_run(command: Command) -> list[dict[str, Any]]:
    """Evaluate every condition, write pictures, print the table as it grows, and return it."""
    config = replace(load_config(command.run), device=command.device)
    distractions = check(command, config)
    places = sorted({distracting.replaced(name, config.task, config.background)[0] for name in distractions})
    print(f"{config.task}, {command.episodes} episodes a row, held-out videos over {', '.join(places)}\n\n{HEADER}")
    conditions = []
    for distraction in distractions:
        for condition in evaluate_condition(command, config, distraction):
            print(table_row(condition), flush=True)
            conditions.append(condition)
    return conditions


def evaluate_condition(command: Command, config: Config[Any], distraction: str) -> Iterator[dict[str, Any]]:
    """Play the agent and a random policy from the same starts in front of the same videos."""
    config = fitted(config, distraction)
    both = {"pixels": True, "state": config.observation == "state"}
    options = {"num_envs": command.episodes, "seed": command.seed, "video_split": "held_out", **both}
    envs = make_envs(config, **options)
    start = envs.state_dict()
    agent, step = load_agent(command.run, config, envs)
    background, opacity = distracting.replaced(distraction, config.task, config.background)
    policies: dict[str, Policy] = {"agent": agent, "random": RandomPolicy(envs.action_dim, envs.device, command.seed)}
    for name, policy in policies.items():
        watch = Watch(f"{distraction}, {name}", envs.episode_length + 1)
        envs.load_state_dict(copy.deepcopy(start))
        returns = evaluate(policy, envs, command.episodes, watch=watch)
        watch.clear()
        envs.load_state_dict(copy.deepcopy(start))
        yield {
            "task": config.task,
            "distraction": distraction,
            "policy": name,
            "returns": returns.tolist(),
            "mean": returns.mean().item(),
            "ci95": bootstrap_interval(returns),
            "step": step if name == "agent" else None,
            "seed": command.seed,
            "videos": "held_out",
            "background": background,
            "floor_opacity": opacity,
            "distraction_window": config.distraction_window,
            "picture": save_animation(command.run / f"{distraction}-{name}.gif", watch.frames, envs.step_seconds),
            "film": film(command, config, policy) if command.film and name == "agent" else None,
            "page": page_of(distraction) if command.diagnostics and isinstance(policy, Examinable) else None,
            "metrics": (measure if command.diagnostics else examine)(command, config, policy, envs)
            | assess(command, config, policy),
        }
    envs.close()


def fitted(config: Config[Any], distraction: str) -> Config[Any]:
    """Return a run's configuration with another distraction, without options that are not for it."""
    suite = distracting.parts(distraction)
    reads = distraction == "video" or "background" in suite
    return replace(
        config,
        distraction=distraction,
        distraction_window=64 if suite else config.distraction_window,
        video_dir=config.video_dir if reads else None,
    )


def measure(command: Command, config: Config[Any], policy: Policy, envs: BatchedEnv) -> dict[str, float]:
    """Examine an agent on rows whose state and background are known, an untrained one too, and draw the page."""
    if not isinstance(policy, Examinable):
        return {}
    options = {"num_envs": command.episodes, "seed": command.seed, "video_split": "held_out", "pixels": True}
    known = make_envs(config, **options, state=True, distractor=shows_background(config.distraction))
    replay = ReplayBuffer((known.episode_length + 1) * known.num_envs, known.num_envs, known.device)
    found = examined(policy, known, replay, command.seed)
    rows = replay.latest(replay.size)
    with torch.random.fork_rng():
        torch.manual_seed(command.seed)
        untrained = make_agent(config, envs)
        assert isinstance(untrained, Examinable)
        found |= {f"untrained/{name}": value for name, value in diagnose(untrained, rows).items()}
    known.close()
    numbers = {name: value.item() for name, value in found.items()}
    run = load_run(command.run, config) if (command.run / "metrics.jsonl").exists() else None
    title = f"{config.name} on {config.task}, distraction {config.distraction}: {command.episodes} exploring episodes"
    save(diagnostics.draw(title, numbers, policy, rows, run), command.run / page_of(config.distraction))
    return numbers


def page_of(distraction: str) -> str:
    return f"{distraction}-diagnostics.png"


def examine(command: Command, config: Config[Any], policy: Policy, envs: BatchedEnv) -> dict[str, float]:
    """Let an agent that can be examined explore for one episode in each environment, and examine it on the rows."""
    if not isinstance(policy, Examinable):
        return {}
    replay = ReplayBuffer((envs.episode_length + 1) * envs.num_envs, envs.num_envs, envs.device)
    evaluate(policy, envs, envs.num_envs, explore=True, watch=replay.add)
    with torch.random.fork_rng():
        torch.manual_seed(command.seed)
        return {name: value.item() for name, value in policy.examine(replay).items()}


def assess(command: Command, config: Config[Any], policy: Policy) -> dict[str, float]:
    """Let an agent that found more than one policy play all of it, in fresh episodes."""
    if not isinstance(policy, Assessable):
        return {}
    envs = make_envs(config, num_envs=command.episodes, seed=command.seed, video_split="held_out")
    found = {name: value.item() for name, value in policy.assess(envs).items()}
    envs.close()
    return found


def film(command: Command, config: Config[Any], policy: Policy) -> str:
    """Film the agent in an episode of its own, control step by control step; return the file's name."""
    options = {"pixels": True, "state": config.observation == "state", "num_envs": 1, "action_repeat": 1}
    envs = make_envs(config, seed=command.seed, video_split="held_out", **options)
    movie = Film(envs)
    with torch.random.fork_rng():
        torch.manual_seed(command.seed)
        timestep, carry = envs.reset(), policy.initial_carry(1)
        movie.take(timestep)
        for step in range(min(movie.steps, envs.episode_length)):
            if step % config.action_repeat == 0:
                out, carry = policy.act(timestep, carry, explore=False)
            timestep = envs.step(out["action"])
            movie.take(timestep)
    envs.close()
    return movie.save(command.run / f"{config.distraction}.webp")


HEADER = f"{'distraction':<22}{'policy':<10}{'mean':>8}   {'95 % interval':<18}{'least':>8}{'most':>8}\n{'-' * 74}"


def table_row(condition: dict[str, Any]) -> str:
    low, high = condition["ci95"]
    returns = condition["returns"]
    interval = f"{low:.1f} to {high:.1f}"
    return (
        f"{condition['distraction']:<22}{condition['policy']:<10}{condition['mean']:>8.1f}   {interval:<18}"
        f"{min(returns):>8.1f}{max(returns):>8.1f}"
    )


def save_animation(path: Path, frames: Sequence[Tensor], seconds: float) -> str:
    """Write frames (size, size, 3) uint8, `seconds` apart, as an endless GIF; return its name."""
    images = [Image.fromarray(frame.numpy()) for frame in frames]
    images = [image.resize((image.width * SCALE, image.height * SCALE), Image.Resampling.NEAREST) for image in images]
    aside = path.with_suffix(".gif.unfinished")
    duration = max(20, round(1000 * seconds))  # ms; viewers slow down below 20
    images[0].save(aside, "GIF", save_all=True, append_images=images[1:], duration=duration, loop=0)
    os.replace(aside, path)
    return path.name


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    try:
        command = tyro.cli(Command, prog="evaluate.py", args=arguments)
        conditions = evaluate_run(command)
        path = command.run / "evaluation.json"
        aside = path.with_suffix(".json.unfinished")
        aside.write_text(json.dumps(conditions, indent=2) + "\n")
        os.replace(aside, path)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    for condition in conditions:
        for name, value in condition["metrics"].items():
            print(f"{condition['distraction']:<22}{name} {value:.3f}")
    pictures = [condition[kind] for condition in conditions for kind in ("picture", "film", "page") if condition[kind]]
    print(f"\nwritten: {path} and {len(pictures)} pictures beside it")


if __name__ == "__main__":
    main()
