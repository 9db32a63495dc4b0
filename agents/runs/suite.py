"""The conditions of a suite, played run by run: each result is kept as it comes, and none is played twice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from agents.config import Config
from agents.runs import checkpoint
from agents.runs.results import FILE, Result, keep_of_suite, measured, read
from agents.runs.statistics import bootstrap_interval
from agents.runs.summary import Played

RANDOM = "random policy"


class Condition(Protocol):
    """What a run is played under; `splits` say whose videos, "held_out" and "train", if any are shown."""

    @property
    def name(self) -> str: ...

    @property
    def distraction(self) -> str: ...

    @property
    def splits(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Job:
    """A policy of a run under one condition, in front of one set of videos.

    described   what its returns depend on, beside the number of episodes, as it stands in the run's evaluation.json
    """

    run: Path
    config: Config[Any]
    described: dict[str, Any]

    @property
    def label(self) -> str:
        names = ("condition", "videos") if self.described["policy"] == "agent" else ("policy",)
        return ", ".join([self.run.name, *(self.described[name] for name in names)])


# Fit a run's configuration to a condition, and say how it then looks.
Fit = Callable[[Config[Any], Any], tuple[Config[Any], dict[str, Any]]]


def plan(run: Path, config: Config[Any], told: dict[str, Any], conditions: Sequence[Condition], fit: Fit) -> list[Job]:
    """List what a run's newest agent plays, and a random policy under the first condition: it sees nothing anyway.

    In front of training's videos it plays where it was trained with that distraction: else it never saw any of them.
    told: what all results say of themselves, among it `suite`. Where no checkpoint is left, results may be of any.
    """
    newest = checkpoint.newest(run / "checkpoints")
    asked = [
        ("agent", condition, videos)
        for condition in conditions
        for videos in condition.splits
        if videos == "held_out" or condition.distraction == config.distraction
    ]
    jobs = []
    for policy, condition, videos in [*asked, ("random", conditions[0], "held_out")]:
        changed, looks = fit(config, condition)
        names = {"condition": condition.name, "policy": policy, "videos": videos, "task": config.task}
        step = {"step": int(newest.name) if policy == "agent" else None} if newest else {}
        jobs.append(Job(run, changed, told | names | step | looks))
    return jobs


def obstacle(job: Job) -> str:
    """Say what keeps a run from being played; nothing, if it can be."""
    if job.config.observation != "pixels":
        return f"the run {job.run} learned from states, which the suite {job.described['suite']} does not change"
    return "" if checkpoint.newest(job.run / "checkpoints") else f"the run {job.run} has no checkpoint yet"


def played_before(jobs: Sequence[Job], episodes: int) -> list[Result | None]:
    """Return each job's result where it was played before in as many episodes, and None for the others."""
    results = {run: read(run) for run in {job.run for job in jobs}}
    return [measured(results[job.run], job.described, episodes) for job in jobs]


def not_played(jobs: Sequence[Job], episodes: int) -> list[Job]:
    """Return the jobs that were not played before in as many episodes."""
    return [job for job, result in zip(jobs, played_before(jobs, episodes), strict=True) if result is None]


def play_and_keep(jobs: Sequence[Job], play: Callable[[Job], Tensor]) -> Iterator[tuple[Job, Result]]:
    """Play jobs in order, each giving returns (episodes,); hand each result out once its run's folder holds it."""
    for job in jobs:
        returns = play(job)
        numbers = {"returns": returns.tolist(), "mean": returns.mean().item(), "ci95": bootstrap_interval(returns)}
        result = job.described | numbers | {"picture": None, "film": None, "page": None, "metrics": {}}
        keep_of_suite(job.run, result)
        yield job, result


def collect(jobs: Sequence[Job], names: Mapping[Path, str], episodes: int) -> list[Played]:
    """Collect what was played, run by run, under the agents' names; a random policy's episodes once for each task."""
    found: dict[Path | str, Played] = {}
    for job, result in zip(jobs, played_before(jobs, episodes), strict=True):
        if result is None:
            raise ValueError(f"{job.label}: the result is gone from {job.run / FILE}; another process writes there too")
        key = job.run if result["policy"] == "agent" else job.config.task
        agent = names[job.run] if result["policy"] == "agent" else RANDOM
        run = found.setdefault(key, Played(agent, job.config.task, job.config.seed, result["step"], {}))
        run.returns.setdefault((result["condition"], result["videos"]), torch.tensor(result["returns"]))
    return sorted(found.values(), key=lambda run: run.agent == RANDOM)  # it comes last
