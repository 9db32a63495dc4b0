"""Evaluate a run: python evaluate.py RUN [--distraction D ...] [--episodes E]; a table, a JSON file and pictures.

Or a run, or a folder of runs, under all conditions of a suite: python evaluate.py RUN_OR_FOLDER --suite distracting.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from torch import Tensor

import envs as environments
from agents.agent import Assessable, Examinable, Policy, policies_of
from agents.command_line import answered, read_command
from agents.config import Config, check_seed
from agents.evaluation import RandomPolicy, evaluate, play_held
from agents.examination import Examined, check_examinable, diagnose, examined
from agents.replay import ReplayBuffer
from agents.runs import checkpoint, results, statistics, suite, summary
from agents.runs.console import say
from agents.runs.folder import load_config
from agents.skills import library
from agents.slim import Slim
from agents.together import learner_of
from envs import distracting, suites
from envs.batched import BatchedEnv
from envs.checks import check_choice
from envs.distractions import shows_background
from envs.film import Film
from train import fitted, load_agent, make_agent, make_envs
from views import diagnostics
from views.animation import Frames
from views.curves import load_run, save, variants
from views.progress import Progress, counted
from views.suite import report
from views.tables import HEADER, condition_row, metrics_table, number_of, suite_table

PAGE = "{}-diagnostics.png"  # of a distraction
AT_ONCE = 64  # elites that play at once, at least


@dataclass(frozen=True)
class Command:
    """Play greedy episodes of a trained agent, and of a random policy, in front of videos that training never shows."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder; with --suite, also a folder of runs: over seeds, tasks and agents."""
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
    suite: str = ""
    """Instead of --distraction: distracting plays clean, InfoPower's L1 to L3, agent, natural and dcs-easy to -hard."""
    again: bool = False
    """With --suite: also play what was played before in as many episodes from the same seed."""
    step: int | None = None
    """Of the checkpoint; default: the newest. Of earlier ones, train.py --keep-agents keeps the agents."""
    library: bool = False
    """Instead of playing episodes, measure the skills of a run of slim and write them as a library into RUN/library."""
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @property
    def folder(self) -> Path:
        """Where results of the agent go: its run, or its checkpoint, if one is asked for."""
        return self.run if self.step is None else checkpoint.of_step(self.run / "checkpoints", self.step)


def check(command: Command) -> None:
    """Raise ValueError for what makes no sense."""
    if command.episodes < 1:
        raise ValueError(f"--episodes must be at least 1, not {command.episodes}")
    check_seed(command.seed)
    if command.suite:
        check_choice("suite", command.suite, tuple(suites.SUITES))
    plain = {name: getattr(command, name) for name in ("distraction", "film", "diagnostics", "step")}
    for mode, others in (("suite", plain), ("library", plain | {"suite": command.suite})):
        if getattr(command, mode) and (told := [f"--{name}" for name, value in others.items() if value]):
            raise ValueError(f"--{mode} goes without {' and '.join(told)}")
    if command.again and not command.suite:
        raise ValueError("--again goes with --suite")
    if command.diagnostics and command.episodes < 2:
        raise ValueError("--diagnostics needs --episodes 2 at least: one to fit probes, another to ask about")
    for name in command.distraction:
        check_choice("distraction", name, environments.DISTRACTIONS)


def evaluate_run(command: Command) -> None:
    """Evaluate every condition, print the table as it grows, and write it and pictures."""
    config = replace(load_config(command.run), device=command.device)
    checkpoint.of_step(command.run / "checkpoints", command.step)
    results.check_writable(command.folder)
    distractions = tuple(dict.fromkeys(command.distraction or ("none", config.distraction)))
    about = f"{config.task}, {number_of(command.episodes, 'episode')} a row"
    if config.observation == "pixels":
        places = sorted({distracting.replaced(name, config.task, config.background)[0] for name in distractions})
        about += f", held-out videos over {', '.join(places)}"
    elif set(distractions) != {"none"}:
        raise ValueError(f"{command.run} learned from states, which no distraction changes: take --distraction none")
    say(f"{about}\n\n{HEADER}")
    conditions = list[dict[str, Any]]()
    for distraction in distractions:
        for condition in evaluate_condition(command, config, distraction):
            conditions.append(condition)
            path = results.keep(command.folder, conditions)
            say(condition_row(condition))
    if any(condition["metrics"] for condition in conditions):
        say(f"\n{metrics_table(conditions)}")
    pictures = [condition[kind] for condition in conditions for kind in ("picture", "film", "page") if condition[kind]]
    say(f"\nwritten: {path} and {number_of(len(pictures), 'picture')} beside it")


