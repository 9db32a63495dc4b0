"""The command that plays a folder of runs under all conditions of a suite."""

import contextlib
import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny import arguments, refused

import evaluate
import train
from agents.runs.suite import plan
from envs import suites
from envs.distractions import DISTRACTIONS, WINDOWS

SMALL = tuple(condition for condition in suites.SUITES["distracting"] if condition.name in ("clean", "L1"))
PLAYED = [("agent", "clean", "held_out"), ("agent", "L1", "held_out"), ("agent", "L1", "train")]
PLAYED += [("random", "clean", "held_out")]


def test_what_the_conditions_are() -> None:
    found = {condition.name: condition for condition in suites.SUITES["distracting"]}
    assert all(c.distraction in DISTRACTIONS and c.distraction_window in WINDOWS for c in found.values())
    assert [found[name].distraction_window for name in ("L1", "L2", "L3")] == [32, 40, 64]
    assert [found[name].video_change for name in ("L3", "agent", "natural", "dcs-hard")] == [50, 50, 0, 0]
    assert {c.background for c in found.values()} == {"sky+floor"}
    assert [c.splits for c in found.values()] == [("held_out",)] + [("held_out", "train")] * 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two hardly trained runs that differ in the seed, of which one was evaluated before."""
    folder = tmp_path_factory.mktemp("suite")
    options = ["--observation", "pixels", "--size", 24, "--distraction", "video", "--time-limit", 20, "--prefill", 60]
    train.main(arguments(folder / "zero", *options, steps=90))
    shutil.copytree(folder / "zero", folder / "one")
    config = json.loads((folder / "one" / "config.json").read_text())
    (folder / "one" / "config.json").write_text(json.dumps(config | {"seed": 1}))
    (folder / "one" / "evaluation.json").write_text(json.dumps([{"distraction": "none", "policy": "agent"}]))
    return folder


@pytest.mark.parametrize(
    ("distraction", "seen"), [("video", ["L1", "L2", "L3", "natural"]), ("dcs-easy", ["dcs-easy"]), ("none", [])]
)
def test_training_videos_are_played_where_training_showed_that_distraction(
    folder: Path, distraction: str, seen: list[str]
) -> None:
    config = replace(train.load_config(folder / "zero"), distraction=distraction)
    conditions = suites.SUITES["distracting"]
    jobs = [job.described for job in plan(folder / "zero", config, {"suite": "distracting"}, conditions, evaluate.fit)]
    assert [job["condition"] for job in jobs if job["videos"] == "train"] == seen
    held_out = [job["condition"] for job in jobs if job["videos"] == "held_out" and job["policy"] == "agent"]
    assert held_out == [condition.name for condition in conditions]


def suite(folder: Path, *more: str, episodes: int = 3) -> str:
    """Play the suite, with few conditions, and return what was printed."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setitem(suites.SUITES, "distracting", SMALL)
        evaluate.main([str(folder), "--suite", "distracting", "--episodes", str(episodes), *more])
    return printed.getvalue()


def kept(run: Path) -> dict[Any, dict[str, Any]]:
    found = [one for one in json.loads((run / "evaluation.json").read_text()) if "suite" in one]
    return {(one["policy"], one["condition"], one["videos"]): one for one in found}


@pytest.fixture(scope="module")
def output(folder: Path) -> str:
    """Play the suite in the folder and return what was printed."""
    return suite(folder)


def test_every_run_keeps_what_it_played(folder: Path, output: str) -> None:
    for run in ("one", "zero"):
        found = kept(folder / run)
        assert list(found) == PLAYED
        for (policy, condition, _), one in found.items():
            assert one["distraction_window"] == {"clean": 64, "L1": 32}[condition] and one["seed"] == 1000
            assert one["step"] == (90 if policy == "agent" else None) and len(one["returns"]) == 3
        assert found["agent", "L1", "held_out"]["returns"] != found["agent", "L1", "train"]["returns"]
    held_out, seen = (
        [kept(folder / run)["agent", "L1", videos]["returns"] for run in ("one", "zero")]
        for videos in ("held_out", "train")
    )
    assert held_out[0] == held_out[1] and seen[0] != seen[1]  # one agent: its own seed changes training videos alone
    assert json.loads((folder / "one" / "evaluation.json").read_text())[0] == {"distraction": "none", "policy": "agent"}
    assert "8 evaluations of 3 episodes, 0 of them from before" in output


