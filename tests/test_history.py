"""The history of an archive, beside copies of the archive itself."""

from pathlib import Path

import pytest
import torch

from agents.archive import Archive, history
from agents.archive.history import History
from agents.archive.tessellations import Grid

CELLS = 13


def fill(archive: Archive, batches: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Offer random rows and play elites again, frame by frame; return what the cells held after each."""
    random = torch.Generator().manual_seed(archive.offered)
    kept = []
    for _ in range(batches):
        archive.add(torch.zeros(5, 3), torch.randn(5, generator=random), torch.rand(5, 1, generator=random) * CELLS)
        again = archive.sample(2, random)
        archive.reevaluate(again, torch.randn(2, generator=random), torch.rand(2, 1, generator=random) * CELLS)
        kept.append((archive.serial.clone(), archive.objective.clone()))
    return kept


def make() -> tuple[Archive, History]:
    return Archive(Grid([CELLS], [(0.0, float(CELLS))]), 3), History(CELLS, every=5)


def test_every_frame_is_the_archive_of_its_time(tmp_path: Path) -> None:
    archive, frames = make()
    kept = []
    for _ in range(11):
        kept += fill(archive, 1)
        frames.record(archive)
    history.save(frames, archive, tmp_path / "archive")
    loaded = history.load(tmp_path / "archive")
    assert loaded.evaluations == [5 * (i + 1) for i in range(11)] + [55]
    for i, (serial, objective) in enumerate([*kept, kept[-1]]):
        found = loaded.at(i)
        assert torch.equal(found[0], serial) and torch.equal(found[1], objective)
    assert (loaded.at(10)[0] == -1).any() and (loaded.at(10)[0] >= 0).any()
    assert sum(len(cell) for cell, _, _ in loaded.changes) < 11 * CELLS / 2 and not len(loaded.changes[-1][0])


def test_frames_are_apart_and_go_on_after_loading() -> None:
    archive, frames = make()
    frames.every = 13
    for _ in range(7):
        fill(archive, 1)
        frames.record(archive)
    assert frames.evaluations == [5, 20, 35]
    other = History(CELLS, every=13)
    other.load_state_dict(frames.state_dict())
    for _ in range(3):
        fill(archive, 1)
        frames.record(archive)
        other.record(archive)
    one, two = frames.state_dict(), other.state_dict()
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_no_frames_yet(tmp_path: Path) -> None:
    archive, frames = make()
    other = History(CELLS, every=5)
    other.load_state_dict(frames.state_dict())
    assert len(other) == 0
    with pytest.raises(FileNotFoundError, match=r"history\.safetensors"):
        history.load(tmp_path)
    history.save(frames, archive, tmp_path)
    assert history.load(tmp_path).evaluations == [0]