def evaluate_condition(command: Command, config: Config[Any], distraction: str) -> Iterator[dict[str, Any]]:
    """Play the agent and a random policy from the same starts in front of the same videos."""
    config = fitted(config, distraction)
    options = {"num_envs": command.episodes, "seed": command.seed, "video_split": "held_out"}
    envs = make_envs(config, **options, pixels=True, state=config.observation == "state")
    start = envs.state_dict()
    agent, step = load_agent(command.run, config, envs, command.step)
    if command.diagnostics:
        check_examinable(agent, config.name)
    background, opacity = distracting.replaced(distraction, config.task, config.background)
    policies = {name.removesuffix("/") or "agent": policy for name, policy in policies_of(agent).items()}
    policies["random"] = RandomPolicy(envs.action_dim, envs.device, command.seed)
    for name, policy in policies.items():
        frames = Frames()
        envs.load_state_dict(start)
        with counted(envs, f"{distraction}, {name}", envs.episode_length) as playing:
            returns = evaluate(policy, playing, command.episodes, watch=frames.take)
        envs.load_state_dict(start)
        look = measure if command.diagnostics else examine
        looked = look(command, config, policy, envs) if isinstance(policy, Examinable) else {}
        yield {
            "task": config.task,
            "distraction": distraction,
            "policy": name,
            "returns": returns.tolist(),
            "mean": returns.mean().item(),
            "ci95": statistics.bootstrap_interval(returns),
            "step": step if name != "random" else None,
            "seed": command.seed,
            "videos": "held_out",
            "background": background,
            "floor_opacity": opacity,
            "distraction_window": config.distraction_window,
            "picture": frames.save(command.folder / f"{distraction}-{name}.gif", envs.step_seconds),
            "film": film(command, config, policy, name) if command.film and name != "random" else None,
            "page": PAGE.format(distraction) if command.diagnostics and isinstance(policy, Examinable) else None,
            "metrics": looked | (assess(command, config, policy) if isinstance(policy, Assessable) else {}),
        }
    envs.close()


def measure(command: Command, config: Config[Any], policy: Examined, envs: BatchedEnv) -> dict[str, float]:
    """Examine an agent on rows whose state and background are known, an untrained one too, and draw the page."""
    options = {"num_envs": command.episodes, "seed": command.seed, "video_split": "held_out", "pixels": True}
    known = make_envs(config, **options, state=True, distractor=shows_background(config.distraction))
    replay = ReplayBuffer((known.episode_length + 1) * known.num_envs, known.num_envs, known.device)
    with counted(known, f"{config.distraction}, exploring", known.episode_length) as playing:
        found = examined(policy, playing, replay, command.seed)
    rows = replay.latest(replay.size)
    with torch.random.fork_rng():
        torch.manual_seed(command.seed)
        (untrained,) = (each for each in policies_of(make_agent(config, envs)).values() if isinstance(each, Examinable))
        found |= {f"untrained/{name}": value for name, value in diagnose(untrained, rows).items()}
    known.close()
    numbers = {name: value.item() for name, value in found.items()}
    run = load_run(command.run, config) if (command.run / "metrics.jsonl").exists() else None
    title = f"{config.name} on {config.task}, distraction {config.distraction}: {command.episodes} exploring episodes"
    save(diagnostics.draw(title, numbers, policy, rows, run), command.folder / PAGE.format(config.distraction))
    return numbers


def examine(command: Command, config: Config[Any], policy: Examined, envs: BatchedEnv) -> dict[str, float]:
    """Let an agent that can be examined explore for one episode in each environment, and examine it on the rows."""
    replay = ReplayBuffer((envs.episode_length + 1) * envs.num_envs, envs.num_envs, envs.device)
    with counted(envs, f"{config.distraction}, exploring", envs.episode_length) as playing:
        found = examined(policy, playing, replay, command.seed, diagnoses="none")
    return {name: value.item() for name, value in found.items()}


def assess(command: Command, config: Config[Any], policy: Assessable) -> dict[str, float]:
    """Let an agent that found more than one policy play all of it, in fresh episodes."""
    envs = make_envs(config, num_envs=max(command.episodes, AT_ONCE), seed=command.seed, video_split="held_out")
    with counted(envs, "steps of all that it found", None) as playing:
        found = {name: value.item() for name, value in policy.assess(playing).items()}
    envs.close()
    return found


def film(command: Command, config: Config[Any], policy: Policy, name: str) -> str:
    """Film the agent in an episode of its own, control step by control step; return the file's name."""
    options = {"pixels": True, "state": config.observation == "state", "num_envs": 1, "action_repeat": 1}
    envs = make_envs(config, seed=command.seed, video_split="held_out", **options)
    movie = Film(envs)
    play_held(policy, envs, min(movie.steps, envs.episode_length), config.action_repeat, command.seed, movie.take)
    envs.close()
    return movie.save(command.folder / f"{config.distraction}-{name}.webp")


