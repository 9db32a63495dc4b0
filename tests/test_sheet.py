"""The contact sheet and the stepping benchmark run as commands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import peers
from PIL import Image

from envs import sheet

ROOT = Path(__file__).parents[1]


def test_the_sheet_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"clean", "noise 32", "noise 64", "reafferent 64"}
    blocks = tuple({name: block[name] for name in block if name in names} for block in sheet.BLOCKS)
    monkeypatch.setattr(sheet, "BLOCKS", blocks)
    tasks = ["--tasks", "cartpole_swingup", "cheetah_run"]
    monkeypatch.setattr(sys, "argv", ["sheet", str(tmp_path / "docs" / "sheet.png"), *tasks])
    sheet.main()
    with Image.open(tmp_path / "docs" / "sheet.png") as image:
        cell = 2 * 64 + sheet.GAP
        assert image.size == (sheet.MARGIN + 3 * cell, 3 * (sheet.HEAD + sheet.GAP) + (2 + 2 + 4) * cell)
        assert len(image.getcolors(2**24)) > 1000


def test_a_sheet_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["sheet", str(tmp_path / "file" / "sheet.png")])
    with pytest.raises(SystemExit) as stop:
        sheet.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: cannot write '{tmp_path}/file/sheet.png': File exists\n"


def test_a_sheet_of_an_unknown_task_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sheet", str(tmp_path / "sheet.png"), "--tasks", "panda_tabltop"])
    with pytest.raises(SystemExit) as stopped:
        sheet.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: unknown task 'panda_tabltop': did you mean 'panda_tabletop'?\n"


def test_the_benchmark_measures(tmp_path: Path) -> None:
    options = ["--tasks", "cartpole_swingup", "--seconds", "0.1", "--repetitions", "1", "--num-envs", "3"]
    command = [sys.executable, "tests/benchmarks/stepping.py", "--peers", "rollout", *options]
    done = subprocess.run([*command, "--json", tmp_path / "rates.json"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "rates.json").read_text())
    assert (row["mode"], row["peer"], row["num_envs"]) == ("state", "rollout", 3) and row["steps_s"] > 0


@pytest.mark.parametrize("pixels", [False, True])
def test_what_it_measures_of_ours_steps(pixels: bool) -> None:
    step, per_call = peers.ours("cartpole_swingup", pixels, 3)
    shown = step()
    assert per_call == 3 and shown["pixels" if pixels else "state"].shape[0] == 3  # type: ignore[index]
