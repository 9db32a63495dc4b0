"""Archives on disk and in pyribs' layout: exact, whole or not there, one line for what is wrong."""

import contextlib
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import ribs.archives
import safetensors
import torch
from crashes import Crash, crash_at

from agents.archive import Archive, files
from agents.archive.tessellations import CVT, Grid, k_means_centroids

RANGES = ((-1.0, 2.0), (0.1, 0.7))
P = 11
CALLS = [(os, "fsync"), (os, "replace"), (os, "unlink")]
EXTRA = {"emitter": ((), torch.int64), "target": ((3,), torch.float32)}


def make(kind: str = "grid", dtype: torch.dtype = torch.float32, seed: int = 0, **options: Any) -> Archive:
    """kind: "grid", "cvt", or "ribs_cvt", whose distances are those of pyribs."""
    centroids, relative = k_means_centroids(13, RANGES, 0, 500), kind == "cvt"
    cut = Grid((5, 7), RANGES, dtype=dtype) if kind == "grid" else CVT(centroids, RANGES, "cpu", dtype, relative)
    archive, generator = Archive(cut, P, **options), torch.Generator().manual_seed(seed)
    for size in (17, 19):
        solution, objective, place = (torch.randn(size, *shape, generator=generator) for shape in ((P,), (), (2,)))
        extra = {"emitter": torch.arange(size), "target": torch.rand(size, 3)} if archive.extra else {}
        archive.add(solution, objective, place * 0.5 + 0.4, **extra)
    drawn = archive.sample(7, generator)
    archive.reevaluate(drawn, drawn["objective"] + 0.1, drawn["measures"])
    return archive


def assert_equal(one: Archive, two: Archive) -> None:
    first, second = one.state_dict(), two.state_dict()
    for (name, a), (other, b) in zip(first.pop("elites").items(), second.pop("elites").items(), strict=True):
        assert name == other and a.dtype == b.dtype and torch.equal(a, b)
    assert first == second


