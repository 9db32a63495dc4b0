"""The one loop and its command line."""

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import arguments, checkpoint_of, differing, metrics, refused

import train
from agents.infopower import InfoPower
from agents.replay import ReplayBuffer
from agents.runs.folder import load_config


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of 600 steps."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    train.main(arguments(run))
    return run


def test_a_run_leaves_its_folder(finished: Path) -> None:
    names = {path.name.split(".tfevents")[0] for path in finished.iterdir()}
    assert names == {"config.json", "metrics.jsonl", "checkpoints", "events.out"}
    assert [path.name for path in (finished / "checkpoints").iterdir()] == ["000000600"]
    rows = metrics(finished)
    assert [row["step"] for row in rows] == [120, 240, 360, 480, 600]
    assert [row["step"] for row in rows if "eval/return" in row] == [360, 600]  # evaluated at 300 and 600
    assert [row["step"] for row in rows if "loss/forward" in row] == [240, 360, 480, 600]  # 150 steps are random
    assert [row["step"] for row in rows if "episode/return" in row] == [360]  # episodes end at 300 and 606


def test_the_configuration_is_rebuilt_from_the_folder(finished: Path) -> None:
    config = train.load_config(finished)
    assert (config.name, config.num_envs, config.action_repeat, config.agent.model.deter) == (
        "infopower-small",
        3,
        2,
        11,
    )
    envs = train.make_envs(config)
    agent, step = train.load_agent(finished, config, envs)
    assert step == 600
    saved = torch.load(finished / "checkpoints" / "000000600" / "agent.pt", weights_only=True)
    assert all(torch.equal(value, saved["nets"][name]) for name, value in agent.state_dict()["nets"].items())


def test_rows_hold_what_arrived_and_what_was_done_about_it(finished: Path) -> None:
    """Step the same environments again with the stored actions: they answer with the stored rows."""
    envs = train.make_envs(train.load_config(finished))
    replay = ReplayBuffer(train.load_config(finished).replay_size, 3)
    replay.load_state_dict(torch.load(finished / "checkpoints" / "000000600" / "replay.pt", weights_only=True))
    rows, timestep = replay.latest(100), envs.reset()
    for t in range(100):
        assert all(torch.equal(rows[key][:, t], value) for key, value in timestep.items())
        timestep = envs.step(rows["action"][:, t])


def test_what_is_only_looked_at_changes_nothing(finished: Path, tmp_path: Path) -> None:
    train.main(arguments(tmp_path / "run", "--eval-every", 0, "--log-every", 70, "--checkpoint-every", 0))
    assert all("logger" in name for name in set(differing(finished, tmp_path / "run")) - {"metrics"})


def test_another_seed_changes_the_run(finished: Path, tmp_path: Path) -> None:
    train.main(arguments(tmp_path / "run", "--seed", 1, steps=60))
    rows = (checkpoint_of(run)["/replay.pt/rows/state"][:30] for run in (finished, tmp_path / "run"))
    assert not torch.equal(*rows)


def test_updates_begin_after_the_prefill_at_the_asked_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = []

    def update(self: InfoPower, replay: ReplayBuffer) -> dict[str, torch.Tensor]:
        held.append(len(replay))
        return {}

    monkeypatch.setattr(InfoPower, "update", update)
    train.main(arguments(tmp_path / "run", "--prefill", 61, "--train-ratio", 1 / 12, "--eval-every", 0, steps=100))
    # rows of 2 steps: 33 rows hold 66 >= 61; each round of 3 rows then earns half an update
    assert held == [36, 42, 48]


def test_pixels_and_every_option_of_the_environments(tmp_path: Path) -> None:
    scene = "--observation pixels --task cartpole_swingup --distraction video --distraction-window 40 --background sky"
    frames = f"--video-change 10 --size 24 --replay-dir {tmp_path}/scratch --replay-size 120 --eval-episodes 1"
    train.main(arguments(tmp_path / "run", *scene.split(), *frames.split(), "--time-limit", 20, steps=180))
    replay = torch.load(tmp_path / "run" / "checkpoints" / "000000180" / "replay.pt", weights_only=True)
    assert replay["rows"]["pixels"].shape == (90, 24, 24, 3)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert "eval/return" in metrics(tmp_path / "run")[-1]


