"""Learning curves: all metrics of one run, or of several their returns, how they filled archives, or each part's."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from agents.config import Config, flatten
from agents.presets import AGENTS
from agents.runs import results, tensor_folder
from views.tables import number_of

Curve = tuple[np.ndarray, np.ndarray]  # x and y of the lines of metrics.jsonl that have both
# options that make another run of the same agent, or look at it at other times
NOT_A_VARIANT = {"task", "seed", "device", "threads", "replay-dir", "log-every", "eval-every", "checkpoint-every"}
NOT_A_VARIANT |= {"diagnostics", "keep-agents"}
EVALUATED = "eval/return"
SHOWN_FIRST = ("episode/return", EVALUATED, "eval/std")
AXES = {"step": "environment steps", "speed/minutes": "minutes"}


class Panel(NamedTuple):
    """A metric of several runs, against one of `AXES`."""

    metric: str
    title: str
    against: str = "step"


ARCHIVES = (
    Panel("reevaluated/qd_score", "QD score, elites played again"),
    Panel("reevaluated/coverage", "coverage, elites played again"),
    Panel("reevaluated/max", "best return, elites played again"),
)
TOLD = {  # what an agent among several is there for: the first that it has, or else returns
    "reevaluated/qd_score": ARCHIVES[0].title,
    "skills/coverage": "bins that skills enter",
}


@dataclass
class Run:
    """What a run folder tells a picture."""

    config: Config[Any]
    rows: list[dict[str, float]]
    random: float | None
    """Mean return of a random policy, where evaluate.py has measured it."""
    label: str = field(default="")

    def curve(self, metric: str, against: str = "step") -> Curve:
        """Return where a metric was written, and its values."""
        rows = [row for row in self.rows if metric in row and math.isfinite(row[metric])]
        return np.array([row[against] for row in rows]), np.array([row[metric] for row in rows])

    def evaluated(self) -> list[str]:
        """Return what stands before the names of evaluations: nothing, or the agents of which a run is made."""
        return sorted({name.removesuffix(EVALUATED) for row in self.rows for name in row if name.endswith(EVALUATED)})

    def part(self, prefix: str, config: Config[Any]) -> "Run":
        """Return what a run tells of one of the agents in it, whose metrics' names begin with `prefix`."""
        rows = [
            {name.removeprefix(prefix): row[name] for name in row if name.startswith(prefix) or name in AXES}
            for row in self.rows
        ]
        return replace(self, config=config, rows=rows)


def load_run(folder: Path, config: Config[Any]) -> Run:
    """Read the metrics of a run folder; raise FileNotFoundError or ValueError, in one line, if there are none."""
    rows = read_rows(folder)
    return Run(config, rows, random_return(folder, config.distraction))


def read_rows(folder: Path) -> list[dict[str, float]]:
    """Read the lines of a run's metrics that are whole; raise as `load_run` does."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        raise FileNotFoundError(f"the run {folder} has no metrics.jsonl")
    rows = []
    for number, line in enumerate(path.read_text().splitlines(keepends=True), 1):
        if not line.endswith("\n"):
            break  # a line that the run is writing now
        try:
            found = json.loads(line).items()
            rows.append({name: math.nan if value is None else float(value) for name, value in found})
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is damaged at line {number}: {error}") from error
    if not rows:
        raise ValueError(f"the run {folder} has no metrics yet")
    return rows


def random_return(run: Path, distraction: str) -> float | None:
    """Return the mean of the random policy under a run's distraction, if it was evaluated; raise as `load_run` does."""
    means = [c["mean"] for c in results.read(run) if c["policy"] == "random" and c["distraction"] == distraction]
    return means[0] if means else None


def label_variants(runs: Sequence[Run]) -> None:
    """Label each run as `variants` does."""
    for run, label in zip(runs, variants([run.config for run in runs]), strict=True):
        run.label = label


