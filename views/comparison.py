"""Compare what the latent states of runs hold: python -m views.comparison RUN [RUN ...] --out docs/leak.png.

Reads what `evaluate.py RUN --diagnostics` wrote; draws what inverse models read and what probes find, a bar for each
run, and prints the same as a Markdown table.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from agents.command_line import answered, read_command
from agents.runs import results
from views.curves import save
from views.diagnostics import CODES, COLOURS, TARGETS, draw_leak

COLUMNS = {
    "state from z": "probe/state/stoch",
    "background from z": "probe/distractor/stoch",
    "state from [h, z]": "probe/state/feat",
    "background from [h, z]": "probe/distractor/feat",
    "inverse, its codes": "inverse/seen",
    "inverse, other codes": "inverse/shuffled",
}


@dataclass(frozen=True)
class Command:
    """Compare runs that `evaluate.py --diagnostics` has evaluated."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders."""
    out: Path
    """PNG to write."""
    distraction: str = "video"
    """Which of the evaluated conditions."""


def read(run: Path, distraction: str) -> dict[str, float]:
    """Return an agent's diagnostics; raise FileNotFoundError or ValueError, in one line, where there are none."""
    path = run / results.FILE
    if not path.exists():
        raise FileNotFoundError(f"the run {run} has no evaluation.json: run evaluate.py {run} --diagnostics")
    for condition in results.read(run):
        found = condition.get("metrics", {})
        if condition["policy"] == "agent" and condition["distraction"] == distraction and "probe/state/stoch" in found:
            return found | {"step": condition["step"]}
    raise ValueError(f"{path} has no diagnostics in front of {distraction}: run evaluate.py {run} --diagnostics")


def named(runs: Sequence[Path]) -> dict[str, Path]:
    """Name runs by their folders, by their paths where several folders have the same name."""
    names = [run.name for run in runs]
    return {str(run) if names.count(run.name) > 1 else run.name: run for run in runs}


def draw(found: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw runs by their names side by side."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(5 + 2.5 * len(found), 4.2), layout="constrained")
    names = [textwrap.fill(name, 16) for name in found]  # breaks at spaces and hyphens
    draw_leak(left, list(found.values()), names)
    pairs = [(target, code) for code in CODES for target in TARGETS]
    for place, numbers in enumerate(found.values()):
        for side, (target, code) in enumerate(pairs):
            value = numbers.get(f"probe/{target}/{code}", float("nan"))
            hatch, label = "//" * (code == "feat"), f"{TARGETS[target]} from {CODES[code]}" * (not place)
            right.bar(place + 0.2 * side - 0.3, value, 0.19, color=COLOURS[target], hatch=hatch, alpha=0.8, label=label)
    right.set_xticks(range(len(found)), names)
    right.axhline(0, color="black", linewidth=0.8)
    right.set(title="linear probes, other episodes", ylabel="R²", ylim=(-0.25, 1.1))
    right.legend(fontsize="x-small", ncol=2)
    return figure


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Lay the same out as Markdown."""
    lines = ["| run | steps | " + " | ".join(COLUMNS) + " |", "|---" * (2 + len(COLUMNS)) + "|"]
    for name, numbers in found.items():
        cells = [f"{numbers[key]:.2f}" if key in numbers else "" for key in COLUMNS.values()]
        lines.append("| " + " | ".join([name, f"{numbers['step']:,}", *cells]) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    with answered():
        command = read_command(Command, "python -m views.comparison", arguments)
        if not command.runs:
            raise ValueError("name at least one run folder")
        found = {name: read(run, command.distraction) for name, run in named(command.runs).items()}
        save(draw(found), command.out)
    print(table(found))


if __name__ == "__main__":
    main()
