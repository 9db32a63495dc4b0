"""Runs that take seconds, a small InfoPower that sees states and four agents together; what runs and commands say."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

NETS = "--agent.model.deter 11 --agent.model.stoch 7 --agent.model.hidden 17 --agent.model.embed 13 --agent.hidden 17"
LEARNING = "--agent.batch 5 --agent.length 7 --agent.starts 23 --agent.horizon 3 --train-ratio .05 --prefill 150"
PACE = "--time-limit 100 --eval-episodes 2 --eval-every 300 --log-every 120 --checkpoint-every 300"
OPTIONS = f"--observation state --num-envs 3 --action-repeat 2 --device cpu --threads 1 {NETS} {LEARNING} {PACE}"


def arguments(run: Path, *more: Any, steps: int = 600) -> list[str]:
    """Return a command line for `train.py`; a step of the loop is 3 x 2 environment steps."""
    line = ["infopower-small", "--run", str(run), "--steps", str(steps), *OPTIONS.split()]
    return [*line, *map(str, more)]


TOGETHER = """
--agent.infopower.model.deter 11 --agent.infopower.model.stoch 7 --agent.infopower.model.hidden 17
--agent.infopower.model.embed 13 --agent.infopower.hidden 17
--agent.infopower.batch 5 --agent.infopower.length 7 --agent.infopower.starts 23 --agent.infopower.horizon 3
--agent.slim.hidden 5 7 --agent.updates.slim .2
--agent.map-elites.archive.grid 5 3 --agent.map-elites.hidden 7 --agent.map-elites.variation.initial 3
--agent.map-elites.td3.hidden 11 --agent.map-elites.td3.batch 13 --agent.map-elites.ascent.steps 2
--agent.imagined.offspring 3 --agent.imagined.learned 2 --agent.imagined.samples 2 --agent.imagined.hidden 11
--agent.imagined.batch 3 --agent.imagined.length 5
--agent.skills.skills 3 --agent.skills.archive.grid 5 3 --agent.skills.variation.initial 2
--agent.envs.infopower 2 --agent.envs.slim 2 --agent.envs.map-elites 2 --agent.envs.skills 1 --num-envs 7
--time-limit 40 --prefill 280 --train-ratio .03125 --replay-size 700 --threads 1 --device cpu
--log-every 280 --eval-episodes 3 --eval-every 560 --checkpoint-every 560
"""


def together(run: Path, *more: Any, steps: int = 1400) -> list[str]:
    """Return a command line for `train.py`; a step of the loop is 7 x 4 environment steps, an episode 10 actions."""
    line = ["together-small", "--run", str(run), "--steps", str(steps), *TOGETHER.split()]
    return [*line, *map(str, more)]


def metrics(run: Path) -> list[dict[str, float]]:
    """Return what a run wrote, without what depends on the clock."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith("speed/")} for row in rows]


def leaves(state: Any, name: str = "") -> dict[str, Any]:
    """Flatten nested dicts, lists and tuples."""
    if isinstance(state, dict):
        pairs = state.items()
    elif isinstance(state, list | tuple):
        pairs = dict(enumerate(state)).items()
    else:
        return {name: state}
    return {k: v for key, value in pairs for k, v in leaves(value, f"{name}/{key}").items()}


def checkpoint_of(run: Path) -> dict[str, Any]:
    """Return all that the newest checkpoint holds, flat, without what depends on the clock."""
    folder = max((run / "checkpoints").iterdir())
    state = {name: torch.load(folder / name, weights_only=True) for name in ("agent.pt", "trainer.pt", "replay.pt")}
    for name in ("seconds", "position"):  # of the clock, and of a file that states speeds
        del state["trainer.pt"]["logger"][name]
    state["agent.pt"].pop("seconds", None)  # of several agents
    return {"step": int(folder.name)} | {name: value for name, value in leaves(state).items() if "/speed/" not in name}


def unequal(one: dict[str, Any], two: dict[str, Any]) -> list[str]:
    """Name everything in which two flat states are not equal, bit for bit."""
    names = sorted(one.keys() ^ two.keys())
    for name in sorted(one.keys() & two.keys()):
        a, b = one[name], two[name]
        equal = torch.equal(a, b) and a.dtype == b.dtype if isinstance(a, torch.Tensor) else a == b
        names += [] if equal else [name]
    return names


def differing(run: Path, other: Path) -> list[str]:
    """Name everything in which two runs' newest checkpoints and metrics are not equal, bit for bit."""
    names = unequal(checkpoint_of(run), checkpoint_of(other))
    return names + ([] if metrics(run) == metrics(other) else ["metrics"])


def refused(
    main: Callable[[list[str]], Any], words: Iterable[Any], capsys: pytest.CaptureFixture[str], code: int = 2
) -> str:
    """Give a command words at which it ends with a code and one line; return the line, without `error: `."""
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    said = capsys.readouterr().err
    assert caught.value.code == code and said.startswith("error: ") and said.find("\n") == len(said) - 1, said
    return said.removeprefix("error: ").removesuffix("\n")