def variants(configs: Sequence[Config[Any]]) -> list[str]:
    """Name each run by its preset, and by what was changed in it among the options in which runs of a task differ."""
    options = [flatten(config) for config in configs]
    differing = set()
    for task in {config.task for config in configs}:
        own = [each for each in options if each["task"] == task]
        names = {name for each in own for name in each} - NOT_A_VARIANT - {"name"}
        differing |= {name for name in names if len({str(each.get(name)) for each in own}) > 1}
    labels = []
    for config, each in zip(configs, options, strict=True):
        preset = flatten(AGENTS[config.name])
        changed = [name for name in sorted(differing) if name in each and each[name] != preset[name]]
        labels.append(", ".join([config.name, *(f"{name.removeprefix('agent.')} {each[name]}" for name in changed)]))
    return labels


def draw_runs(runs: Sequence[Run]) -> Figure:
    """Draw how several runs did, a row for each task."""
    label_variants(runs)
    panels = panels_of(runs)
    tasks = list(dict.fromkeys(run.config.task for run in runs))
    labels = list(dict.fromkeys(run.label for run in runs))
    size = (5.5 * len(panels), 3.2 * len(tasks) + 0.2 * (len(labels) + 1))
    figure, axes = plt.subplots(len(tasks), len(panels), figsize=size, squeeze=False, layout="constrained")
    for row, task in zip(axes, tasks, strict=True):
        for axis, panel in zip(row, panels, strict=True):
            for number, label in enumerate(labels):
                variant = [run for run in runs if (run.config.task, run.label) == (task, label)]
                if variant:
                    draw_variant(axis, variant, panel, f"C{number}")
            means = [run.random for run in runs if run.config.task == task and run.random is not None]
            if panel.metric.endswith(EVALUATED) and means:
                axis.axhline(means[0], color="grey", linestyle=":", label="random policy")
            axis.set(title=task, xlabel=AXES[panel.against], ylabel=panel.title, xlim=(0, None))
            if axis.dataLim.y0 >= 0:
                axis.set_ylim(bottom=0)
            axis.grid(alpha=0.3)
            if panel.against == "step":
                step_axis(axis)
    entries = [entry for axis in axes.flat for entry in zip(*axis.get_legend_handles_labels(), strict=True)]
    handles = {name: handle for handle, name in entries}
    figure.legend(handles.values(), handles.keys(), fontsize="small", loc="outside lower center")
    return figure


def panels_of(runs: Sequence[Run]) -> tuple[Panel, ...]:
    """Return archives if all runs filled one, a panel for each agent of which some are made, or else returns."""
    if all(len(run.curve(ARCHIVES[0].metric)[0]) for run in runs):
        return ARCHIVES
    returns = "return of held-out episodes"
    agents = sorted({agent for run in runs for agent in run.evaluated()})
    if not any(agents):
        return Panel(EVALUATED, returns), Panel(EVALUATED, returns, "speed/minutes")
    told = TOLD | {EVALUATED: returns}
    written = {name for run in runs for row in run.rows for name in row}
    found = [(agent, next(metric for metric in told if agent + metric in written)) for agent in agents]
    return tuple(Panel(agent + metric, agent.replace("/", "\n") + told[metric]) for agent, metric in found)


def draw_variant(axis: Axes, runs: Sequence[Run], panel: Panel, color: str) -> None:
    """Draw the mean of runs that differ in the seed alone, each seed as a thin line, and the band that they span."""
    curves = [run.curve(panel.metric, panel.against) for run in runs]
    curves = [(x, y) for x, y in curves if len(x)]
    if not curves:
        return
    for x, y in curves:
        axis.plot(x, y, color=color, alpha=0.35, linewidth=0.8, marker=marker(x))
    common = max(curves, key=lambda curve: len(curve[0]))[0]
    common = common[common <= min(x[-1] for x, _ in curves)]
    if not len(common):
        common = np.array([min(x[-1] for x, _ in curves)])
    values = np.stack([np.interp(common, x, y) for x, y in curves])  # (seeds, points)
    seeds = f" ({number_of(len(curves), 'seed')})"
    axis.plot(common, values.mean(0), color=color, linewidth=2, marker=marker(common), label=runs[0].label + seeds)
    axis.fill_between(common, values.min(0), values.max(0), color=color, alpha=0.15, linewidth=0)


