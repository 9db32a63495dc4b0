"""Evaluations that agents need for what another reaches: python tests/benchmarks/savings.py docs/archives/*.

The QD scores that --reference has, on average over its seeds, after a quarter, a half, three quarters and all of its
evaluations; and what share of these evaluations every other run takes to reach them, between logged points by straight
lines: the mean over seeds, each seed, and a dash for those that never do.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents.run_folder import load_config
from views.curves import Curve, Run, load_run

SHARES = (0.25, 0.5, 0.75, 1.0)
METRICS = {"reevaluated/qd_score": "elites played again", "archive/qd_score": "as archived"}


def at(curve: Curve, step: float) -> float:
    """Return a curve's value at a step; it begins at (0, 0)."""
    x, y = curve
    return float(np.interp(step, [0, *x], [0, *y]))


def needed(curve: Curve, target: float) -> float:
    """Return at which step a curve from (0, 0) first reaches a target above 0; infinity if it never does."""
    x, y = np.array([0, *curve[0]], float), np.maximum.accumulate([0, *curve[1]])
    if y[-1] < target:
        return np.inf
    last = int(np.argmax(y >= target))
    share = (target - y[last - 1]) / (y[last] - y[last - 1])
    return float(x[last - 1] + share * (x[last] - x[last - 1]))


def told(shares: Sequence[float]) -> str:
    """Write the mean of shares, and all of them."""
    each = ", ".join(f"{share:.2f}" if np.isfinite(share) else "-" for share in shares)
    return f"{np.mean(shares):.2f} ({each})" if np.isfinite(shares).all() else f"- ({each})"


def table(runs: Sequence[Run], reference: str, metric: str) -> str:
    """Lay out the shares: a line for each agent, a column for each part of the reference's evaluations."""
    curves = [run.curve(metric) for run in runs if run.config.name == reference]
    if not curves:
        raise ValueError(f"none of the runs is of {reference}")
    steps = min(x[-1] for x, _ in curves)
    targets = [float(np.mean([at(curve, share * steps) for curve in curves])) for share in SHARES]
    heads = [f"{share:.0%}: {target:,.0f}" for share, target in zip(SHARES, targets, strict=True)]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    for name in dict.fromkeys(run.config.name for run in runs):
        mine = sorted((run for run in runs if run.config.name == name), key=lambda run: run.config.seed)
        cells = [told([needed(run.curve(metric), target) / steps for run in mine]) for target in targets]
        lines.append("| " + " | ".join([f"`{name}`", *cells]) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders of one task")
    parser.add_argument("--reference", default="map-elites-small")
    args = parser.parse_args(arguments)
    runs = [load_run(folder, load_config(folder)) for folder in args.runs]
    for metric, title in METRICS.items():
        print(f"QD score, {title}:\n\n{table(runs, args.reference, metric)}\n")


if __name__ == "__main__":
    main()
