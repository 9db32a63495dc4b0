"""Train an agent: python train.py AGENT --task TASK [options]; the one loop, and what rebuilds a run."""

import logging
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

import envs as environments
from agents.acceleration import keep_memory
from agents.agent import Agent, Assessable, Examinable, Exportable, metrics_of, policies_of
from agents.command_line import answered, default_run, parse, refuse_changes, resumable
from agents.config import Config, validate
from agents.evaluation import evaluate
from agents.examination import check_examinable, examined
from agents.generators import generators_state, seed_generators, set_generators_state
from agents.presets import AGENTS
from agents.registry import CLASSES
from agents.replay import ReplayBuffer
from agents.runs import checkpoint
from agents.runs.console import Handler, say
from agents.runs.folder import load_config, opened, save_config
from agents.runs.interrupts import caught_signals
from agents.runs.logger import Logger
from agents.schedule import Every, Ratio
from agents.spaces import Spaces
from envs.batched import BatchedEnv
from envs.checks import check_device
from envs.cores import cores
from envs.distractions import BACKGROUND, has_window, shows_background, shows_videos


def make_envs(config: Config[Any], **changes: Any) -> BatchedEnv:
    """Make a run's environments; `changes` override options of `envs.make`."""
    options: dict[str, Any] = {
        "num_envs": config.num_envs,
        "device": check_device(config.device),
        "pixels": config.observation == "pixels",
        "measures": config.measures or False,
        "signals": config.signals,
        "distraction": config.distraction,
        "distraction_window": config.distraction_window,
        "background": config.background,
        "video_change": config.video_change,
        "video_dir": config.video_dir,
        "size": config.size,
        "action_repeat": config.action_repeat,
        "time_limit": config.time_limit or None,
        "threads": config.threads or None,
        "engine": config.engine,
        "contacts": config.contacts or None,
        "constraints": config.constraints or None,
        "deterministic": config.deterministic,
        "seed": config.seed,
    }
    return environments.make(config.task, **(options | changes))


def fitted(config: Config[Any], distraction: str) -> Config[Any]:
    """Return a run's configuration with another distraction, without options that are not for it."""
    return replace(
        config,
        distraction=distraction,
        distraction_window=config.distraction_window if has_window(distraction) else 64,
        background=config.background if has_window(distraction) else BACKGROUND,
        video_dir=config.video_dir if shows_videos(distraction) else None,
    )


def make_agent(config: Config[Any], envs: BatchedEnv) -> Agent:
    """Make a run's agent, untrained, for what it observes, of all that the environments show."""
    spaces = Spaces(
        observations={config.observation: envs.observation_shapes[config.observation]},
        action_dim=envs.action_dim,
        num_envs=config.num_envs,
        episode_length=envs.episode_length,
        measures=envs.measure_names,
        ranges=envs.measure_ranges,
        kinds=envs.measure_kinds,
        signals=envs.signal_shapes,
        task=envs.task,
        action_repeat=envs.action_repeat,
        terminates=envs.terminates,
    )
    if config.measures and not AGENTS[config.name].measures:
        raise ValueError(f"--measures are the axes of an archive, and {config.name} fills none")
    return CLASSES[type(config.agent)](spaces, config.agent, check_device(config.device))


def load_agent(run: Path | str, config: Config[Any], envs: BatchedEnv, step: int | None = None) -> tuple[Agent, int]:
    """Rebuild a run's agent from the checkpoint of a step, by default the newest, and say its step.

    From then on torch takes the run's number of threads. Raises FileNotFoundError where there is no such checkpoint.
    """
    chosen = checkpoint.of_step(Path(run) / "checkpoints", step)
    if config.threads:
        torch.set_num_threads(config.threads)
    agent = make_agent(config, envs)
    checkpoint.restore(agent, chosen / "agent.pt")
    return agent, int(chosen.name)


