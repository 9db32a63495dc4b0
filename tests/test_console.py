"""What is said where nobody listens: commands end as they would, and nothing that was computed is lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import OPTIONS, arguments

import train

ROOT = Path(__file__).parent.parent


def unheard(script: str, *words: str) -> tuple[int, str]:
    """Run a script whose output is read to its first line; return its exit code and what stands on stderr."""
    command = [sys.executable, str(ROOT / script), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    return process.returncode, said


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_help_may_be_cut_short(script: str) -> None:
    assert unheard(script, *(["infopower-small"] if script == "train.py" else []), "--help") == (0, "")


def test_a_run_goes_on_to_its_end(tmp_path: Path) -> None:
    run = tmp_path / "run"
    line = ["infopower-small", "--run", str(run), "--steps", "600", *OPTIONS.split()]
    assert unheard("train.py", *line) == (0, "")
    assert json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 600


def test_an_evaluation_is_kept(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train.main(arguments(run, steps=180))
    assert unheard("evaluate.py", str(run), "--episodes", "2") == (0, "")
    assert [each["policy"] for each in json.loads((run / "evaluation.json").read_text())] == ["agent", "random"]
