"""Bounds on mutual information where it is known: python tests/benchmarks/bounds.py [--write docs/bounds.md].

Grids of d handwritten digits, each followed by the grid of the next digits in other hands: I(X; Y) = d ln 10
(`tests/digits.py`). Every bound trains two perceptrons and its critic, and is then asked about hands that training
never showed, in batches as large as in training. A ridge classifier on what the perceptron of x gives says how many
of the digits it holds.
"""

import argparse
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import torch
from torch import Tensor, nn

matplotlib.use("Agg")

from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

from digits import CLASSES, Digits, information

from world_models.bounds import BOUNDS, dependency, spectrally_normed
from world_models.diagnostics import ridge
from world_models.nets import mlp

GRIDS = (1, 4, 9)
SETTINGS = ((16, 0), (64, 0), (256, 0), (64, 1000), (64, 10_000))  # batch, pairs to train on; 0: always fresh ones
HIDDEN, EMBED, LEARNING_RATE, CLIP = 256, 64, 1e-3, 10.0
HELD_OUT, PROBED = 8192, 4096  # pairs
UNTRAINED = "untrained"
STYLES = {"infonce": "C0o-", "nwj": "C1s-", "wasserstein-gp": "C2^-", "wasserstein-sn": "C3v-"}


class Row(NamedTuple):
    """What one training came to."""

    bound: str
    d: int
    batch: int
    pairs: int
    training: float  # the bound, in nats, on hands that training shows
    held_out: float  # on others
    dependency: float  # E_joint[f] - E_marginals[f] on others, in units of f
    probe: float  # share of the held-out digits that the probe names


class Model(nn.Module):
    """A critic of pictures: two perceptrons and a bound's critic."""

    def __init__(self, name: str, d: int) -> None:
        super().__init__()
        self.x, self.y = (mlp(64 * d, EMBED, HIDDEN) for _ in range(2))
        if name == "wasserstein-sn":
            spectrally_normed(self)
        self.critic = BOUNDS[name].critic(EMBED, EMBED, EMBED)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.critic(self.x(x), self.y(y))  # (K, K)


