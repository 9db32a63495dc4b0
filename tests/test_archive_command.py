"""visualize.py of runs that filled archives: what the page holds is what the runs wrote."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Tab
from tiny import refused

import train
import visualize
from agents.archive import files, history

SCENE = "--num-envs 3 --time-limit 8 --threads 1 --device cpu --steps 360 --eval-every 0 --eval-episodes 2"
PACE = "--log-every 48 --checkpoint-every 0 --train-ratio .2"
ARCHIVE = "--agent.archive.grid 5 3 --agent.hidden 7 5 --agent.variation.initial 5 --agent.archive.history-every 2"
MEASURES = "--measures torso_speed torso_turn --agent.archive.ranges 0 .1 -.01 .01 --agent.archive.outside clip"


def trained(run: Path, *more: str) -> Path:
    train.main(["map-elites-small", "--run", str(run), *" ".join([SCENE, PACE, ARCHIVE, MEASURES]).split(), *more])
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two real runs."""
    folder = tmp_path_factory.mktemp("runs")
    return trained(folder / "one"), trained(folder / "two", "--seed", "1")


def held(page: Path) -> dict[str, Any]:
    """Read the data of a page."""
    text = page.read_text()
    return json.loads(text.split('<script type="application/json" id="data">')[1].split("</script>")[0])


def numbers(block: dict[str, Any]) -> np.ndarray:
    kinds = {"float32": "<f4", "int32": "<i4", "uint16": "<u2"}
    return np.frombuffer(base64.b64decode(block["data"]), kinds[block["kind"]])


def test_a_page_holds_the_archive_and_its_history(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    visualize.main([str(runs[0])])
    page = runs[0] / "archive.html"
    assert f"written: {page}" in capsys.readouterr().out and (runs[0] / "curves.png").exists()
    (shown,) = held(page)["maps"]
    archive, recorded = files.load(runs[0] / "archive"), history.load(runs[0] / "archive")
    elites = archive.elites()
    assert numbers(shown["points"]["cell"]).tolist() == elites["cell"].tolist()
    assert numbers(shown["points"]["value"]).tolist() == elites["objective"].tolist()
    assert [axis["name"] for axis in shown["axes"]] == ["torso speed", "torso turn"]
    sides = [side for axis in shown["axes"] for side in (axis["low"], axis["high"])]
    assert sides == pytest.approx([0.0, 0.1, -0.01, 0.01])
    assert [moment["at"] for moment in shown["history"]] == recorded.evaluations
    for frame, moment in enumerate(shown["history"]):
        values = numbers(moment["values"])
        np.testing.assert_array_equal(np.where(np.isnan(values), -np.inf, values), recorded.at(frame)[1])
    assert {"QD score", "coverage", "coverage, elites evaluated anew"} <= shown["curves"].keys()
    assert len(shown["motions"]) == len(elites) > 2
    assert all(motion["rows"] == 3 and motion["seconds"] == pytest.approx(0.04) for motion in shown["motions"])


def test_two_runs_share_a_page(runs: tuple[Path, Path]) -> None:
    visualize.main([str(runs[0]), "--with", str(runs[1]), "--seconds", "0.05"])
    maps = held(runs[0] / "archive.html")["maps"]
    assert [each["name"] for each in maps] == ["one", "two"]
    for run, each in zip(runs, maps, strict=True):
        archive = files.load(run / "archive")
        assert numbers(each["points"]["value"]).tolist() == archive.elites()["objective"].tolist()
        assert {motion["rows"] for motion in each["motions"]} == {2}


def test_a_browser_opens_it(tab: Tab, runs: tuple[Path, Path]) -> None:
    visualize.main([str(runs[0]), "--with", str(runs[1])])
    tab.open(runs[0] / "archive.html")
    assert [pose["map"] for pose in tab.run("empower.poses()")] == [0, 1]
    assert tab.complaints == []


def test_without_a_history_arrivals_tell_it(runs: tuple[Path, Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs[0], tmp_path / "copy")
    (run / "archive" / history.FILE).unlink()
    visualize.main([str(run)])
    (shown,) = held(run / "archive.html")["maps"]
    archive = files.load(run / "archive")
    last = numbers(shown["history"][-1]["values"])
    assert shown["history"][-1]["at"] == archive.offered
    np.testing.assert_array_equal(np.where(np.isnan(last), -np.inf, last), archive.objective)


def test_an_archive_without_elites_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "early", "--steps", "24")
    visualize.main([str(run)])
    assert f"not shown: {run}/archive holds no elite yet" in capsys.readouterr().out
    assert (run / "curves.png").exists() and not (run / "archive.html").exists()


def test_what_cannot_be_shown_is_one_line(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare, other, damaged = (shutil.copytree(runs[1], tmp_path / name) for name in ("bare", "other", "damaged"))
    shutil.rmtree(bare / "archive")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"task": "walker_walk"}))
    (damaged / "archive" / history.FILE).write_bytes(b"no")
    one = str(runs[0])
    cases = [
        ([one, "--with", str(bare)], f"the run {bare} has no archive with elites that --with could show"),
        ([one, "--with", str(other)], "--with shows two archives of one task, not of cheetah_run and walker_walk"),
        ([one, one, "--out", "x.png", "--with", one], "--with OTHER shows two archives: name one run before it"),
        ([one, "--seconds", "-1"], "--seconds must be at least 0, not -1.0"),
        ([str(damaged)], f"{damaged}/archive/{history.FILE} is damaged"),
    ]
    for words, line in cases:
        assert refused(visualize.main, words, capsys).startswith(line)