def test_all_of_it_is_summed_up(folder: Path, output: str) -> None:
    found = json.loads((folder / "distracting.json").read_text())
    assert [(row["agent"], row["condition"]) for row in found["summaries"]] == [
        ("infopower-small", "clean"),
        ("infopower-small", "L1"),
        ("infopower-small", "all distracting"),
        ("random policy", "clean"),
    ]
    returns = [kept(folder / run)["agent", "L1", "held_out"]["mean"] for run in ("one", "zero")]
    row = found["summaries"][1]
    assert row["mean"] == pytest.approx(sum(returns) / 2) and row["runs"] == 2 and row["over"] == "seeds"
    page = (folder / "distracting.md").read_text()
    assert f"| L1 | {row['iqm']:.1f} ({row['iqm_ci95'][0]:.1f} to {row['iqm_ci95'][1]:.1f}) |" in page
    assert "infopower-small: 2 runs, seeds 0, 1, 90 steps" in page and "return / 1000" in page
    with Image.open(folder / "distracting.png") as picture:
        assert picture.size == (1800, 1320) and len(picture.convert("RGB").getcolors(1 << 24)) > 50
    assert f"{row['mean']:.1f}" in output and "distracting.png" in output


def test_what_was_played_is_not_played_again(
    folder: Path, output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    before = (again / "zero" / "evaluation.json").read_text()
    lost = json.loads((again / "one" / "evaluation.json").read_text())
    (again / "one" / "evaluation.json").write_text(json.dumps([*lost[:2], *lost[3:]]))  # an interrupted suite
    shutil.rmtree(again / "zero" / "checkpoints")  # as for results whose agents were not kept
    out = suite(again)
    assert "8 evaluations of 3 episodes, 7 of them from before" in out and out.count(" left\n") == 1
    assert (again / "zero" / "evaluation.json").read_text() == before
    assert kept(again / "one") == kept(folder / "one")
    assert (again / "distracting.json").read_text() == (folder / "distracting.json").read_text()
    assert "4 evaluations of 2 episodes, 0 of them from before" in suite(again, episodes=2)
    assert capsys.readouterr().err == f"left out: the run {again / 'zero'} has no checkpoint yet\n"
    assert json.loads((again / "distracting.json").read_text())["summaries"][0]["over"] == "episodes"
    assert suite(again / "one", "--again", episodes=2).count(" left\n") == 4


def test_a_run_that_trains_on_is_not_played(
    folder: Path, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(folder / "one", tmp_path / "one")
    monkeypatch.setattr(evaluate, "load_agent", lambda *given: (train.load_agent(*given)[0], 123456))
    said = refused(evaluate.main, [run, "--suite", "distracting", "--again", "--episodes", 1], capsys)
    assert said == f"the run {run} has trained on to step 123,456: play the suite when it has stopped"


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_played(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder, tmp_path / "runs")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "one")  # as for anybody but root
    monkeypatch.setattr(evaluate, "play", None)
    line = [tmp_path / "runs", "--suite", "distracting", "--episodes", 2, "--again"]
    assert refused(evaluate.main, line, capsys).startswith(f"cannot write to run folder {tmp_path}/runs/one")


def test_a_plain_evaluation_leaves_the_suites_results(folder: Path, output: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / "one", run)
    evaluate.main([str(run), "--distraction", "none", "--episodes", "1"])
    assert [one["policy"] for one in json.loads((run / "evaluation.json").read_text())[:2]] == ["agent", "random"]
    assert kept(run) == kept(folder / "one")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--suite", "distractign"], "unknown suite 'distractign': did you mean 'distracting'?"),
        (["--suite", "distracting", "--film"], "--suite goes without --film"),
        (["--again"], "--again goes with --suite"),
    ],
)
def test_wrong_options_are_one_line(
    words: list[str], line: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(evaluate.main, [folder, *words], capsys).startswith(line)


def test_folders_without_a_fitting_run_are_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((folder / "one" / "config.json").read_text())
    for name, change in (("states", {"observation": "state"}), ("new", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config | change))
    (tmp_path / "empty").mkdir()
    lines = {
        "empty": f"there is no run in {tmp_path}/empty: neither it nor a folder in it has a config.json",
        "states": f"the run {tmp_path}/states learned from states, which the suite distracting does not change",
        "new": f"the run {tmp_path}/new has no checkpoint yet",
    }
    for name, line in lines.items():
        with pytest.raises(SystemExit) as caught:
            suite(tmp_path / name)
        assert caught.value.code == 2 and capsys.readouterr().err.endswith(f"error: {line}\n")
    shutil.copytree(folder / "one", tmp_path / "one")  # beside runs that cannot be played
    suite(tmp_path, "--again")
    told = "".join(f"left out: {lines[name]}\n" for name in ("new", "states"))
    assert capsys.readouterr().err == told
