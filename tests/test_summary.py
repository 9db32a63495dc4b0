"""What runs add up to, by hand, and the file in which their evaluations are kept."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.runs import results
from agents.runs.summary import DISTRACTED, Played, improvements, profiles, strata, sum_up, summaries, summarize

PLAIN, FIRST, SECOND = ("clean", "held_out"), ("L1", "held_out"), ("L2", "held_out")
SEEN = (("L1", "train"), ("L2", "train"))


def played(agent: str, task: str, seed: int, least: float) -> Played:
    """Return a run whose mean is `least` + 1 when clean, 2 and 12 less with distractions, 5 and 1 more when seen."""
    values = {PLAIN: least, FIRST: least - 2, SECOND: least - 12, SEEN[0]: least + 3, SEEN[1]: least - 11}
    returns = {key: torch.tensor([value, value + 2.0, value + 1]) for key, value in values.items()}
    return Played(agent, task, seed, 100, returns)


def test_runs_are_units_where_a_task_has_two_and_episodes_elsewhere() -> None:
    runs = [played("a", "stand", 0, 100), played("a", "run", 0, 50), played("a", "stand", 1, 300)]
    (stand, run), over = strata(runs, ["clean", "L2"])
    assert stand.tolist() == [[101, 89], [301, 289]] and run.tolist() == [[51, 39]] and over == "seeds"
    (stand, run), over = strata(runs[:2], ["L1"])
    assert stand.tolist() == [[98], [100], [99]] and run.tolist() == [[48], [50], [49]] and over == "episodes"


def test_aggregates_and_gaps_by_hand() -> None:
    runs = [played("a", "stand", seed, least) for seed, least in enumerate((100, 300, 200, 900))]
    summary = summarize(runs, ["L1", "L2"])  # scores: 94, 294, 194, 894; seen: 3 more
    assert (summary["runs"], summary["over"], summary["mean"], summary["iqm"]) == (4, "seeds", 369, 244)
    assert summary["gap"] == 3 and summary["gap_ci95"] == (3, 3) and summary["train_mean"] == 372
    low, high = summary["iqm_ci95"]
    assert 94 <= low < 244 < high <= 894
    assert "gap" not in summarize(runs, ["clean"])


def test_rows_for_all_tasks_and_for_each() -> None:
    runs = [played("a", task, seed, 100 * seed) for task in ("stand", "run") for seed in (1, 2)]
    runs.append(Played("random policy", "run", 1, None, {PLAIN: torch.tensor([7.0, 9.0])}))
    rows = summaries(runs, ["clean", "L1", "L2"], "clean")
    found = [(row["task"], row["agent"], row["condition"]) for row in rows]
    conditions = ["clean", "L1", "L2", DISTRACTED]
    assert found == [
        *(("all tasks", "a", name) for name in conditions),
        ("all tasks", "random policy", "clean"),
        *(("stand", "a", name) for name in conditions),
        *(("run", "a", name) for name in conditions),
        ("run", "random policy", "clean"),
    ]
    by_name = {(row["task"], row["agent"], row["condition"]): row for row in rows}
    assert by_name["all tasks", "a", DISTRACTED]["mean"] == 150 + 1 - 7
    assert by_name["run", "random policy", "clean"]["mean"] == 8
    assert len({row["task"] for row in summaries(runs[:2], ["clean", "L1"], "clean")}) == 1


def test_profiles_by_hand() -> None:
    runs = [played("a", "stand", seed, least) for seed, least in enumerate((99, 500, 801))]
    (clean, both) = profiles(runs, {"clean": ["clean"], "both": ["clean", "L1"]})
    share = dict(zip((round(1000 * x) for x in clean["thresholds"]), clean["share"], strict=True))  # 100, 501, 802
    assert share[0] == 1 and share[90] == 1 and share[110] == pytest.approx(2 / 3)
    assert share[500] == pytest.approx(2 / 3) and share[510] == pytest.approx(1 / 3) and share[810] == 0
    share = dict(zip((round(1000 * x) for x in both["thresholds"]), both["share"], strict=True))  # and 98, 499, 800
    assert share[500] == pytest.approx(3 / 6) and share[800] == pytest.approx(1 / 6)
    for curve in (clean, both):
        assert all(low <= x <= high for low, x, high in zip(curve["low"], curve["share"], curve["high"], strict=True))
        assert curve["low"][50] == 0 and curve["high"][50] == 1  # three runs tell little


def test_chances_compare_runs_of_the_same_task() -> None:
    ours = [played("a", "stand", 0, 100), played("a", "stand", 1, 300), played("a", "run", 0, 900)]
    theirs = [played("b", "run", 0, 1), played("b", "stand", 0, 200), played("b", "stand", 1, 50)]
    elsewhere = [played("c", "hop", 0, 1)]
    (better, worse) = improvements(ours + theirs + elsewhere, ["L1"])
    assert (better["agent"], better["over_agent"], better["over"]) == ("a", "b", "seeds")
    assert better["probability"] == pytest.approx((1 + 3 / 4) / 2)  # run: 1 of 1; stand: 3 of 4
    assert worse["probability"] == pytest.approx(1 - better["probability"])
    assert 0.5 <= better["ci95"][0] <= better["probability"] <= better["ci95"][1] == 1


def test_two_agents_are_resampled_each_for_itself() -> None:
    """The same scores twice: were both drawn by one lot, neither would ever beat the other."""
    found = improvements([played(agent, "stand", seed, seed) for agent in "ab" for seed in range(5)], ["clean"])
    assert [each["probability"] for each in found] == [0.5, 0.5]
    low, high = found[0]["ci95"]
    assert low < 0.4 and high > 0.6


def test_all_of_it_is_json() -> None:
    found = sum_up([played("a", "stand", 0, 100)], {"clean": ["clean"], "levels": ["L1", "L2"]}, "clean")
    assert json.loads(json.dumps(found))["runs"] == [{"agent": "a", "task": "stand", "seed": 0, "step": 100}]
    assert [each["family"] for each in found["profiles"]] == ["clean", "levels", DISTRACTED]


def result(condition: str, videos: str = "held_out", returns: float = 1.0) -> dict[str, Any]:
    names = {"suite": "distracting", "condition": condition, "videos": videos, "policy": "agent"}
    return names | {"seed": 7, "returns": [returns, returns]}


def test_results_take_the_place_of_their_own_kind_alone(tmp_path: Path) -> None:
    assert results.read(tmp_path) == []
    results.keep(tmp_path, [{"distraction": "none"}, {"distraction": "video"}])
    another = result("L1") | {"seed": 8}
    for one in (result("L1"), another, result("L1", "train"), result("L2"), result("L1", returns=2.0)):
        results.keep_of_suite(tmp_path, one)
    kept = results.read(tmp_path)
    assert kept[2:] == [another, result("L1", "train"), result("L2"), result("L1", returns=2.0)] and len(kept) == 6
    results.keep(tmp_path, [{"distraction": "noise"}, {"distraction": "none", "mean": 3}])
    newest = [{"distraction": "noise"}, {"distraction": "none", "mean": 3}, {"distraction": "video"}]
    assert results.read(tmp_path) == [*newest, *kept[2:]]
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]


def test_results_of_another_seed_stay(tmp_path: Path) -> None:
    one = {"distraction": "none", "policy": "agent", "seed": 0, "returns": [1.0]}
    for each in (one, one | {"seed": 1}, one | {"returns": [2.0]}):
        results.keep(tmp_path, [each])
    assert results.read(tmp_path) == [one | {"returns": [2.0]}, one | {"seed": 1}]


def test_only_the_same_counts_as_measured() -> None:
    found, asked = [result("L1"), result("L2", returns=3.0)], {"condition": "L2", "seed": 7}
    assert results.measured(found, asked, 2) == found[1]
    assert results.measured(found, asked, 3) is None
    assert results.measured(found, asked | {"seed": 8}, 2) is None
    assert results.measured(found, asked | {"video_dir": None}, 2) is None  # nothing says so


def test_runs_are_found_in_folders(tmp_path: Path) -> None:
    for name in ("b", "a", "more/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").touch()
    assert results.find_runs(tmp_path) == [tmp_path / "a", tmp_path / "b", tmp_path / "more" / "c"]
    assert results.find_runs(tmp_path / "b") == [tmp_path / "b"]
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(FileNotFoundError, match=f"there is no run in {folder}"):
            results.find_runs(folder)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text('[{"a": 1},\n{"b"')
    with pytest.raises(ValueError, match=r"evaluation.json is damaged at line 2: Expecting ':'"):
        results.read(tmp_path)
    (tmp_path / "evaluation.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match=r"evaluation.json is damaged: it holds no list of conditions"):
        results.check_writable(tmp_path)


def test_who_cannot_write_is_told_before_anything_is_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results.check_writable(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as for anybody but root
    with pytest.raises(OSError, match=f"cannot write to run folder {tmp_path}: permission denied"):
        results.check_writable(tmp_path)
