"""Look at runs: python visualize.py RUN [RUN ...]; learning curves as PNG, and what its agent has for a run."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from agents import checkpoint
from agents.run_folder import load_config
from agents.slim import Slim, SlimConfig
from train import load_agent, make_envs
from views import curves, skills


@dataclass(frozen=True)
class Command:
    """Draw learning curves: all metrics of one run, or the returns of several, one line for each variant.

    Of one run that learned skills, also plays them: skills.png, skills.gif and skills.json.
    """

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
        found = draw_skills(command.runs[0], runs[0]) if len(runs) == 1 else {}
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(curves.summary(runs))
    for name, value in found.items():
        print(f"{name:<24}{value:>10.3f}")
    print(f"\nwritten: {path}{' and skills.png, skills.gif, skills.json beside the run' if found else ''}")


def draw_skills(folder: Path, run: curves.Run) -> dict[str, float]:
    """Play and draw the skills of a run that has learned some, and return numbers about them."""
    if not isinstance(run.config.agent, SlimConfig) or checkpoint.newest(folder / "checkpoints") is None:
        return {}
    seed = run.config.seed + 1000  # starts that training has not seen
    envs = make_envs(run.config, num_envs=skills.SKILLS, seed=seed)
    agent, _ = load_agent(folder, run.config, envs)
    assert isinstance(agent, Slim)
    played, episodes, numbers = skills.look(agent, envs)
    curves.save(skills.draw(run, agent, played, episodes[0], numbers), folder / "skills.png")
    skills.write(numbers, folder / "skills.json")
    envs.close()
    shown = make_envs(run.config, num_envs=skills.FILMED, seed=seed, pixels=True, state=True)
    skills.film(agent, shown, folder / "skills.gif")
    shown.close()
    return numbers


if __name__ == "__main__":
    main()