def marker(x: np.ndarray) -> str:
    """Return what shows the points of a line at x (n,): a dot where one alone would be no line."""
    return "o" if len(x) == 1 else ""


def draw_metrics(run: Run) -> Figure:
    """Draw every metric of one run, one panel each, with returns first."""
    names = sorted({name for row in run.rows for name in row if not name.endswith(SHOWN_FIRST)} - {"step"})
    columns, panels = 4, 1 + len(names)
    rows = -(-panels // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(14, 2.4 * rows), squeeze=False, layout="constrained")
    flat = axes.flatten()
    draw_return(flat[0], run)
    for axis, name in zip(flat[1:], names, strict=False):
        x, y = run.curve(name)
        axis.plot(x, y, linewidth=1, marker=marker(x))
        axis.set_title(name, fontsize="small")
    for axis in flat[:panels]:
        axis.tick_params(labelsize="x-small")
        axis.xaxis.set_major_locator(MaxNLocator(4))
        step_axis(axis)
        axis.grid(alpha=0.3)
    for axis in flat[panels:]:
        axis.set_visible(False)
    figure.suptitle(f"{run.config.name} on {run.config.task}, distraction {run.config.distraction}: against steps")
    return figure


def draw_return(axis: Axes, run: Run) -> None:
    """Draw returns while exploring, and of greedy episodes on held-out videos with their spread."""
    explored = run.curve("episode/return")
    if len(explored[0]):
        axis.plot(*explored, linewidth=1, alpha=0.6, label="exploring")
    for number, agent in enumerate(run.evaluated(), 1):
        (x, y), (at, std) = run.curve(f"{agent}eval/return"), run.curve(f"{agent}eval/std")
        label = f"{agent.removesuffix('/')}, held-out".removeprefix(", ")
        axis.plot(x, y, marker="o", markersize=3, linewidth=2, color=f"C{number}", label=label)
        if len(x) == len(at):
            axis.fill_between(x, y - std, y + std, alpha=0.15, color=f"C{number}", linewidth=0)
    if run.random is not None:
        axis.axhline(run.random, color="grey", linestyle=":", label="random policy")
    axis.set_title("return", fontsize="small")
    axis.legend(fontsize="x-small")


def step_axis(axis: Axes, nothing: str = "nothing was logged") -> None:
    """Write environment steps below an axis, as 50k or 1M; where it shows no curve, say so in their place."""
    if any(len(line.get_xdata()) for line in axis.lines):  # type: ignore[arg-type]
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    else:
        axis.text(0.5, 0.7, nothing, ha="center", transform=axis.transAxes, color="grey")
        axis.set_xticks([])


def save(figure: Figure, path: Path) -> None:
    """Write a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=120)
    tensor_folder.replace(path, file.getvalue())
    plt.close(figure)


def summary(runs: Sequence[Run]) -> str:
    """Say where each run stands."""
    lines = [f"{'run':<44}{'steps':>10}{'minutes':>9}{'held-out return':>17}"]
    for run in runs:
        last: Mapping[str, float] = run.rows[-1]
        for agent in run.evaluated() or [""]:
            returns = run.curve(f"{agent}{EVALUATED}")[1]
            mean = f"{returns[-1]:.1f}" if len(returns) else "-"
            name = f"{run.config.name} {run.config.task} {run.config.distraction} {run.config.seed} {agent.strip('/')}"
            lines.append(f"{name:<44}{last['step']:>10,.0f}{last.get('speed/minutes', math.nan):>9.1f}{mean:>17}")
    return "\n".join(lines)
