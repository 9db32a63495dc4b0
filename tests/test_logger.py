"""Metrics: averages by hand, what a resumed run keeps, losses that are not finite."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensordict import TensorDict

from agents.runs.logger import Logger
from views.curves import read_rows

N = 3


def make_logger(run: Path, step: int = 0, state: dict[str, Any] | None = None) -> Logger:
    run.mkdir(exist_ok=True)
    logger = Logger(run, steps=1000, num_envs=N)
    if state is not None:
        logger.load_state_dict(state)
    logger.start(step)
    return logger


def lines(run: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all({"speed/env_steps", "speed/updates", "speed/minutes"} <= row.keys() for row in rows)
    return [{name: value for name, value in row.items() if not name.startswith("speed/")} for row in rows]


def timestep(reward: list[float], is_last: list[int]) -> TensorDict:
    return TensorDict({"reward": torch.tensor(reward), "is_last": torch.tensor(is_last).bool()}, batch_size=[N])


def test_metrics_are_averaged_between_writes(tmp_path: Path) -> None:
    logger = make_logger(tmp_path / "run")
    logger.add({"loss/a": torch.tensor(1.0), "b": torch.tensor(5.0)}, updates=1)
    logger.add({"loss/a": torch.tensor(2.0)}, updates=1)
    logger.write(70)
    logger.write(140)
    logger.add({"loss/a": torch.tensor(7.0)}, updates=1)
    logger.write(210)
    assert lines(tmp_path / "run") == [{"step": 70, "loss/a": 1.5, "b": 5.0}, {"step": 140}, {"step": 210, "loss/a": 7}]


def test_returns_are_those_of_episodes_that_ended(tmp_path: Path) -> None:
    logger = make_logger(tmp_path / "run")
    logger.add_timestep(timestep([1, 10, 100], [0, 0, 0]))
    logger.add_timestep(timestep([2, 20, 200], [0, 1, 0]))  # 30 ends
    logger.write(7)
    logger.add_timestep(timestep([4, 0, 400], [1, 0, 0]))  # 7 ends
    logger.add_timestep(timestep([0, 41, 800], [0, 1, 1]))  # 41 and 1500 end
    logger.write(14)
    logger.add_timestep(timestep([8, 0, 0], [0, 0, 0]))
    logger.write(21)
    assert [row.get("episode/return") for row in lines(tmp_path / "run")] == [30, (7 + 41 + 1500) / 3, None]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["loss/forward", "slim/loss/surrogate"])  # also of a part
def test_a_loss_that_is_not_finite_is_named(tmp_path: Path, name: str, value: float) -> None:
    logger = make_logger(tmp_path / "run")
    logger.add({"loss/fine": torch.tensor(1.0), "model/norm": torch.tensor(value)})
    logger.write(7)  # only losses stop a run
    for add in (1.0, value, 2.0):
        logger.add({"loss/fine": torch.tensor(1.0), name: torch.tensor(add)})
    with pytest.raises(FloatingPointError, match=f"{name} is {value} at step 11"):
        logger.check(11)
    with pytest.raises(FloatingPointError, match=f"{name} is {value} at step 14"):
        logger.write(14)
    found = lines(tmp_path / "run")  # the line is there to look at
    assert found[0]["model/norm"] is found[1][name] is None  # JSON has no NaN
    assert len(found) == 2 and len(read_rows(tmp_path / "run")) == 2


def feed(logger: Logger, begin: int, end: int) -> None:
    for k in range(begin, end):
        logger.add({"loss/a": torch.tensor(k / 7), "b": torch.tensor(k * 0.1)}, updates=1)
        logger.add_timestep(timestep([k, k + 0.3, -k], [k % 2, k % 3 == 0, k % 5 == 0]))
        if k % 4 == 0:
            logger.write(k)


def test_a_resumed_run_writes_what_the_uninterrupted_one_does(tmp_path: Path) -> None:
    feed(make_logger(tmp_path / "whole"), 1, 30)
    first = make_logger(tmp_path / "killed")
    feed(first, 1, 11)  # between two writes
    torch.save(first.state_dict(), tmp_path / "state.pt")
    feed(first, 11, 23)  # lost
    (tmp_path / "killed" / "metrics.jsonl").open("a").write('{"step": 24, "los')  # killed within a line
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    time.sleep(1 - time.time() % 1)  # TensorBoard reads files in the order of the second in their names
    resumed = make_logger(tmp_path / "killed", 10, state)
    feed(resumed, 11, 30)
    resumed.close()
    assert lines(tmp_path / "killed") == lines(tmp_path / "whole")
    curve = EventAccumulator(str(tmp_path / "killed")).Reload().Scalars("loss/a")
    assert [event.step for event in curve] == [4, 8, 12, 16, 20, 24, 28]
    assert resumed.minutes() >= state["seconds"] / 60


def test_what_is_saved_before_the_next_line_says_where_the_file_ends(tmp_path: Path) -> None:
    """A process is killed after lines beyond its checkpoint, goes on, and is stopped at once."""
    logger = make_logger(tmp_path / "run")
    logger.write(70)
    state = logger.state_dict()
    logger.write(140)
    logger.close()
    resumed = make_logger(tmp_path / "run", 70, state)
    again = resumed.state_dict()
    resumed.close()
    assert again["position"] == state["position"] == (tmp_path / "run" / "metrics.jsonl").stat().st_size
    make_logger(tmp_path / "run", 70, again).write(80)
    assert [row["step"] for row in lines(tmp_path / "run")] == [70, 80]


def test_metrics_that_were_cut_are_refused(tmp_path: Path) -> None:
    logger = make_logger(tmp_path / "run")
    feed(logger, 1, 11)
    state = logger.state_dict()
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"metrics.jsonl is shorter than the checkpoint says, \d+ bytes"):
        make_logger(tmp_path / "run", 10, state)


def test_plain_progress_lines_without_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = make_logger(tmp_path / "run")
    logger.progress(5)
    logger.add({"eval/return": torch.tensor(2.0)}, updates=1)
    logger.started = logger.written_at = logger.written_at - 100  # seconds ago
    logger.write(500)
    logger.close()
    out = capsys.readouterr().out
    assert out == "500/1,000 env steps | eval 2 | 0:01:40 left | 5/s | 0.01 updates/s\n"


def test_minutes_go_on_and_updates_are_counted_between_writes(tmp_path: Path) -> None:
    """Ten minutes before; then an update in each 100 seconds."""
    logger = make_logger(tmp_path / "run")
    state = logger.state_dict()
    logger.close()
    logger = make_logger(tmp_path / "run", 0, state | {"seconds": 600.0})
    for step in (70, 140):
        logger.written_at -= 100
        logger.add({}, updates=1)
        logger.write(step)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["speed/updates"] for row in rows] == pytest.approx([0.01, 0.01], rel=0.1)
    assert [row["speed/minutes"] for row in rows] == pytest.approx([10, 10], abs=0.1)
