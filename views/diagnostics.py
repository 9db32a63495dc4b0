"""One page of figures: what an agent's latent states hold of the simulator's state and of the background."""

import math
from collections.abc import Mapping, Sequence

import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tensordict import TensorDict

from agents.agent import Examinable
from agents.examination import neighbours
from views.curves import Run, step_axis

COLOURS = {"state": "C0", "distractor": "C3"}
CODES = {"stoch": "z", "feat": "[h, z]"}
TARGETS = {"state": "state", "distractor": "background"}
TOLD = {"observation": "I(O; Z)", "reward": "I(R; Z)", "action": "I(A; Z' | past)"}
QUERIES, FOUND = 6, 3  # rows of pictures and how many neighbours of each
LEAST = -0.25  # of R^2 that is drawn


def draw(title: str, numbers: Mapping[str, float], agent: Examinable, rows: TensorDict, run: Run | None) -> Figure:
    """Draw what `examined` measured on rows (N, T) of held-out episodes; `run` tells how probes rose in training."""
    pictures = "distractor" in rows and "pixels" in rows
    figure = plt.figure(figsize=(13, 13.5 if pictures else 7), layout="constrained")
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=(7, 6.5))[:, 0] if pictures else [figure]
    axes = parts[0].subplots(2, 3)
    draw_probes(axes[0, 0], numbers)
    draw_information(axes[0, 1], numbers)
    draw_leak(axes[0, 2], [numbers], [""])
    draw_training(axes[1, 0], run)
    draw_geometry(axes[1, 1], numbers)
    draw_spectral(axes[1, 2], numbers)
    if pictures:
        draw_neighbours(parts[1], agent, rows)
    figure.suptitle(title)
    return figure


def draw_probes(axis: Axes, numbers: Mapping[str, float]) -> None:
    """Draw R^2 of probes as bars, with the same of an agent that never learned, on the same rows, as outlines."""
    places = [(code, target) for code in CODES for target in TARGETS if f"probe/{target}/{code}" in numbers]
    for place, (code, target) in enumerate(places):
        value, untrained = numbers[f"probe/{target}/{code}"], numbers.get(f"untrained/probe/{target}/{code}", math.nan)
        axis.bar(place, max(value, LEAST), color=COLOURS[target], width=0.7)
        axis.bar(place, max(untrained, LEAST), fill=False, edgecolor="black", linestyle="--", width=0.7)
        axis.text(place, max(value, 0) + 0.02, f"{value:.2f}" + " ↓" * (value < LEAST), ha="center")
    axis.bar(0, 0, fill=False, edgecolor="black", linestyle="--", label="untrained")
    axis.set_xticks(range(len(places)), [f"{TARGETS[target]}\nfrom {CODES[code]}" for code, target in places])
    axis.set(title="linear probes, other episodes", ylabel="R²", ylim=(LEAST, 1.1))
    axis.axhline(0, color="black", linewidth=0.8)
    axis.legend(loc="upper right", fontsize="small")


def draw_information(axis: Axes, numbers: Mapping[str, float]) -> None:
    """Draw held-out bounds as bars up to their ceilings."""
    told = {name: label for name, label in TOLD.items() if f"information/{name}" in numbers}
    for place, name in enumerate(told):
        value, ceiling = numbers[f"information/{name}"], numbers[f"information/{name}_ceiling"]
        axis.barh(place, value, color="C2")
        axis.plot([ceiling, ceiling], [place - 0.4, place + 0.4], "k", label="ceiling, ln of the choices" * (not place))
        axis.text(max(value, 0) + 0.1, place, f"{value:.2f}", va="center")
    axis.set_yticks(range(len(told)), list(told.values()))
    axis.invert_yaxis()
    axis.set(title="information, lower bounds", xlabel="nats")
    if told:
        axis.legend(loc="lower right", fontsize="small")


