"""Learning curves: what is read from runs, how runs are grouped, and the command."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from tiny import arguments, refused

import train
import visualize
from agents.registry import preset
from views import curves


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a real run: evaluated at 300 and 600 steps."""
    run = tmp_path_factory.mktemp("runs") / "run"
    train.main(arguments(run, "--observation", "state"))
    return run


def loaded(run: Path) -> curves.Run:
    return curves.load_run(run, train.load_config(run))


def variant(run: Path, target: Path, returns: tuple[float, float], **options: object) -> Path:
    """Copy a run with other options and other evaluations."""
    shutil.copytree(run, target, ignore=shutil.ignore_patterns("checkpoints"))
    config = json.loads((target / "config.json").read_text())
    for name, value in options.items():
        config[name] = config[name] | value if isinstance(value, dict) else value
    (target / "config.json").write_text(json.dumps(config))
    rows = [json.loads(line) for line in (target / "metrics.jsonl").read_text().splitlines()]
    evaluated = iter(returns)
    for row in rows:
        if "eval/return" in row:
            row["eval/return"] = next(evaluated)
    (target / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return target


def test_one_run_is_one_page_of_all_its_metrics(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    visualize.main([str(run)])
    with Image.open(run / "curves.png") as picture:
        picture.load()
        assert picture.width > 1000
    figure = curves.draw_metrics(loaded(run))
    titles = {axis.get_title() for axis in figure.axes if axis.get_visible()}
    assert {"return", "loss/forward", "model/kl", "speed/env_steps"} <= titles
    assert "600" in capsys.readouterr().out and not list(run.glob("*.unfinished"))


def test_seeds_are_averaged_and_variants_named_by_what_was_changed(run: Path, tmp_path: Path) -> None:
    folders = [
        variant(run, tmp_path / "a", (10.0, 20.0)),
        variant(run, tmp_path / "b", (30.0, 60.0), seed=1),
        variant(run, tmp_path / "c", (5.0, 7.0), agent={"empowerment": 0.0}),
        variant(run, tmp_path / "d", (1.0, 2.0), task="cheetah_run"),
    ]
    evaluation = [{"policy": "random", "distraction": "none", "mean": 4.5}]
    (folders[0] / "evaluation.json").write_text(json.dumps(evaluation))
    figure = curves.draw_runs([loaded(folder) for folder in folders])
    steps, minutes = figure.axes[:2]
    lines = {line.get_label(): line for line in steps.lines if not line.get_label().startswith("_")}
    assert len(lines) == 3
    (mean,) = (line for label, line in lines.items() if label.endswith(" (2 seeds)"))
    assert mean.get_xydata().tolist() == [[360, 20], [600, 40]]
    (changed,) = (line for label, line in lines.items() if "empowerment 0.0" in label)
    assert changed.get_ydata().tolist() == [5, 7]
    assert lines["random policy"].get_ydata()[0] == 4.5
    assert minutes.get_xlabel() == "minutes" and steps.get_title() == "walker_stand"
    assert figure.axes[2].get_title() == "cheetah_run"


def test_runs_that_filled_archives_are_compared_by_their_elites_played_again() -> None:
    config = preset("map-elites-small")
    scores = {0: (10.0, 20.0), 1: (30.0, 60.0)}
    runs = []
    for seed, values in scores.items():
        rows = [{"step": 5 * n, "reevaluated/qd_score": v, "reevaluated/coverage": v / 100, "reevaluated/max": v / 10}
                for n, v in enumerate(values, 1)]  # fmt: skip
        runs.append(curves.Run(replace(config, seed=seed), rows, None))
    figure = curves.draw_runs(runs)
    found = [{line.get_label(): line.get_xydata().tolist() for line in axis.lines} for axis in figure.axes]
    mean = "map-elites-small (2 seeds)"
    assert [lines[mean] for lines in found] == [[[5, 20], [10, 40]], [[5, 0.2], [10, 0.4]], [[5, 2], [10, 4]]]
    returns = [curves.Run(run.config, [{**row, "eval/return": 7.0, "speed/minutes": 1.0} for row in run.rows], None)
               for run in runs]  # fmt: skip
    other = curves.Run(config, [{"step": 5, "eval/return": 3, "speed/minutes": 1}], None)
    assert curves.draw_runs([*returns, other]).axes[0].get_ylabel() == "return of held-out episodes"
    other.config = replace(config, observation="pixels", distraction="video")
    assert curves.panels_of([*returns, other])[0].title == "return of held-out episodes"


@pytest.mark.parametrize(("returns", "bottom"), [((-900.0, -100.0), -940), ((-1.0, 20.0), -2.05), ((10.0, 20.0), 0)])
def test_axes_begin_at_0_unless_something_is_below(returns: tuple[float, float], bottom: float) -> None:
    """5 % of what is drawn is left free below it."""
    rows = [{"step": 5 * n, "speed/minutes": n, "eval/return": value} for n, value in enumerate(returns, 1)]
    figure = curves.draw_runs([curves.Run(preset("infopower-small"), rows, None)])
    for axis in figure.axes:
        low, high = axis.get_ylim()
        assert low == pytest.approx(bottom) and high > max(returns)


def test_of_runs_of_several_agents_each_has_a_panel_of_what_it_is_there_for() -> None:
    config, runs = preset("together-small"), []
    for seed, (first, last) in {0: (1.0, 2.0), 1: (3.0, 6.0)}.items():
        rows = [
            {"step": step, "infopower/eval/return": value, "map-elites/eval/return": 7, "slim/eval/return": 7}
            | {"map-elites/reevaluated/qd_score": 100 * value, "slim/skills/coverage": 10 * value}
            for step, value in ((5, first), (11, last))
        ]
        runs.append(curves.Run(replace(config, seed=seed), rows, 4.5))
    alone = replace(config, agent=replace(config.agent, envs=replace(config.agent.envs, infopower=0, map_elites=0)))
    runs.append(curves.Run(alone, [{"step": 5, "slim/eval/return": 7, "slim/skills/coverage": 17}], None))
    figure = curves.draw_runs(runs)
    titles = [axis.get_ylabel() for axis in figure.axes]
    assert titles == [
        "infopower\nreturn of held-out episodes",
        "map-elites\nQD score, elites played again",
        "slim\nbins that skills enter",
    ]
    found = [{line.get_label(): line.get_xydata().tolist() for line in axis.lines} for axis in figure.axes]
    mean, other = "together-small (2 seeds)", "together-small, envs.infopower 0, envs.map-elites 0 (1 seed)"
    assert [lines[mean] for lines in found] == [[[5, 2], [11, 4]], [[5, 200], [11, 400]], [[5, 20], [11, 40]]]
    assert [lines.get(other) for lines in found] == [None, None, [[5, 17]]]
    assert ["random policy" in lines for lines in found] == [True, False, False]
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} == {mean, other, "random policy"}


def test_several_runs_are_written_where_asked(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = variant(run, tmp_path / "other", (1.0, 2.5), seed=4)
    visualize.main([str(run), str(other), "--out", str(tmp_path / "pictures" / "both.png")])
    with Image.open(tmp_path / "pictures" / "both.png") as picture:
        picture.load()
    assert " 2.5\n" in capsys.readouterr().out


def test_a_line_that_is_being_written_is_left_out(run: Path, tmp_path: Path) -> None:
    live = variant(run, tmp_path / "live", (1.0, 2.0))
    with (live / "metrics.jsonl").open("a") as file:
        file.write('{"step": 720, "eval/ret')
    assert loaded(live).rows[-1]["step"] == 600


def test_what_cannot_be_drawn_is_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged, empty, torn, odd = (
        variant(run, tmp_path / name, (1.0, 2.0)) for name in ("damaged", "empty", "torn", "odd")
    )
    (odd / "metrics.jsonl").write_text('{"step": 120}\n5\n')
    (damaged / "metrics.jsonl").write_text('{"step": 120}\n{"step": 24\n')
    (empty / "metrics.jsonl").write_text("")
    (torn / "evaluation.json").write_text('[{"policy": "rand')
    cases = [
        ([run, empty], "several runs need a file to write: --out curves.png"),
        ([tmp_path / "no"], f"there is no run in {tmp_path}/no: it has no config.json"),
        ([empty], f"the run {empty} has no metrics yet"),
        ([run, "--out", tmp_path / "c.pdf"], f"--out writes a PNG: name it {tmp_path}/c.png, not {tmp_path}/c.pdf"),
        ([run, "--seconds", 2], "--seconds is for the page of an archive: name one run that has filled one"),
        ([damaged], f"{damaged}/metrics.jsonl is damaged at line 2"),
        ([odd], f"{odd}/metrics.jsonl is damaged at line 2"),
        ([torn], f"{torn}/evaluation.json is damaged at line 1"),
    ]
    for words, line in cases:
        assert refused(visualize.main, words, capsys).startswith(line)