@pytest.mark.parametrize("kind", ["grid", "cvt", "ribs_cvt"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_read_is_what_was_written(tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    archive = make(kind, dtype, extra=EXTRA, outside="clip")
    files.save(archive, tmp_path / "archive")
    again = files.load(tmp_path / "archive")
    assert_equal(archive, again)
    rows = torch.randn(5, P), torch.rand(5), torch.rand(5, 2)
    extra = {"emitter": torch.ones(5, dtype=torch.int64), "target": torch.rand(5, 3)}
    for one, two in zip(archive.add(*rows, **extra), again.add(*rows, **extra), strict=True):  # and goes on as it would
        assert torch.equal(one, two)
    assert_equal(archive, again)


def test_a_checkpoint_restores_it(tmp_path: Path) -> None:
    archive, again = make(), make(seed=5)
    torch.save(archive.state_dict(), tmp_path / "archive.pt")
    again.load_state_dict(torch.load(tmp_path / "archive.pt", weights_only=True))
    assert_equal(archive, again)
    with pytest.raises(ValueError, match="saved archive has another tessellation and another outside than this one"):
        make("cvt", outside="clip").load_state_dict(archive.state_dict())


def test_a_smaller_archive_leaves_nothing_of_a_larger_one() -> None:
    empty, archive = Archive(make().tessellation, P), make()
    archive.load_state_dict(empty.state_dict())
    assert_equal(archive, empty)
    assert not archive.occupied.any() and (archive.objective == -torch.inf).all()


def test_what_lies_in_the_folder(tmp_path: Path) -> None:
    archive = make()
    files.save(make(seed=3), tmp_path)
    files.save(archive, tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    about = json.loads((tmp_path / "archive.json").read_text())
    assert names == ["archive.json", about["tensors"]]
    assert about["spec"]["tessellation"] == {
        "kind": "grid", "dims": [5, 7], "ranges": [[-1.0, 2.0], [0.1, 0.7]], "dtype": "float32"
    }  # fmt: skip
    with safetensors.safe_open(tmp_path / about["tensors"], "pt") as file:
        assert torch.equal(file.get_tensor("cell"), archive.elites()["cell"])
        assert torch.equal(file.get_tensor("solution"), archive.elites()["solution"])


def test_a_crash_between_any_two_steps_leaves_a_whole_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new, outcomes = make(seed=1), make(seed=2), []
    for count in range(20):
        folder = tmp_path / str(count)
        files.save(old, folder)
        with monkeypatch.context() as patch:
            made = crash_at(patch, count, CALLS)
            with contextlib.suppress(Crash):
                files.save(new, folder)
            finished = made() <= count
        found = files.load(folder)
        outcomes.append(found.objective.tolist() == new.objective.tolist())
        assert_equal(found, new if outcomes[-1] else old)
        files.save(new, folder)  # goes on and cleans up
        assert len(list(folder.iterdir())) == 2
        if finished:
            break
    # tensors and description are each saved, renamed and synced before the old tensors go
    assert outcomes == sorted(outcomes) and outcomes[0] is False and outcomes[-1] is True and len(outcomes) > 6


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_a_truncated_file_is_named(tmp_path: Path, suffix: str, kept: float) -> None:
    files.save(make(), tmp_path)
    (path,) = tmp_path.glob(f"*.{suffix}")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ValueError, match=f"{path} is damaged") as caught:
        files.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_files_of_two_archives_do_not_mix(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    files.save(make(), one)
    files.save(make(seed=3), two)
    (path,), (other,) = one.glob("*.safetensors"), two.glob("*.safetensors")
    path.write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match=f"{path} is damaged, or not of this archive: it has another check sum"):
        files.load(one)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("solution_dim", P + 1, "does not describe one archive"),
        ("tessellation", {"kind": "ring"}, "does not describe one archive: it lacks 'ring'"),
        ("tessellation", {"kind": "grid", "dims": [2], "ranges": [[0, 1]], "dtype": "float32"}, "does not describe"),
        ("extra", {"emitter": [[], "int64"]}, "does not describe one archive: it lacks 'emitter'"),
        ("outside", "wrap", "does not describe one archive: measures outside .* not 'wrap'"),
    ],
)
def test_a_description_of_another_archive_is_refused(tmp_path: Path, key: str, value: Any, line: str) -> None:
    files.save(make(), tmp_path)
    about = json.loads((tmp_path / "archive.json").read_text())
    about["spec"][key] = value
    (tmp_path / "archive.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=f"{tmp_path} {line}") as caught:
        files.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"there is no {tmp_path}/archive.json"):
        files.load(tmp_path)
    files.save(make(), tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"there is no {path}"):
        files.load(tmp_path)
    (tmp_path / "archive.json").write_text('{"format": 2, "tensors": "", "sha256": "", "spec": {}}')
    with pytest.raises(ValueError, match=r"archive\.json has format 2; this version reads 1"):
        files.load(tmp_path)
    (tmp_path / "archive.json").write_text("[]")
    with pytest.raises(ValueError, match=r"archive\.json is damaged"):
        files.load(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("in the way")
    with pytest.raises(OSError, match=f"cannot write the archive {tmp_path}/archive: File exists"):
        files.save(make(), tmp_path / "archive")


def as_ribs(archive: Archive) -> Any:
    """Put the elites into pyribs' archive of the same kind."""
    data, cut = files.to_numpy(archive), archive.tessellation
    options = {"solution_dim": P, "ranges": RANGES, "dtype": data["objective"].dtype}
    if isinstance(cut, Grid):
        theirs: Any = ribs.archives.GridArchive(dims=cut.dims, **options)
    else:
        theirs = ribs.archives.CVTArchive(centroids=cut.centroids.numpy(), **options)
    theirs.add(data["solution"], data["objective"], data["measures"])
    return theirs


@pytest.mark.parametrize("kind", ["grid", "ribs_cvt"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pyribs_says_the_same(kind: str, dtype: torch.dtype) -> None:
    archive = make(kind, dtype)
    theirs = as_ribs(archive)
    frame, expected = files.to_pandas(archive), theirs.data(return_type="pandas").sort_values("index")
    for column in expected.columns:
        assert frame[column].dtype == expected[column].dtype
        assert frame[column].tolist() == expected[column].tolist()
    # solution_0 ... measures_1, threshold, then ours, and index at the end
    assert [column for column in frame.columns if column in expected.columns] == list(expected.columns)
    ours = ["serial", "evaluations", "objective_std", "measures_std_0", "measures_std_1"]
    assert set(frame.columns) - set(expected.columns) == set(ours)
    wrapped = ribs.archives.ArchiveDataFrame(frame)
    assert np.array_equal(wrapped.get_field("measures"), archive.elites()["measures"].numpy())
    assert [elite["solution"].shape for elite in wrapped.iterelites()] == [(P,)] * len(frame)
    assert not [column for column in files.to_pandas(archive, solutions=False) if column.startswith("solution")]


@pytest.mark.parametrize("layout", ["dict", "pandas", "csv"])
@pytest.mark.parametrize("kind", ["grid", "ribs_cvt"])
def test_what_pyribs_found_comes_back(tmp_path: Path, kind: str, layout: str) -> None:
    archive = make(kind, torch.float64)
    theirs, rng = as_ribs(archive), np.random.default_rng(1)
    theirs.add(rng.normal(size=(23, P)), rng.normal(size=23), rng.normal(size=(23, 2)) * 3)  # also outside the ranges
    data = theirs.data(return_type="pandas" if layout != "dict" else "dict")
    if layout == "csv":
        data.to_csv(tmp_path / "archive.csv")
        data = pandas.read_csv(tmp_path / "archive.csv")
    ours, found = files.from_ribs(data, archive.tessellation), theirs.data()
    order, elites = np.argsort(found["index"]), ours.elites()
    assert elites["cell"].tolist() == found["index"][order].tolist()
    for name in ("solution", "objective", "measures"):
        assert np.array_equal(elites[name].numpy(), found[name][order])
    with pytest.raises(ValueError, match=f"of {len(order)} elites do not lie where `index` says"):
        files.from_ribs(data, archive.tessellation, outside="reject")


def test_what_does_not_fit_pyribs_is_named() -> None:
    data = files.to_numpy(make())
    with pytest.raises(ValueError, match=r"of \d+ elites do not lie where `index` says: pyribs had other dims"):
        files.from_ribs(data, Grid((7, 5), RANGES))
    with pytest.raises(ValueError, match="1 of 3 elites do not lie where"):  # two of them for one cell
        files.from_ribs({name: value[[0, 1, 1]] for name, value in data.items()}, Grid((5, 7), RANGES))
    with pytest.raises(ValueError, match="elites have no field 'index'"):
        files.from_ribs({name: value for name, value in data.items() if name != "index"}, Grid((5, 7), RANGES))
    with pytest.raises(ValueError, match=r"field 'target' has rows of shape \(2, 3\), which a data frame cannot hold"):
        files.to_pandas(Archive(Grid((5, 7), RANGES), P, {"target": ((2, 3), torch.float32)}))


def test_pandas_is_needed_for_data_frames_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    io = importlib.reload(files)
    assert len(io.to_numpy(make())["index"]) > 0
    with pytest.raises(ImportError, match="pandas"):
        io.to_pandas(make())


def test_names_of_extra_fields_are_checked() -> None:
    with pytest.raises(ValueError, match="fields of its own named mean, objective"):
        Archive(Grid((5,), RANGES[:1]), P, {"objective": ((), torch.float32), "mean": ((), torch.float32)})
    with pytest.raises(ValueError, match="'reject' or 'clip', not 'wrap'"):
        Archive(Grid((5,), RANGES[:1]), P, outside="wrap")  # type: ignore[arg-type]