def draw_leak(axis: Axes, conditions: Sequence[Mapping[str, float]], labels: Sequence[str]) -> None:
    """Draw what the inverse model knows of an action, seeing its codes and seeing others', for each run."""
    for place, numbers in enumerate(conditions):
        for side, (name, colour) in enumerate((("seen", "C0"), ("shuffled", "C1"))):
            value = numbers.get(f"inverse/{name}", math.nan)
            what = {"seen": "its codes", "shuffled": "codes of other episodes"}[name]
            bar = axis.bar(place + 0.4 * side - 0.2, value, 0.36, color=colour, label=what * (not place))
            axis.bar_label(bar, fmt="%.2f", fontsize="small", padding=1)
        if "inverse/seen" not in numbers:
            across = axis.get_xaxis_transform()
            axis.text(place, 0.5, "no inverse\nmodel", transform=across, ha="center", fontsize="small", in_layout=False)
    axis.set_xticks(range(len(labels)), list(labels))
    axis.set_xlim(-0.6, len(labels) - 0.4)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_title("what the inverse model knows of the action", fontsize="medium")
    axis.set_ylabel("nats over uniform, an action dimension", fontsize="small")
    axis.margins(y=0.3)
    axis.legend(fontsize="small", loc="best")


def draw_training(axis: Axes, run: Run | None) -> None:
    """Draw how R^2 of the probes rose while training, if the run has said so."""
    curves = {
        (code, target): run.curve(f"probe/{target}/{code}") for code in CODES for target in TARGETS if run is not None
    }
    for (code, target), (steps, values) in curves.items():
        if len(steps):
            style, label = "-" if code == "stoch" else "--", f"{TARGETS[target]} from {CODES[code]}"
            axis.plot(steps, values.clip(LEAST), style, color=COLOURS[target], label=label)
    axis.set(title="probes while training", xlabel="environment steps", ylabel="R²", ylim=(LEAST, 1.1))
    step_axis(axis, "trained without --diagnostics")
    if axis.lines:
        axis.legend(fontsize="x-small", ncol=2)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.grid(alpha=0.3)


def draw_geometry(axis: Axes, numbers: Mapping[str, float]) -> None:
    """Draw what lies between 0 and 1: the similarity metric beside chance, and neighbours' distance."""
    bars = {
        "similarity to\nthe state's geometry": ("geometry/similarity", "C0"),
        "... in another\norder (chance)": ("geometry/shuffled", "lightgrey"),
        "state distance of\nneighbours elsewhere": ("geometry/neighbours", "C4"),
    }
    bars = {label: bar for label, bar in bars.items() if bar[0] in numbers}
    for place, (name, colour) in enumerate(bars.values()):
        axis.bar(place, numbers[name], color=colour, width=0.6)
        axis.text(place, min(numbers[name], 1.1) + 0.02, f"{numbers[name]:.2f}", ha="center")
    axis.set_xticks(range(len(bars)), list(bars), fontsize="small")
    axis.set(title=f"geometry of z; effective rank {numbers['geometry/rank']:.1f}", ylim=(0, 1.2))


def draw_spectral(axis: Axes, numbers: Mapping[str, float]) -> None:
    """Draw diffusion spectral entropy, and information about classes of states and of backgrounds."""
    bars = {
        "entropy of z": ("spectral/entropy", "C2"),
        "about the\nstate": ("spectral/state", COLOURS["state"]),
        "about the\nbackground": ("spectral/distractor", COLOURS["distractor"]),
    }
    bars = {label: bar for label, bar in bars.items() if bar[0] in numbers}
    for place, (name, colour) in enumerate(bars.values()):
        axis.bar_label(axis.bar(place, numbers[name], color=colour, width=0.6), fmt="%.2f", padding=1)
    axis.set_xticks(range(len(bars)), list(bars), fontsize="small")
    axis.set(title="diffusion spectral information", ylabel="bits")
    axis.axhline(0, color="black", linewidth=0.8)
    axis.margins(y=0.12)


def draw_neighbours(figure: Figure, agent: Examinable, rows: TensorDict) -> None:
    """Draw rows, each with those whose codes are nearest to its own in front of other backgrounds."""
    places = neighbours(agent, rows, QUERIES, FOUND)  # (Q, 1 + k)
    frames = rows["pixels"].flatten(0, 1)[places].cpu()  # (Q, 1 + k, H, W, 3)
    count, size = frames.shape[1], frames.shape[2]
    axes = figure.subplots(1, QUERIES)
    for axis, strip in zip(axes, frames, strict=True):
        gap = torch.full((size // 10, size, 3), 255, dtype=torch.uint8)  # between a row and its neighbours
        axis.imshow(torch.cat([strip[0], gap, *strip[1:]]).numpy())
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    middles = [size / 2, *(size // 10 + size * (line + 0.5) for line in range(1, count))]
    axes[0].set_yticks(
        middles, ["a row", *(f"nearest z, {line}" for line in range(1, count))], rotation=90, va="center"
    )
    figure.suptitle("rows of held-out episodes, and those with the nearest z in front of other backgrounds")
