"""Command lines in one line of error each; train.py's, an agent and its options, and what a run may go on with."""

import io
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, Union

import tyro

from agents.config import Config, flatten
from agents.presets import ABOUT
from agents.registry import preset
from agents.runs import checkpoint
from agents.runs.console import fall_silent
from agents.runs.folder import load_config

A = TypeVar("A")
C = TypeVar("C")
# By --resume.
CHANGEABLE = (
    "steps", "device", "threads", "replay-dir", "eval-every", "log-every", "checkpoint-every", "keep-agents",
)  # fmt: skip
FRAME = set("│╭╮╰╯─+-| ")  # what tyro frames messages with; the last four where a terminal knows no others


@dataclass(frozen=True)
class Command(Generic[A]):
    """Train an agent in a run folder."""

    config: Annotated[Config[A], tyro.conf.arg(name="")]
    run: str | None = None
    """Run folder. Default: runs/AGENT-TASK-DISTRACTION-SEED."""
    resume: bool = False
    """Go on from the run's newest checkpoint, with the options that it was started with."""


@contextmanager
def answered(interrupted: str = "interrupted") -> Iterator[None]:
    """End the process as every command ends: in one line on stderr, and a code that says why.

    1: a loss is not finite. 2: what was asked for makes no sense, or a file cannot be read or written. 130: Ctrl-C.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # nobody reads on: `... --help | head`
        fall_silent()
        raise SystemExit(0) from None
    except (FloatingPointError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1 if isinstance(error, FloatingPointError) else 2) from None
    except KeyboardInterrupt:
        print(f"\n{interrupted}", file=sys.stderr)
        raise SystemExit(130) from None


def read_command(kind: type[C], prog: str, arguments: Sequence[str] | None = None, **options: Any) -> C:
    """Read a command line as `tyro.cli` does; raise ValueError, with one line, for what is not one."""
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(kind, prog=prog, args=arguments, **options)
    except SystemExit as end:
        if not end.code:  # --help
            raise
        raise ValueError(line_of(said.getvalue(), prog)) from None


def line_of(box: str, prog: str) -> str:
    """Return what a framed message of tyro's says, without its title, in one line; and its nearest option."""
    _, *lines = ["" if set(line) <= FRAME else line.strip("│| ") for line in box.splitlines()]  # "" for a rule
    said = itertools.takewhile(bool, itertools.dropwhile(lambda line: not line, lines))
    near = next((line.split()[0] for line in lines[1:] if line.startswith("--") and "Perhaps you meant:" in lines), "")
    message = " ".join(said).removeprefix("Error parsing ").removesuffix(".")
    message = re.sub(r"invalid literal for int\(\) with base 10: (.*)", r"\1 is not a whole number", message)
    message = re.sub(r"^Missing from \S+: (\S+) .*", rf"name a \1: {prog} \1", message)
    return f"{message[:1].lower()}{message[1:]}: {f'did you mean {near}?' if near else f'see {prog} --help'}"


def parse(arguments: Sequence[str], presets: dict[str, Config[Any]]) -> Command[Any]:
    """Read a command line whose defaults are the presets'."""
    if arguments and not arguments[0].startswith("-"):
        name, *options = arguments
        preset(name)  # refuses an unknown name in one line
        config = presets[name]
        kind: Any = Command[type(config.agent)]  # type: ignore[misc]
        return read_command(kind, f"train.py {name}", options, default=Command(config), description=ABOUT[name])
    if arguments and not {"-h", "--help"} & set(arguments):
        named = next((word for word in arguments if word in presets), "AGENT")
        options = [word for word in arguments if word != named]
        raise ValueError(f"name the agent first: train.py {' '.join([named, *options])}")
    commands = []
    for name, config in presets.items():
        subcommand = tyro.conf.subcommand(name, default=Command(config), description=ABOUT[name])
        commands.append(Annotated[Command[type(config.agent)], subcommand])  # type: ignore[misc]
    description = "Train an agent in a run folder. For an agent's options: python train.py AGENT --help"
    union: Any = Union[tuple(commands)]  # noqa: UP007, made of a list
    return read_command(union, "train.py", arguments, description=description)


def default_run(config: Config[Any]) -> str:
    return f"runs/{config.name}-{config.task}-{config.distraction}-{config.seed}"


def resumable(run: Path, name: str) -> Config[Any]:
    """Load the configuration to go on with, of the agent asked for."""
    saved = load_config(run)
    if saved.name != name:
        raise ValueError(f"the run in {run} trains {saved.name}, not {name}")
    return saved


def refuse_changes(saved: Config[Any], asked: Config[Any], run: Path) -> None:
    """Raise ValueError for options with which a run cannot go on."""
    before, now = flatten(saved), flatten(asked)
    changed = [
        f"--{name} {now[name]} (was {before[name]})"
        for name in now
        if now[name] != before[name] and name not in CHANGEABLE
    ]
    if changed:
        raise ValueError(f"the run in {run} cannot go on with other options: {', '.join(changed)}")
    newest = checkpoint.newest(run / "checkpoints")
    if newest is not None and int(newest.name) >= asked.steps:
        raise ValueError(f"the run in {run} is at step {int(newest.name)} already: go on with --steps above that")