def evaluate_suite(command: Command) -> None:
    """Play what was not played before, keeping each result as it comes; write what all of it adds up to."""
    conditions, told = suites.SUITES[command.suite], {"suite": command.suite, "seed": command.seed}
    jobs, todo, left_out, runs = list[suite.Job](), list[suite.Job](), list[str](), dict[Path, Config[Any]]()
    for run in results.find_runs(command.run):
        try:
            config = runs[run] = replace(load_config(run), device=command.device)
        except ValueError as error:
            left_out.append(str(error))
            continue
        own = suite.plan(run, config, told, conditions, fit)
        new = own if command.again else suite.not_played(own, command.episodes)
        if new and (why := suite.obstacle(new[0])):
            left_out.append(why)
        else:
            jobs, todo = jobs + own, todo + new
    if not jobs:
        raise ValueError("; ".join(left_out))
    for folder in (command.run, *dict.fromkeys(job.run for job in todo)):
        results.check_writable(folder)
    print("".join(f"left out: {why}\n" for why in left_out), end="", file=sys.stderr)
    say(f"{len(jobs)} evaluations of {command.episodes} episodes, {len(jobs) - len(todo)} of them from before")
    progress = Progress(len(todo))
    for job, result in suite.play_and_keep(todo, partial(play, command.episodes, progress)):
        progress.clear()
        say(f"{job.label:<60}{result['mean']:>8.1f}   {progress.left()} left")
    kept = {job.run: runs[job.run] for job in jobs}
    names = dict(zip(kept, variants(list(kept.values())), strict=True))
    families = {family: [c.name for c in conditions if c.family == family] for family in (c.family for c in conditions)}
    found = summary.sum_up(suite.collect(jobs, names, command.episodes), families, suites.PLAIN)
    about = told | {"episodes": command.episodes, "conditions": [asdict(condition) for condition in conditions]}
    written = report(about | found, command.run)
    say(f"\n{suite_table(found)}\n\nwritten: {', '.join(map(str, written))}")


def fit(config: Config[Any], condition: suites.Condition) -> tuple[Config[Any], dict[str, Any]]:
    """Put a run's environments under a condition of a suite, and say how it looks."""
    changed = replace(fitted(config, condition.distraction), **condition.options)
    background, opacity = distracting.replaced(condition.distraction, config.task, condition.background)
    looks = {"background": background, "floor_opacity": opacity, "video_dir": changed.video_dir}
    return changed, condition.options | looks


def play(episodes: int, progress: Progress, job: suite.Job) -> Tensor:
    """Play a job's episodes: (episodes,). Training videos are those of the run's own seed, which it may have seen."""
    policy, seed, videos = (job.described[name] for name in ("policy", "seed", "videos"))
    own = job.config.seed if videos == "train" else seed
    envs = make_envs(job.config, num_envs=episodes, seed=own, video_split=videos, pixels=policy == "agent")
    envs.seed(seed)  # the same starts in front of all videos
    random = RandomPolicy(envs.action_dim, envs.device, seed)
    player, step = (random, None) if policy == "random" else load_agent(job.run, job.config, envs)
    if step != job.described["step"]:
        raise ValueError(f"the run {job.run} has trained on to step {step:,}: play the suite when it has stopped")
    share = 1 / (envs.episode_length + 1)  # of a job, in each step
    returns = evaluate(player, envs, episodes, watch=lambda row: progress.advance(job.label, share))
    envs.close()
    return returns


def write_library(command: Command) -> None:
    """Make the library of a run's skills, and write it."""
    config = replace(load_config(command.run), device=command.device, signals=True)
    name = learner_of(config)
    if name is None:
        raise ValueError(f"{config.name} learns no skills: a library is made of a run of slim")
    results.check_writable(command.run)
    torch.manual_seed(command.seed)
    known = make_envs(config, num_envs=1)  # of the measures that an archive beside the skills has axes for
    envs = make_envs(config, num_envs=library.SKILLS * library.RESETS, seed=command.seed, measures=True)
    agent, step = load_agent(command.run, config, known)
    learner = policies_of(agent)[name]
    assert isinstance(learner, Slim)
    with counted(envs, "skills", envs.episode_length + library.TRIED * library.HOLD) as playing:
        written = library.write(learner, step, config, playing, command.run)
    say(str(written))
    known.close()
    envs.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    with answered("interrupted; what was played is kept, and a suite goes on from there"):
        command = read_command(Command, "evaluate.py", arguments)
        check(command)
        (write_library if command.library else evaluate_suite if command.suite else evaluate_run)(command)


if __name__ == "__main__":
    main()