def train(name: str, d: int, batch: int, pairs: int, steps: int, seed: int) -> Row:
    """Train a bound on batches of pairs, and measure it."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed + 1)
    shown, bound, model = Digits(held_out=False), BOUNDS[name], Model(name, d)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=True)
    data = shown.pairs(pairs, d, random)[:2] if pairs else None
    for _ in range(steps):
        if data is None:
            x, y = shown.pairs(batch, d, random)[:2]
        else:
            chosen = torch.randint(pairs, (batch,), generator=random)
            x, y = (part[chosen] for part in data)
        loss, _ = bound.loss(model, x, y)
        optimizer.zero_grad()
        loss.mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
    return Row(name if steps else UNTRAINED, d, batch, pairs, *measure(model.eval(), name, d, batch, random))


@torch.no_grad()
def measure(model: Model, name: str, d: int, batch: int, random: torch.Generator) -> tuple[float, float, float, float]:
    """Return the bound on hands of training and on others, the dependency measure, and the probe's accuracy."""
    values, (shown, others) = [], (Digits(held_out) for held_out in (False, True))
    for digits in (shown, others):
        scores = [model(*digits.pairs(batch, d, random)[:2]) for _ in range(HELD_OUT // batch)]
        values.append(torch.stack([BOUNDS[name].of_scores(square).mean() for square in scores]).mean().item())
    distance = torch.stack([dependency(square).mean() for square in scores]).mean().item()
    (x, _, labels), (held_out, _, truth) = (digits.pairs(PROBED, d, random) for digits in (shown, others))
    one_hot = nn.functional.one_hot(labels, CLASSES).flatten(1).float()  # (K, 10 d)
    guess = ridge(model.x(x), one_hot)(model.x(held_out)).unflatten(1, (d, CLASSES)).argmax(-1)  # (K, d)
    return values[0], values[1], distance, (guess == truth).float().mean().item()


def train_all(steps: int, seed: int, processes: int) -> list[Row]:
    """Train every bound in every setting, the long ones first, and say how far it is."""
    work = [(name, d, *setting, steps) for name, d, setting in product(BOUNDS, reversed(GRIDS), SETTINGS)]
    work += [("infonce", d, 64, 0, 0) for d in GRIDS]
    began, rows = time.monotonic(), []
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(train, *training, seed) for training in work]
        for future in as_completed(futures):
            rows.append(future.result())
            left = (time.monotonic() - began) / len(rows) * (len(work) - len(rows))
            print(f"\r{len(rows)}/{len(work)} trainings, {left:.0f} s left \x1b[K", end="", file=sys.stderr)
    print(f"\r{len(work)} trainings in {time.monotonic() - began:.0f} s\x1b[K", file=sys.stderr)
    return rows


def table(rows: Sequence[Row], value: str, text: str, before: dict[str, Callable[[int, int], float]]) -> list[str]:
    """Lay out one value of all trainings, a column for each bound, with columns `before` them that d and batch tell."""
    heads = ["d", "batch", "pairs", *before, *BOUNDS]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    found = {(row.bound, row.d, row.batch, row.pairs): getattr(row, value) for row in rows}
    for d, (batch, pairs) in product(GRIDS, SETTINGS):
        values = [tell(d, batch) for tell in before.values()] + [found[name, d, batch, pairs] for name in BOUNDS]
        cells = [str(d), str(batch), f"{pairs:,}" if pairs else "fresh", *map(text.format, values)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def page(rows: Sequence[Row], command: argparse.Namespace) -> str:
    """Write all tables, and what they are."""
    limits = {"d ln 10": lambda d, _: information(d), "ln batch": lambda _, batch: math.log(batch)}
    untrained = {row.d: row.probe for row in rows if row.bound == UNTRAINED}
    parts = [
        *["# Bounds on known information", ""],
        "Pairs of grids of d digits with I(X; Y) = d ln 10 nats ([`tests/digits.py`](../tests/digits.py)). `batch` is",
        f"K, in training and after it; `pairs` are those that training draws from. {command.steps} steps a training,",
        f"seed {command.seed}, {date.today()}. Made by `python tests/benchmarks/bounds.py --write docs/bounds.md`.",
        *["", "![Bounds, dependency and probe accuracy against batch and data size](bounds.png)", ""],
        *["## The bound, in nats, on hands that training never showed", "", *table(rows, "held_out", "{:.2f}", limits)],
        *["", "## The bound, in nats, on hands of training", "", *table(rows, "training", "{:.2f}", limits)],
        *["", "## E_joint[f] - E_marginals[f], held out, in units of f", "", *table(rows, "dependency", "{:.2f}", {})],
        *["", "## Share of held-out digits that a linear probe names (chance 0.10)", ""],
        *table(rows, "probe", "{:.3f}", {UNTRAINED: lambda d, _: untrained[d]}),
    ]
    return "\n".join(parts) + "\n"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the bound with its limits, the dependency measure and the probe: a column for each d."""
    figure, axes = plt.subplots(4, len(GRIDS), figsize=(11, 11.5), sharex="row", layout="constrained")
    for column, d in zip(axes.T, GRIDS, strict=True):
        mine = [row for row in rows if row.d == d and row.bound != UNTRAINED]
        untrained = next(row.probe for row in rows if row.d == d and row.bound == UNTRAINED)
        fresh, sized = [row for row in mine if not row.pairs], [row for row in mine if row.batch == 64]
        batches = sorted({row.batch for row in fresh})
        column[0].plot(batches, [math.log(batch) for batch in batches], "k--", label="ln batch")
        column[0].axhline(information(d), color="grey", linestyle=":", label="I(X; Y) = d ln 10")
        most = max(row.pairs for row in sized)
        for name, style in STYLES.items():
            by_batch = sorted((row for row in fresh if row.bound == name), key=lambda row: row.batch)
            by_pairs = sorted((row for row in sized if row.bound == name), key=lambda row: row.pairs or math.inf)
            for axis, value in zip(column, ("held_out", "dependency", "probe"), strict=False):
                axis.plot(batches, [getattr(row, value) for row in by_batch], style, label=name, markersize=5)
            places = [row.pairs or 10 * most for row in by_pairs]
            column[3].plot(places, [row.probe for row in by_pairs], style, label=name, markersize=5)
        for axis in column[2:]:
            axis.axhline(untrained, color="grey", linestyle="-.", label=UNTRAINED)
        column[0].set_title(f"d = {d}, I = {information(d):.1f} nats")
        column[0].set_ylim(-0.5, min(information(d), math.log(batches[-1])) + 1.5)
        for axis in column[:3]:
            axis.set_xscale("log", base=2)
            axis.set_xticks(batches, map(str, batches))
            axis.set_xlabel("batch")
        column[3].set(xscale="log", xlabel="pairs to train on, batch 64")
        column[3].set_xticks(places, [*(f"{place:,}" for place in places[:-1]), "fresh"])
        column[3].set_xticks([], minor=True)
        for axis in column:
            axis.grid(alpha=0.3)
    for axis, label in zip(axes[:, 0], ("bound, nats", "E_joint f - E_marginals f", "probe", "probe"), strict=True):
        axis.set_ylabel(label + (" accuracy" if label == "probe" else ""))
    labelled = [axis.get_legend_handles_labels() for axis in axes[[0, 2], 0]]
    handles, labels = ([*first, last[-1]] for first, last in zip(*labelled, strict=True))
    figure.legend(handles, labels, loc="outside lower center", ncol=7, fontsize="small")
    aside = path.with_name(path.name + ".unfinished")
    figure.savefig(aside, format="png", dpi=100)
    os.replace(aside, path)


def main(arguments: Sequence[str] | None = None) -> None:
    parser: Any = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="of each training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--write", type=Path, help="Markdown file for the tables; the figure goes beside it, as PNG")
    command = parser.parse_args(arguments)
    rows = train_all(command.steps, command.seed, command.processes)
    text = page(rows, command)
    print(text)
    if command.write:
        draw(rows, command.write.with_suffix(".png"))
        command.write.write_text(text)


if __name__ == "__main__":
    main()
