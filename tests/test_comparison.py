"""The page that compares the diagnostics of runs."""

import json
from pathlib import Path

import pytest
from PIL import Image
from tiny import refused

from views import comparison


def write(run: Path, metrics: dict[str, float]) -> Path:
    run.mkdir(parents=True)
    condition = {"policy": "agent", "distraction": "video", "step": 12_000, "metrics": metrics}
    (run / "evaluation.json").write_text(json.dumps([condition | {"policy": "random", "metrics": {}}, condition]))
    return run


def test_runs_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probes = {"probe/state/stoch": 0.4, "probe/distractor/stoch": 0.234, "probe/state/feat": 0.5}
    one = write(tmp_path / "one", probes | {"inverse/seen": 0.73, "inverse/shuffled": 0.14})
    two = write(tmp_path / "two", probes | {"probe/distractor/feat": -0.1})
    comparison.main([str(one), str(two), "--out", str(tmp_path / "leak.png")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| one | 12,000 | 0.40 | 0.23 | 0.50 |  | 0.73 | 0.14 |"
    assert lines[3] == "| two | 12,000 | 0.40 | 0.23 | 0.50 | -0.10 |  |  |"
    with Image.open(tmp_path / "leak.png") as picture:
        assert picture.size == (1200, 504)


def test_runs_of_the_same_name_are_told_by_their_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [
        write(tmp_path / name, {"probe/state/stoch": value}) for name, value in (("a/0", 0.1), ("b/0", 0.9), ("c", 0.5))
    ]
    comparison.main([*map(str, paths), "--out", str(tmp_path / "leak.png")])
    rows = [line.split("|")[1:4:2] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [[f" {paths[0]} ", " 0.10 "], [f" {paths[1]} ", " 0.90 "], [" c ", " 0.50 "]]


@pytest.mark.filterwarnings("error")
def test_bars_of_next_to_nothing_leave_room_for_the_page(tmp_path: Path) -> None:
    run = write(tmp_path / "run", {"probe/state/stoch": 0.4, "inverse/seen": 1e-9, "inverse/shuffled": -2e-9})
    comparison.main([str(run), "--out", str(tmp_path / "leak.png")])


def test_a_run_without_diagnostics_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare, older, damaged = (write(tmp_path / name, {"inverse/seen": 0.1}) for name in ("bare", "older", "damaged"))
    (older / "evaluation.json").write_text('[{"policy": "agent", "distraction": "video"}]')
    (damaged / "evaluation.json").write_text('[{"policy": "agent", "dist')
    cases = [
        (bare, "evaluation.json has no diagnostics"),
        (older, "evaluation.json has no diagnostics"),
        (damaged, f"{damaged}/evaluation.json is damaged at line 1"),
        (tmp_path / "no", "has no evaluation.json"),
    ]
    for folder, says in cases:
        assert says in refused(comparison.main, [folder, "--out", tmp_path / "leak.png"], capsys)
    assert not (tmp_path / "leak.png").exists()
