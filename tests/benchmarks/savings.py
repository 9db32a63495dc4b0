"""What archives came to, and in how many evaluations: python tests/benchmarks/savings.py docs/archives/*.

First, of each agent, the last figures of its elites played again: the mean over seeds, and each. Then the QD scores
that --reference has, on average over its seeds, after a quarter, a half, three quarters and all of its evaluations, and
what share of these evaluations every run takes to reach them, between logged points by straight lines: the mean, each
seed, and a dash for those that never do.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents.runs.folder import load_config
from views.curves import Curve, Run, load_run

SHARES = (0.25, 0.5, 0.75, 1.0)
METRICS = {"reevaluated/qd_score": "elites played again", "archive/qd_score": "as archived"}
LAST = {
    "qd_score": ("QD score", ",.0f"),
    "coverage": ("coverage", ".3f"),
    "max": ("best", ".0f"),
    "mean": ("mean", ".1f"),
}


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


def told(values: Sequence[float], digits: str = ".2f") -> str:
    """Write the mean of values, and all of them."""
    each = "; ".join(f"{value:{digits}}" if np.isfinite(value) else "-" for value in values)
    return f"{np.mean(values):{digits}} ({each})" if np.isfinite(values).all() else f"- ({each})"


def agents_of(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs of each agent, by seed."""
    names = dict.fromkeys(run.config.name for run in runs)
    ordered = sorted(runs, key=lambda run: run.config.seed)
    return {name: [run for run in ordered if run.config.name == name] for name in names}


def last(runs: Sequence[Run]) -> str:
    """Lay out what archives came to: a line for each agent."""
    lines = ["| | " + " | ".join(head for head, _ in LAST.values()) + " |", "|---" * (1 + len(LAST)) + "|"]
    for name, mine in agents_of(runs).items():
        cells = [
            told([run.curve(f"reevaluated/{metric}")[1][-1] for run in mine], digits)
            for metric, (_, digits) in LAST.items()
        ]
        lines.append("| " + " | ".join([f"`{name}`", *cells]) + " |")
    return "\n".join(lines)


def table(runs: Sequence[Run], reference: str, metric: str) -> str:
    """Lay out the shares: a line for each agent, a column for each part of the reference's evaluations."""
    curves = [run.curve(metric) for run in runs if run.config.name == reference]
    if not curves:
        raise ValueError(f"none of the runs is of {reference}")
    steps = min(x[-1] for x, _ in curves)
    targets = [float(np.mean([at(curve, share * steps) for curve in curves])) for share in SHARES]
    heads = [f"{share:.0%}: {target:,.0f}" for share, target in zip(SHARES, targets, strict=True)]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    for name, mine in agents_of(runs).items():
        cells = [told([needed(run.curve(metric), target) / steps for run in mine]) for target in targets]
        lines.append("| " + " | ".join([f"`{name}`", *cells]) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders of one task")
    parser.add_argument("--reference", default="map-elites-small")
    args = parser.parse_args(arguments)
    runs = [load_run(folder, load_config(folder)) for folder in args.runs]
    print(f"At the end, elites played again:\n\n{last(runs)}\n")
    for metric, title in METRICS.items():
        print(f"Share of the evaluations for a QD score, {title}:\n\n{table(runs, args.reference, metric)}\n")


if __name__ == "__main__":
    main()