class Trainer:
    """All that a run's future depends on, and the one loop."""

    def __init__(self, config: Config[Any], run: Path) -> None:
        seed_generators(config.seed)
        self.config, self.run = config, run
        self.envs = make_envs(config)
        self.agent = make_agent(config, self.envs)
        if config.diagnostics:
            check_examinable(self.agent, config.name)
        device = check_device(config.device)
        self.replay = ReplayBuffer(config.replay_size, config.num_envs, device, config.replay_dir)
        self.logger = Logger(run, config.steps, config.num_envs, device)
        others = {"num_envs": config.eval_episodes, "seed": config.seed + 1, "video_split": "held_out"}
        known = {"state": True, "distractor": shows_background(config.distraction)} if config.diagnostics else {}
        self.held_out = make_envs(config, **others, **known)
        self.seen = ReplayBuffer(
            config.eval_episodes * (self.held_out.episode_length + 1), config.eval_episodes, device
        )
        self.held_out_start = self.held_out.state_dict()  # every evaluation sees the same episodes
        self.increment = config.num_envs * config.action_repeat
        self.should_learn = Ratio(config.train_ratio, self.increment)
        self.timestep, self.carry = self.envs.reset(), self.agent.initial_carry(config.num_envs)
        self.step = 0

    def train(self, stopped: Callable[[], bool]) -> None:
        """Act, store, step, learn; evaluate, log and save now and then, and at the end."""
        c, agent, replay, logger = self.config, self.agent, self.replay, self.logger
        should_evaluate, should_log, should_save = (
            Every(period, self.increment) for period in (c.eval_every, c.log_every, c.checkpoint_every)
        )
        stop = False
        while self.step < c.steps and not stop:
            out, self.carry = agent.act(self.timestep, self.carry)
            replay.add(self.timestep.clone().update(out))
            self.timestep = self.envs.step(out["action"])
            self.step += self.increment
            logger.add_timestep(self.timestep)
            for _ in range(self.should_learn() if len(replay) * c.action_repeat >= c.prefill else 0):
                logger.add(agent.update(replay), updates=1)
            finished, stop = self.step >= c.steps, stopped()
            if should_evaluate(self.step) or finished:
                logger.add(self.evaluate())
            if should_log(self.step) or finished:
                logger.add(metrics_of(agent))
                logger.write(self.step)
            if should_save(self.step) or finished or stop:
                self.save()
            logger.progress(self.step)

    def evaluate(self) -> dict[str, Tensor]:
        """Return the mean and the spread of greedy episodes on held-out videos, and diagnostics of exploring ones."""
        metrics: dict[str, Tensor] = {}
        for name, policy in policies_of(self.agent).items():
            self.held_out.load_state_dict(self.held_out_start)
            returns = evaluate(policy, self.held_out, self.config.eval_episodes)  # (episodes,)
            found = {"eval/return": returns.mean(), "eval/std": returns.std(correction=0)}
            if self.config.diagnostics and isinstance(policy, Examinable):
                self.held_out.load_state_dict(self.held_out_start)
                found |= examined(policy, self.held_out, self.seen, diagnoses="quick")
            if isinstance(policy, Assessable):
                self.held_out.load_state_dict(self.held_out_start)
                found |= policy.assess(self.held_out)
            metrics |= {name + metric: value for metric, value in found.items()}
        return metrics

    def save(self, folder: str = "checkpoints") -> Path:
        """Write a checkpoint, and before it what other programs read, unless a loss is not finite."""
        if folder == "checkpoints":
            self.logger.check(self.step)
            for name, policy in policies_of(self.agent).items():
                if isinstance(policy, Exportable):
                    policy.export(self.run / name)
        state = {
            "step": self.step,
            "timestep": self.timestep.to_dict(),
            "carry": self.carry.to_dict(),
            "envs": self.envs.state_dict(),
            "ratio": self.should_learn.state_dict(),
            "logger": self.logger.state_dict(),
            "generators": generators_state(),
        }
        files = {"agent.pt": self.agent.state_dict(), "trainer.pt": state, "replay.pt": self.replay.state_dict()}
        return checkpoint.save(self.run / folder, self.step, files, ["agent.pt"] if self.config.keep_agents else [])

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        state = checkpoint.load(path / "trainer.pt")
        checkpoint.restore(self.agent, path / "agent.pt")
        checkpoint.restore(self.replay, path / "replay.pt", mmap=True)
        self.envs.load_state_dict(state["envs"])
        self.step = state["step"]
        self.timestep, self.carry = (
            TensorDict(state[key], batch_size=[self.config.num_envs], device=self.replay.device)
            for key in ("timestep", "carry")
        )
        self.should_learn.load_state_dict(state["ratio"])
        self.logger.load_state_dict(state["logger"])
        set_generators_state(state["generators"])


def train(config: Config[Any], run: Path | str, resume: bool = False) -> None:
    """Train in a run folder until the end, a signal (exit 128 + its number) or a loss that is not finite."""
    run = Path(run)
    validate(config)
    keep_memory()
    if config.threads:
        torch.set_num_threads(config.threads)
    if config.threads > cores():
        say(f"--threads {config.threads} is more than the {cores()} processors here: fewer would be faster")
    with opened(run, resume):
        trainer = Trainer(config, run)
        with caught_signals() as caught:
            go_on(trainer, stopped=lambda: bool(caught))
    if caught and trainer.step < config.steps:
        say(f"stopped by {signal.Signals(caught[0]).name} at step {trainer.step:,}; --resume goes on")
        raise SystemExit(128 + caught[0])


def go_on(trainer: Trainer, stopped: Callable[[], bool]) -> None:
    """Train from the newest checkpoint of the trainer's run, or from the start."""
    config, run = trainer.config, trainer.run
    newest = checkpoint.newest(run / "checkpoints")
    if newest is not None:
        trainer.load(newest)
    save_config(run, config)
    begins = f"goes on from step {trainer.step:,} of {config.steps:,}" if newest else "begins"
    say(f"{config.name} on {config.task} {begins}, on {trainer.replay.device}, in {run}")
    first = config.prefill + (1 / config.train_ratio if config.train_ratio else config.steps)
    if first >= config.steps:
        say(f"no update before step {first:,.0f}, when this run has ended: see --prefill, --train-ratio and --steps")
    trainer.logger.start(trainer.step)
    try:
        trainer.train(stopped)
    except (FloatingPointError, RuntimeError, ValueError) as error:
        stop_if_not_finite(trainer, error)
        raise
    finally:
        trainer.logger.close()


def stop_if_not_finite(trainer: Trainer, error: Exception) -> None:
    """Save what is needed to look at a loss that is not finite, and say which; checkpoints stay as they were."""
    try:
        trainer.logger.check(trainer.step)
    except FloatingPointError as found:
        error = found
    if isinstance(error, FloatingPointError):
        raise FloatingPointError(f"{error}; see {trainer.save('failure')}") from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(format="%(message)s", handlers=[Handler()], force=True)  # dm_control has set it up before
    for ours in ("agents", "envs"):
        logging.getLogger(ours).setLevel(logging.INFO)
    with answered():
        command = parse(arguments, AGENTS)
        run = Path(command.run or default_run(command.config))
        if command.resume:
            command = parse(arguments, AGENTS | {command.config.name: resumable(run, command.config.name)})
            refuse_changes(load_config(run), command.config, run)
        train(command.config, run, command.resume)


if __name__ == "__main__":
    main()
