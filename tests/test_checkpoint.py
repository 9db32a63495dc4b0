"""Checkpoints: a crash at any point, a full disk, damage."""

import contextlib
import os
import re
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from crashes import Crash, crash_at

from agents.runs import checkpoint

CALLS = [(os, "fsync"), (os, "rename"), (os, "unlink"), (os, "rmdir"), (os, "mkdir"), (torch, "save")]


def files(value: int) -> dict[str, Any]:
    return {"agent.pt": {"x": torch.full((101,), value)}, "trainer.pt": {"step": value}, "replay.pt": {"head": value}}


def values(path: Path) -> list[int]:
    loaded = [checkpoint.load(path / name) for name in ("agent.pt", "trainer.pt", "replay.pt")]
    return [loaded[0]["x"][0].item(), loaded[1]["step"], loaded[2]["head"]]


def test_the_newest_replaces_the_older_ones(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    assert checkpoint.newest(folder) is None
    for step in (7, 11, 103):
        assert checkpoint.save(folder, step, files(step)) == folder / f"{step:09d}"
        assert [path.name for path in folder.iterdir()] == [f"{step:09d}"]
    newest = checkpoint.newest(folder)
    assert newest is not None and values(newest) == [103, 103, 103]


def test_of_older_ones_stays_what_is_kept(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 7, files(7))
    for step in (11, 103):
        checkpoint.save(tmp_path, step, files(step), ["agent.pt"])
    assert [path.name for path in checkpoint.complete(tmp_path)] == ["000000007", "000000011", "000000103"]
    for step in (7, 11):
        older = checkpoint.of_step(tmp_path, step)
        assert [path.name for path in older.iterdir()] == ["agent.pt"]
        assert checkpoint.load(older / "agent.pt")["x"][0] == step
    assert values(checkpoint.of_step(tmp_path, None)) == [103, 103, 103]
    line = re.escape(f"the run {tmp_path.parent} has no checkpoint of step 8: it has 7, 11, 103")
    with pytest.raises(FileNotFoundError, match=line):
        checkpoint.of_step(tmp_path, 8)
    checkpoint.save(tmp_path, 211, files(211))
    assert [path.name for path in tmp_path.iterdir()] == ["000000211"]


def test_a_billion_steps_are_more_than_nine_hundred_million(tmp_path: Path) -> None:
    for step in (900_096_000, 1_000_000_512):
        (tmp_path / f"{step:09d}").mkdir()
    assert checkpoint.newest(tmp_path) == tmp_path / "1000000512"


def test_a_complete_checkpoint_is_not_written_twice(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 7, files(7))
    checkpoint.save(tmp_path, 7, files(11))
    assert values(tmp_path / "000000007") == [7, 7, 7]


def test_a_crash_between_any_two_steps_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = []
    for count in range(100):
        folder = tmp_path / str(count)
        checkpoint.save(folder, 7, files(7))
        with monkeypatch.context() as patch:
            made = crash_at(patch, count, CALLS)
            with contextlib.suppress(Crash):
                checkpoint.save(folder, 11, files(11))
            finished = made() <= count
        newest = checkpoint.newest(folder)
        assert newest is not None
        outcomes.append(values(newest)[0])
        assert values(newest) == [outcomes[-1]] * 3
        checkpoint.save(folder, 13, files(13))  # goes on and cleans up
        assert [path.name for path in folder.iterdir()] == ["000000013"]
        if finished:
            break
    # before the rename: two folders made, three files saved and synced, the folder synced
    assert outcomes[:10] == [7] * 10
    assert set(outcomes[10:]) == {11} and len(outcomes) > 14


def test_files_are_on_disk_before_the_folder_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    fsync, rename = os.fsync, os.rename

    def traced_fsync(descriptor: int) -> None:
        order.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def traced_rename(source: Path, target: Path) -> None:
        order.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", traced_fsync)
    monkeypatch.setattr(os, "rename", traced_rename)
    checkpoint.save(tmp_path, 7, files(7))
    aside = "000000007.unfinished"
    assert order == ["agent.pt", "trainer.pt", "replay.pt", aside, "rename", tmp_path.name]


@pytest.mark.parametrize("name", ["agent.pt", "trainer.pt", "replay.pt"])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_named(tmp_path: Path, name: str, kept: float) -> None:
    path = checkpoint.save(tmp_path, 7, files(7)) / name
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(ValueError, match=f"checkpoint file {path} is damaged: ") as caught:
        checkpoint.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mmap", [False, True])
def test_one_wrong_bit_is_found(tmp_path: Path, mmap: bool) -> None:
    path = checkpoint.save(tmp_path, 7, {"replay.pt": {"x": torch.arange(1009)}}) / "replay.pt"
    data = bytearray(path.read_bytes())
    data[data.index(torch.arange(500, 502).numpy().tobytes())] ^= 4
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"checkpoint file {path} is damaged: wrong check sum of .*data/0"):
        checkpoint.load(path, mmap)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"x": Path.cwd}, tmp_path / "agent.pt")
    with pytest.raises(ValueError, match=r"agent.pt is damaged"):
        checkpoint.load(tmp_path / "agent.pt")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no .*agent\.pt"):
        checkpoint.load(tmp_path / "agent.pt")


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Let every write beyond 100 kB of a file fail, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [25_001, 1_000_003])
def test_a_full_disk_keeps_the_old_checkpoint(tmp_path: Path, size: int) -> None:
    checkpoint.save(tmp_path, 7, files(7))
    line = f"cannot write checkpoint {tmp_path}/000000011: File too large; earlier checkpoints are kept"
    with full_disk(), pytest.raises(OSError) as caught:
        checkpoint.save(tmp_path, 11, {"agent.pt": {"x": 11}, "replay.pt": {"x": torch.zeros(size)}})
    assert str(caught.value) == line
    assert [path.name for path in tmp_path.iterdir()] == ["000000007"]
    assert values(tmp_path / "000000007") == [7, 7, 7]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(OSError, match=r"cannot write checkpoint .*000000007: File exists"):
        checkpoint.save(tmp_path / "checkpoints", 7, files(7))
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("state", [{"weight": torch.zeros(3, 7)}, {}, torch.zeros(3)])
def test_a_checkpoint_of_something_else_is_one_line(tmp_path: Path, state: Any) -> None:
    path = checkpoint.save(tmp_path, 7, {"agent.pt": state}) / "agent.pt"
    with pytest.raises(ValueError, match=f"^checkpoint file {path} does not fit: ") as caught:
        checkpoint.restore(torch.nn.Linear(5, 3), path)
    assert "\n" not in str(caught.value)
    checkpoint.save(tmp_path, 8, {"agent.pt": torch.nn.Linear(5, 3).state_dict()})
    checkpoint.restore(torch.nn.Linear(5, 3), tmp_path / "000000008" / "agent.pt")
