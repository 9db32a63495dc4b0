"""SLIM's runs: resumed ones, and wrong options."""

from pathlib import Path
from typing import Any

import pytest
from tiny import differing, metrics, refused

import train

SCENE = "--num-envs 3 --time-limit 40 --device cpu --threads 1 --train-ratio .0152 --steps 900"
PACE = "--eval-episodes 2 --eval-every 300 --log-every 120 --checkpoint-every 300"
NETS = "--agent.hidden 7 5 --agent.discovery.steps 2 --agent.discovery.batch 13 --agent.discovery.hidden 5"


def arguments(run: Path, *more: Any) -> list[str]:
    return ["slim-small", "--run", str(run), *f"{SCENE} {PACE} {NETS}".split(), *map(str, more)]


def test_a_resumed_run_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    """With the reward that learns most: phi, lambda, and an optimiser of each."""
    options = ["--agent.rewards", "discovery", "effort:0.2", "--agent.skill-steps", 7]
    train.main(arguments(tmp_path / "whole", *options))
    train.main(arguments(tmp_path / "run", *options, "--steps", 600))
    train.main(["slim-small", "--run", str(tmp_path / "run"), "--resume", "--steps", "900"])
    assert differing(tmp_path / "run", tmp_path / "whole") == []
    assert any("loss/value" in row for row in metrics(tmp_path / "run"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--agent.rewards", "discvery"], "--agent.rewards: unknown reward discvery: did you mean discovery?"),
        (["--agent.rewards"], "--agent.rewards needs one reward at least, such as discovery"),
        (["--agent.rewards", "effort", "effort:2"], "--agent.rewards has effort twice"),
        (["--agent.rewards", "effort:-1"], "--agent.rewards effort:-1: a weight is a number above 0, as in effort:0.5"),
        (["--agent.rewards", "effort:x"], "--agent.rewards effort:x: a weight is a number above 0"),
        (["--agent.rewards", "lsd", "diayn"], "--agent.rewards has lsd and diayn: skills are found by one of them"),
        (["--no-signals"], "--agent.rewards discovery reads the signal position; the task's signals are none: take"),
        (["--agent.shared", 3], "--agent.shared must be from 0 to the 2 layers of --agent.hidden"),
        (
            ["--agent.discovery.reads", "latent"],
            "--agent.discovery.reads latent needs InfoPower beside SLIM, in together",
        ),
        (["--agent.skill-dim", 0], "--agent.skill-dim must be at least 1, not 0"),
        (["--observation", "pixels"], "SLIM learns from states: take --observation state"),
        (["--replay-size", 30], "SLIM learns from all of the 11 steps since its last update, and the replay holds 10"),
    ],
)
def test_wrong_options_are_one_line(
    words: list[Any], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(train.main, arguments(tmp_path / "run", *words), capsys).startswith(line)
