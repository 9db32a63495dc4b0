"""Look at runs: python visualize.py RUN [RUN ...]; learning curves as PNG."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from agents.run_folder import load_config
from views import curves


@dataclass(frozen=True)
class Command:
    """Draw learning curves: all metrics of one run, or the returns of several, one line for each variant."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders. Runs that differ in the seed alone make one line, their mean, in a band from least to most."""
    out: Path | None = None
    """PNG to write. Default: curves.png in the run; needed for several runs."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    try:
        command = tyro.cli(Command, prog="visualize.py", args=arguments)
        if not command.runs:
            raise ValueError("name at least one run folder")
        if len(command.runs) > 1 and command.out is None:
            raise ValueError("several runs need a file to write: --out curves.png")
        runs = [curves.load_run(folder, load_config(folder)) for folder in command.runs]
        path = command.out or command.runs[0] / "curves.png"
        curves.save(curves.draw_metrics(runs[0]) if len(runs) == 1 else curves.draw_returns(runs), path)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"{curves.summary(runs)}\n\nwritten: {path}")


if __name__ == "__main__":
    main()
