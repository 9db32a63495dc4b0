"""The contact sheet and the stepping benchmark run as commands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from envs import sheet

ROOT = Path(__file__).parents[1]


def test_the_sheet_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"clean", "agent 32", "noise 64", "reafferent 64", "dcs-easy"}
    blocks = tuple({name: block[name] for name in block if name in names} for block in sheet.BLOCKS)
    monkeypatch.setattr(sheet, "BLOCKS", blocks)
    tasks = ["--tasks", "cartpole_swingup", "cheetah_run"]
    monkeypatch.setattr(sys, "argv", ["sheet", str(tmp_path / "docs" / "sheet.png"), *tasks])
    sheet.main()
    with Image.open(tmp_path / "docs" / "sheet.png") as image:
        cell = 2 * 64 + sheet.GAP
        assert image.size == (sheet.MARGIN + 3 * cell, 3 * (sheet.HEAD + sheet.GAP) + (2 + 2 + 4) * cell)
        assert len(image.getcolors(2**24)) > 1000


def test_a_sheet_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "envs.sheet", str(tmp_path / "file" / "sheet.png")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: cannot write '{tmp_path}/file/sheet.png': File exists"


def test_a_sheet_of_an_unknown_task_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sheet", str(tmp_path / "sheet.png"), "--tasks", "panda_tabltop"])
    with pytest.raises(SystemExit) as stopped:
        sheet.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: unknown task 'panda_tabltop': did you mean 'panda_tabletop'?\n"


def test_the_benchmark_measures_pixels_and_state(tmp_path: Path) -> None:
    options = ["--tasks", "cartpole_swingup", "--seconds", "0.1", "--repetitions", "1", "--num-envs", "3"]
    command = [sys.executable, "tests/benchmarks/stepping.py", "--peers", "ours", "rollout", *options]
    done = subprocess.run([*command, "--json", tmp_path / "rates.json"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "rates.json").read_text())
    assert [(row["mode"], row["peer"]) for row in rows] == [("pixels", "ours"), ("state", "ours"), ("state", "rollout")]
    assert all(row["steps_s"] > 0 and row["num_envs"] == 3 for row in rows)
