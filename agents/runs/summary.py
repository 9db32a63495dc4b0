"""What the runs of a suite add up to: aggregates over seeds and tasks, gaps, performance profiles, chances to improve.

The unit is a run, scored by the mean of its episodes. Where no task has two runs of an agent, nothing is known of other
seeds; the unit is then an episode, and `over` says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from agents.runs.statistics import band, bootstrap_interval, improvement, interquartile_mean, profile, resample

SCALE = 1000  # dm_control's largest return: where tasks need one scale, returns are divided by it
THRESHOLDS = torch.linspace(0, 1, 101).double()
BANDS = 2000  # draws of a band, as rliable's
DISTRACTED = "all distracting"  # a run's mean over all conditions in which something distracts

Strata = list[Tensor]  # (units, conditions), one for each task


@dataclass(frozen=True)
class Played:
    """What one run returned: (episodes,) for each condition and whose videos, "held_out" or "train"."""

    agent: str
    task: str
    seed: int
    step: int | None
    returns: dict[tuple[str, str], Tensor]


def strata(runs: Sequence[Played], conditions: Sequence[str], videos: str = "held_out") -> tuple[Strata, str]:
    """Return the scores of an agent's runs, a stratum for each task, and what its units are: seeds or episodes."""
    by_task: dict[str, list[Tensor]] = {}
    for run in runs:
        found = torch.stack([run.returns[condition, videos] for condition in conditions], 1)  # (episodes, conditions)
        by_task.setdefault(run.task, []).append(found.double())
    if max(map(len, by_task.values())) > 1:
        return [torch.stack([found.mean(0) for found in runs]) for runs in by_task.values()], "seeds"
    return [found for (found,) in by_task.values()], "episodes"


def summarize(runs: Sequence[Played], conditions: Sequence[str]) -> dict[str, Any]:
    """Return mean, interquartile mean, their intervals and the generalisation gap of an agent's runs.

    Of several conditions, a unit's score is its mean over them. The gap is training videos less held-out ones.
    """
    held_out, over = strata(runs, conditions)
    scores = [stratum.mean(1) for stratum in held_out]  # (units,) each
    together = torch.cat(scores)
    summary: dict[str, Any] = {
        "runs": len(runs),
        "over": over,
        "mean": together.mean().item(),
        "mean_ci95": bootstrap_interval(*scores),
        "iqm": interquartile_mean(together.unsqueeze(0)).item(),
        "iqm_ci95": bootstrap_interval(*scores, statistic=interquartile_mean),
    }
    if all((condition, "train") in run.returns for run in runs for condition in conditions):
        seen = [stratum.mean(1) for stratum in strata(runs, conditions, "train")[0]]
        gaps = [one - other for one, other in zip(seen, scores, strict=True)]
        summary |= {
            "train_mean": torch.cat(seen).mean().item(),
            "gap": torch.cat(gaps).mean().item(),
            "gap_ci95": bootstrap_interval(*gaps),
        }
    return summary


def summaries(runs: Sequence[Played], conditions: Sequence[str], clean: str) -> list[dict[str, Any]]:
    """Sum up every agent over all tasks, and task by task if there are several, under each condition and all of them.

    `clean` names the condition in which nothing distracts. Policies that played it alone are summed up there alone.
    """
    tasks = list(dict.fromkeys(run.task for run in runs))
    distracting = [name for name in conditions if name != clean]
    rows = []
    for task in ["all tasks", *tasks] if len(tasks) > 1 else tasks:
        for agent, own in by_agent([run for run in runs if task in (run.task, "all tasks")]).items():
            asked = {name: [name] for name in conditions} | {DISTRACTED: distracting}
            for name, parts in asked.items():
                if all((part, "held_out") in run.returns for run in own for part in parts):
                    rows.append({"agent": agent, "task": task, "condition": name, **summarize(own, parts)})
    return rows


def profiles(runs: Sequence[Played], families: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return each agent's performance profile in each family of conditions: shares above thresholds, and their band."""
    found = []
    for agent, own in by_agent(runs).items():
        for family, conditions in families.items():
            if any((name, "held_out") not in run.returns for run in own for name in conditions):
                continue
            scores, over = strata(own, conditions)
            curves = [profile(stratum / SCALE, THRESHOLDS) for stratum in scores]  # (units, Q) each
            low, high = band(torch.cat(resample(curves, 0, BANDS), 1).mean(1))  # (Q,) each
            share = torch.cat(curves).mean(0)  # (Q,)
            lines = {"share": share.tolist(), "low": low.tolist(), "high": high.tolist()}
            found.append({"agent": agent, "family": family, "over": over, "thresholds": THRESHOLDS.tolist(), **lines})
    return found


def improvements(runs: Sequence[Played], conditions: Sequence[str]) -> list[dict[str, Any]]:
    """Return the probability that a run of one agent beats one of another on the same task, for every two agents."""
    found = []
    for (agent, own), (other, others) in permutations(by_agent(runs).items(), 2):
        common = {run.task for run in own} & {run.task for run in others}
        if not common or any((name, "held_out") not in run.returns for run in [*own, *others] for name in conditions):
            continue
        pair = [in_order(group, common) for group in (own, others)]
        (ours, over), (theirs, as_well) = (strata(group, conditions) for group in pair)
        if over != as_well:
            continue  # runs of one, episodes of the other
        one, two = ([stratum.mean(1) for stratum in side] for side in (ours, theirs))
        drawn = improvement(resample(one, 0, BANDS), resample(two, 1, BANDS))
        low, high = band(drawn).tolist()
        chance = improvement([x.unsqueeze(0) for x in one], [x.unsqueeze(0) for x in two]).item()
        found.append({"agent": agent, "over_agent": other, "over": over, "probability": chance, "ci95": (low, high)})
    return found


def in_order(runs: Sequence[Played], tasks: set[str]) -> list[Played]:
    """Return the runs of some tasks, task by task."""
    return [run for task in sorted(tasks) for run in runs if run.task == task]


def by_agent(runs: Sequence[Played]) -> dict[str, list[Played]]:
    """Group runs, agents in the order of their first run."""
    groups: dict[str, list[Played]] = {}
    for run in runs:
        groups.setdefault(run.agent, []).append(run)
    return groups


def sum_up(runs: Sequence[Played], families: Mapping[str, Sequence[str]], clean: str) -> dict[str, Any]:
    """Return all that the runs of a suite say: for JSON, tables and figures. `families` hold all conditions by name."""
    conditions = [name for family in families.values() for name in family]
    distracting = [name for name in conditions if name != clean]
    return {
        "scale": SCALE,
        "runs": [{"agent": run.agent, "task": run.task, "seed": run.seed, "step": run.step} for run in runs],
        "summaries": summaries(runs, conditions, clean),
        "profiles": profiles(runs, {**families, DISTRACTED: distracting}),
        "improvements": improvements(runs, distracting),
    }
