"""One page of figures and one of Markdown: what runs returned under the conditions of a suite."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MultipleLocator

from agents.runs.summary import SCALE
from agents.runs.tensor_folder import replace
from views.curves import save
from views.tables import improvement_table, markdown_table, number_of, together

Row = Mapping[str, Any]


def report(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write what `sum_up` found, and what it says of itself, as JSON, Markdown and a picture into a folder."""
    paths = [folder / f"{found['suite']}.{ending}" for ending in ("json", "md", "png")]
    replace(paths[0], (json.dumps(found, indent=2) + "\n").encode())
    replace(paths[1], page(found, paths[2].name).encode())
    save(draw(found), paths[2])
    return paths


def title(found: Mapping[str, Any]) -> str:
    tasks = list(dict.fromkeys(run["task"] for run in found["runs"]))
    return f"Suite {found['suite']}: {', '.join(tasks)}"


def notes(found: Mapping[str, Any]) -> list[str]:
    """Say what was played and how it was counted."""
    trained = [run for run in found["runs"] if run["step"] is not None]
    lines = []
    for agent in dict.fromkeys(run["agent"] for run in trained):
        own = [run for run in trained if run["agent"] == agent]
        steps = sorted({run["step"] for run in own})
        seeds = ", ".join(map(str, sorted({run["seed"] for run in own})))
        runs = f"{number_of(len(own), 'run')}, seed{'s' * (',' in seeds)} {seeds}"
        lines.append(f"- {agent}: {runs}, {' to '.join(f'{step:,}' for step in sorted({steps[0], steps[-1]}))} steps")
    agents = {run["agent"] for run in trained}
    over = {row["over"] for row in found["summaries"] if row["agent"] in agents}
    units = {"seeds": "runs within their task", "episodes": "episodes: of no task are there two runs of an agent"}
    return [
        "\n".join(lines),
        f"{found['episodes']} greedy episodes a run and condition, seed {found['seed']}, each from the same starts. "
        "Intervals hold 95 % of a stratified bootstrap that draws "
        f"{' or '.join(units[unit] for unit in sorted(over, reverse=True))}. Aggregates and performance profiles are "
        f"rliable's (Agarwal et al. 2021); profiles put tasks on one scale as return / {found['scale']}.",
    ]


def draw(found: Mapping[str, Any]) -> Figure:
    """Draw interquartile means and gaps by condition, and performance profiles by family of conditions."""
    rows = together(found)
    families = list(dict.fromkeys(each["family"] for each in found["profiles"]))
    trained = list(dict.fromkeys(run["agent"] for run in found["runs"] if run["step"] is not None))
    colours = {agent: f"C{number}" for number, agent in enumerate(trained)}
    runs = Counter(run["agent"] for run in found["runs"])
    figure = plt.figure(figsize=(15, 11), layout="constrained")
    top, middle, bottom = figure.subfigures(3, 1, squeeze=False, height_ratios=(4, 3.2, 2.8))[:, 0]
    axis = top.subplots()
    draw_intervals(axis, rows, "iqm", colours)
    for agent in trained:
        axis.plot([], [], "o", color=colours[agent], label=f"{agent} ({number_of(runs[agent], 'run')})")
    for row in rows:
        if row["agent"] not in colours:
            axis.axhline(row["iqm"], color="grey", linestyle=":", label=row["agent"])
    axis.set(title="return on held-out videos: interquartile mean, 95 % interval", ylabel="return", ylim=(0, None))
    draw_profiles(middle.subplots(1, len(families), squeeze=False, sharey=True)[0], found["profiles"], colours)
    axis = bottom.subplots()
    draw_intervals(axis, rows, "gap", colours)
    axis.axhline(0, color="black", linewidth=0.8)
    what = "generalisation gap, where training showed the distraction: mean return on its videos less held-out ones"
    axis.set(title=what, ylabel="return")
    figure.suptitle(title(found))
    handles = top.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=min(4, len(handles[1])))
    return figure


def draw_intervals(axis: Axes, rows: Sequence[Row], name: str, colours: Mapping[str, str]) -> None:
    """Draw a number of each condition with its interval, agents side by side."""
    held = [row for row in rows if name in row and row["agent"] in colours]
    conditions = list(dict.fromkeys(row["condition"] for row in held))
    for side, (agent, colour) in enumerate(colours.items()):
        own = [row for row in held if row["agent"] == agent]
        offset = 0.7 * ((side + 0.5) / len(colours) - 0.5)
        places = np.array([conditions.index(row["condition"]) + offset for row in own])
        values = np.array([row[name] for row in own])
        spans = np.array([row[f"{name}_ci95"] for row in own]).reshape(-1, 2)
        axis.vlines(places, spans[:, 0], spans[:, 1], color=colour, linewidth=5, alpha=0.35)
        axis.plot(places, values, "o", color=colour, markersize=5)
    for border in range(1, len(conditions)):
        axis.axvline(border - 0.5, color="lightgrey", linewidth=0.8)
    axis.set_xticks(range(len(conditions)), conditions)
    axis.set_xlim(-0.5, max(len(conditions), 1) - 0.5)
    axis.grid(axis="y", alpha=0.3)


def draw_profiles(axes: Sequence[Axes], profiles: Sequence[Row], colours: Mapping[str, str]) -> None:
    """Draw the share of scores above each return, a panel for each family of conditions."""
    families = list(dict.fromkeys(each["family"] for each in profiles))
    for axis, family in zip(axes, families, strict=True):
        for each in profiles:
            if each["family"] == family:
                x, colour = SCALE * np.array(each["thresholds"]), colours.get(each["agent"], "grey")
                axis.plot(
                    x, each["share"], color=colour, linewidth=2, linestyle="-" if each["agent"] in colours else ":"
                )
                axis.fill_between(x, each["low"], each["high"], color=colour, alpha=0.15, linewidth=0)
        axis.set(title=family, xlabel="return", xlim=(0, SCALE), ylim=(-0.02, 1.02))
        axis.xaxis.set_major_locator(MultipleLocator(SCALE / 4))
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        axis.grid(alpha=0.3)
    units = {"seeds": "runs", "episodes": "episodes"}[profiles[0]["over"]]
    axes[0].set_ylabel(f"share of {units} and conditions above")


def page(found: Mapping[str, Any], picture: str) -> str:
    """Return the same as Markdown: a table for each number, for all tasks together and for each."""
    parts = [f"# {title(found)}", *notes(found), f"![Interquartile means, performance profiles and gaps]({picture})"]
    numbers = {
        "iqm": "Interquartile mean of returns (95 % interval), held-out videos",
        "mean": "Mean of returns (95 % interval), held-out videos",
        "gap": "Generalisation gap (95 % interval), where training showed the distraction: mean on its videos "
        "less mean on held-out ones",
    }
    rows = found["summaries"]
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    for task in tasks:
        parts += [f"## {task}"] if len(tasks) > 1 else []
        for name, caption in numbers.items():
            own = [row for row in rows if row["task"] == task]
            parts += [f"**{caption}**", markdown_table(own, name)] if any(name in row for row in own) else []
    if found["improvements"]:
        parts += [
            "**Probability that a run of the line's agent beats one of the column's** (95 % interval), by the mean "
            "over all distracting conditions",
            improvement_table(found["improvements"]),
        ]
    return "\n\n".join(parts) + "\n"
