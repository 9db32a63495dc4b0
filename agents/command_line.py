"""The command line of train.py: every preset a subcommand, and what a run that goes on may change."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, Union

import tyro

from agents.config import Config, flatten
from agents.presets import ABOUT
from agents.registry import preset
from agents.runs.folder import load_config

A = TypeVar("A")


@dataclass(frozen=True)
class Command(Generic[A]):
    """Train an agent in a run folder."""

    config: Annotated[Config[A], tyro.conf.arg(name="")]
    run: str | None = None
    """Run folder. Default: runs/AGENT-TASK-DISTRACTION-SEED."""
    resume: bool = False
    """Go on from the run's newest checkpoint, with the options that it was started with."""


def parse(arguments: Sequence[str], presets: dict[str, Config[Any]]) -> Command[Any]:
    """Read a command line whose defaults are the presets'."""
    if arguments and not arguments[0].startswith("-"):
        preset(arguments[0])  # refuses an unknown name in one line
    commands = []
    for name, config in presets.items():
        subcommand = tyro.conf.subcommand(name, default=Command(config), description=ABOUT[name])
        commands.append(Annotated[Command[type(config.agent)], subcommand])  # type: ignore[misc]
    description = "Train an agent in a run folder. For an agent's options: python train.py AGENT --help"
    union: Any = Union[tuple(commands)]  # noqa: UP007, made of a list
    return tyro.cli(union, prog="train.py", description=description, args=arguments)


def default_run(config: Config[Any]) -> str:
    return f"runs/{config.name}-{config.task}-{config.distraction}-{config.seed}"


def resumable(run: Path, name: str) -> Config[Any]:
    """Load the configuration to go on with, of the agent asked for."""
    saved = load_config(run)
    if saved.name != name:
        raise ValueError(f"the run in {run} trains {saved.name}, not {name}")
    return saved


def refuse_changes(saved: Config[Any], asked: Config[Any], run: Path) -> None:
    """Raise ValueError for options, other than `steps`, with which a run cannot go on."""
    before, now = flatten(saved), flatten(asked)
    changed = [
        f"--{name} {now[name]} (was {before[name]})" for name in now if now[name] != before[name] and name != "steps"
    ]
    if changed:
        raise ValueError(f"the run in {run} cannot go on with other options: {', '.join(changed)}")