def test_a_folder_of_videos(tmp_path: Path) -> None:
    from PIL import Image

    for k in range(4):
        (tmp_path / "clips" / f"clip{k}").mkdir(parents=True)
        for t in range(3):
            Image.new("RGB", (64, 64), (40 * k, 80 * t, 7)).save(tmp_path / "clips" / f"clip{k}" / f"{t}.png")
    scene = ["--observation", "pixels", "--size", 24, "--distraction", "video", "--video-dir", tmp_path / "clips"]
    train.main(arguments(tmp_path / "run", *scene, "--time-limit", 8, "--prefill", 100, "--eval-episodes", 1, steps=12))
    assert metrics(tmp_path / "run")[-1]["step"] == 12


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--task", "walker_stnd"], "walker_stand"),
        (["--distraction", "vidoe", "--observation", "pixels"], "video"),
        (["--num-envs", -3], "--num-envs must be at least 1, not -3"),
        (["--agent.batch", -3], "--agent.batch must be at least 1, not -3"),
        (["--agent.horizon", 0], "--agent.horizon must be at least 1, not 0"),
        (["--agent.model.stoch", 0], "--agent.model.stoch must be at least 1, not 0"),
        (["--agent.model.convolutions", 8, 4, -2], "--agent.model.convolutions must be at least 1, not 8 4 -2"),
        (["--agent.model.inverse-bins", 1], "--agent.model.inverse-bins must be at least 2, not 1"),
        (["--agent.model.inverse-window", 1], "--agent.model.inverse-window must be at least 2, not 1"),
        (["--agent.model.dual-init", 0], "--agent.model.dual-init must be above 0, not 0.0"),
        (["--agent.model.dual-init", 50, "--agent.model.dual-max", 10], "dual-init 50 must lie from 1 / dual-max to"),
        (["--agent.model.dual-max", 0], "--agent.model.dual-max must be above 0, not 0.0"),
        (["--agent.model-clip", -1], "--agent.model-clip must be above 0, not -1.0"),
        (["--agent.discount", 1.5], "--agent.discount must lie from 0 to 1, not 1.5"),
        (["--agent.discount", 1], "--agent.discount must be below 1, not 1.0"),
        (["--agent.model-lr", -1], "--agent.model-lr must be at least 0, not -1.0"),
        (["--eval-every", "1e6"], "--eval-every: '1e6' is not a whole number"),
        (["--agent.length", 2], "--agent.length must be at least 3, for what is imagined to have a past, not 2"),
        (["--observation", "pixels", "--size", 84], "does not divide 21x21 pixels: take --size 64, or other --agent."),
        (["--observation", "pixels", "--size", 64, "--agent.shift", 64], "--agent.shift 64 must be smaller than the"),
        (["--measures", "torso_height"], "--measures are the axes of an archive, and infopower-small fills none"),
        (["--replay-size", 10**14], "lower --replay-size"),
        (["--replay-size", 2, "--prefill", 0], "--replay-size 2 has no row for each of --num-envs 3"),
        (["--prefill", 0, "--train-ratio", 1], "slices of 7 steps need as many in the replay, which holds 1"),
    ],
)
def test_wrong_options_are_one_line_and_leave_nothing(
    words: list[Any], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line in refused(train.main, arguments(tmp_path / "run", *words), capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_without_cuda_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(train.main, arguments(tmp_path / "run", "--device", "cuda"), capsys)
    assert said.startswith("device 'cuda': torch finds no CUDA device here")


def test_an_unknown_agent_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(train.main, ["infopower-smal"], capsys)
    assert said == "unknown agent infopower-smal: did you mean infopower-small?"


def test_an_unwritable_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    said = refused(train.main, arguments(tmp_path / "file" / "run"), capsys)
    assert said == f"cannot write to run folder {tmp_path}/file/run: Not a directory"


def refusals(finished: Path, missing: Path) -> list[tuple[list[Any], str]]:
    mine = ["infopower-small", "--run", finished]
    late = f"the run in {finished} is at step 600 already: go on with --steps above that"
    turned = f"name the agent first: train.py infopower-small --task walker_stand --run {finished}"
    return [
        (mine, f"run folder {finished} is not empty: go on with --resume, or choose another with --run"),
        (
            [*mine, "--resume", "--seed", 3, "--agent.batch", 13],
            f"the run in {finished} cannot go on with other options: --agent.batch 13 (was 5), --seed 3 (was 0)",
        ),
        (["infopower", "--run", finished, "--resume"], f"the run in {finished} trains infopower-small, not infopower"),
        (["infopower", "--run", missing, "--resume"], f"there is no run in {missing}: it has no config.json"),
        ([*mine, "--resume", "--steps", 300], late),
        ([*mine, "--resume"], late),
        (["--task", "walker_stand", *mine], turned),
    ]


@pytest.mark.parametrize("case", range(7))
def test_refusals_touch_nothing(case: int, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, line = refusals(finished, tmp_path / "missing")[case]
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert refused(train.main, words, capsys) == line
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before
    assert not (tmp_path / "missing").exists()


def test_two_processes_cannot_share_a_folder(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = os.open(finished, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        said = refused(train.main, ["infopower-small", "--run", finished, "--resume", "--steps", 900], capsys)
    finally:
        os.close(lock)
    assert said == f"run folder {finished} is in use by another process"


def copy_of(run: Path, target: Path) -> Path:
    for path in run.rglob("*"):
        if path.is_file():
            (target / path.relative_to(run)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(run)).write_bytes(path.read_bytes())
    return target


def test_resuming_with_more_steps_goes_further(finished: Path, tmp_path: Path) -> None:
    run = copy_of(finished, tmp_path / "further")
    train.main(["infopower-small", "--run", str(run), "--resume", "--steps", "900"])
    train.main(arguments(tmp_path / "whole", steps=900))
    assert differing(run, tmp_path / "whole") == []
    assert train.load_config(run).steps == 900


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(("name", "damage", "line"), [
    ("agent.pt", truncate, "checkpoint file {} is damaged: "),
    ("trainer.pt", truncate, "checkpoint file {} is damaged: "),
    ("replay.pt", truncate, "checkpoint file {} is damaged: "),
    ("trainer.pt", Path.unlink, "there is no {}"),
])  # fmt: skip
def test_a_damaged_checkpoint_is_one_line_and_nothing_is_lost(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, damage: Callable, line: str
) -> None:
    run = copy_of(finished, tmp_path / "run")
    path = run / "checkpoints" / "000000600" / name
    damage(path)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    said = refused(train.main, ["infopower-small", "--run", run, "--resume", "--steps", 900], capsys)
    assert said.startswith(line.format(path))
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_what_to_look_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = arguments(run, "--agent.model-lr", 1e30, "--checkpoint-every", 60)
    said = refused(train.main, words, capsys, code=1)
    folder = max((run / "failure").iterdir())
    assert said.startswith("loss/") and " is nan at step " in said and said.endswith(f"; see {folder}")
    state = torch.load(folder / "agent.pt", weights_only=True)
    assert not all(value.isfinite().all() for value in state["nets"].values())
    good = checkpoint_of(run)  # what --resume goes on from
    assert good["step"] < int(folder.name)
    assert all(value.isfinite().all() for name, value in good.items() if name.startswith("/agent.pt/nets"))


def test_configuration_is_plain_json(finished: Path) -> None:
    values = json.loads((finished / "config.json").read_text())
    assert values["name"] == "infopower-small" and values["agent"]["model"]["deter"] == 11


@pytest.mark.parametrize("text", ['{"model_type": "llama"}', "[1]", '{"name": "infopower-sma', '{"name": "no"}'])
def test_what_is_no_configuration_of_a_run_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=f"{tmp_path}/config.json is not the configuration of a run of this version"):
        load_config(tmp_path)


def test_a_run_that_ends_before_it_learns_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train.main(arguments(tmp_path / "run", "--prefill", 12, "--eval-episodes", 1, steps=12))
    assert "no update before step 32, when this run has ended" in capsys.readouterr().out
