"""The archive against one-by-one insertion, a dictionary in plain Python, and pyribs."""

import math
from typing import Any

import numpy as np
import pytest
import ribs.archives
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.archive import IMPROVED, NEW, REJECTED, Archive, contest
from agents.archive.elites import copy_rows
from agents.archive.tessellations import CVT, Grid

P, DIMS = 5, (3, 2)  # 6 cells of (-1, 2) x (0, 1)
RANGES = ((-1.0, 2.0), (0.0, 1.0))
CENTROIDS = [[-0.5, 0.1], [0.4, 0.9], [1.1, 0.3], [1.7, 0.8], [0.0, 0.5], [0.2, 0.1], [1.9, 0.05]]  # 7

Rows = tuple[Tensor, Tensor, Tensor]  # solution (B, P), objective (B,), measures (B, M)

batches = st.lists(st.integers(0, 23), min_size=1, max_size=5)
kinds = st.sampled_from(["grid", "cvt"])
dtypes = st.sampled_from([torch.float32, torch.float64])
policies = st.sampled_from(["reject", "clip"])


def make(
    kind: str = "grid",
    dtype: torch.dtype = torch.float32,
    outside: Any = "reject",
    device: str = "cpu",
    relative: bool = True,
) -> Archive:
    cut = Grid(DIMS, RANGES, device, dtype) if kind == "grid" else CVT(CENTROIDS, RANGES, device, dtype, relative)
    return Archive(cut, P, outside=outside)


def make_ribs(kind: str, dtype: torch.dtype) -> Any:
    options = {"solution_dim": P, "ranges": RANGES, "dtype": np.float32 if dtype == torch.float32 else np.float64}
    if kind == "grid":
        return ribs.archives.GridArchive(dims=DIMS, **options)
    return ribs.archives.CVTArchive(centroids=np.array(CENTROIDS), **options)


def draw(rng: np.random.Generator, count: int, dtype: torch.dtype, dirty: bool = True) -> Rows:
    """Return rows with few different objectives, so many ties, on edges of cells, and, if dirty, out of all bounds."""
    objective = rng.choice([-2.0, -0.0, 0.0, 1.0, 3.0], count)
    measures = rng.uniform([-1.5, -0.25], [2.5, 1.25], (count, 2))
    on_edge = rng.random((count, 2)) < 0.2
    measures = np.where(on_edge, rng.choice([[-1.0, 0.0], [0.0, 0.5], [1.0, 0.5], [2.0, 1.0]], count), measures)
    if dirty:
        strange = [math.nan, math.inf, -math.inf, 1e30, -3e38]
        objective = np.where(rng.random(count) < 0.1, rng.choice(strange, count), objective)
        measures = np.where(rng.random((count, 2)) < 0.05, rng.choice(strange, (count, 2)), measures)
    solution = rng.normal(size=(count, P))
    return tuple(torch.tensor(value, dtype=dtype) for value in (solution, objective, measures))


def state(archive: Archive) -> dict[str, Any]:
    saved = archive.state_dict()
    return {**{name: value.tolist() for name, value in saved.pop("elites").items()}, **saved}


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32 - 1), sizes=batches, kind=kinds, dtype=dtypes, outside=policies)
def test_a_batch_is_its_rows_one_by_one(
    seed: int, sizes: list[int], kind: str, dtype: torch.dtype, outside: str
) -> None:
    rng = np.random.default_rng(seed)
    whole, single = make(kind, dtype, outside), make(kind, dtype, outside)
    for size in sizes:
        rows = draw(rng, size, dtype)
        added = whole.add(*rows)
        one_by_one = [single.add(*(value[i : i + 1] for value in rows)) for i in range(size)]
        assert added.cell.tolist() == [one.cell.item() for one in one_by_one]
        # what stays is what came in last
        last = {one.cell.item(): i for i, one in enumerate(one_by_one) if one.kept}
        assert added.kept.nonzero().squeeze(1).tolist() == sorted(last.values())
    assert state(whole) == state(single)


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32 - 1), sizes=batches, dtype=dtypes, outside=policies)
def test_it_is_a_dictionary_of_the_best(seed: int, sizes: list[int], dtype: torch.dtype, outside: str) -> None:
    """The definition, on a grid, in plain Python."""
    rng, archive = np.random.default_rng(seed), make("grid", dtype, outside)
    best: dict[int, tuple[float, int, list[float], list[float]]] = {}
    serial = not_finite = outliers = 0
    for size in sizes:
        solution, objective, measures = draw(rng, size, dtype)
        before = dict(best)
        added = archive.add(solution, objective, measures)
        for i in range(size):
            value, (x, y), cell = objective[i].item(), measures[i].tolist(), 6
            finite = all(map(math.isfinite, (value, x, y)))
            inside = finite and -1 <= x <= 2 and 0 <= y <= 1
            not_finite, outliers = not_finite + (not finite), outliers + (finite and not inside)
            if inside or (finite and outside == "clip"):
                column = min(max(math.floor(x + 1 + 1e-6 / 3), 0), 2)
                cell = column * 2 + (y > 0.5 - 1e-6)
                status = NEW if cell not in before else IMPROVED if value > before[cell][0] else REJECTED
                assert added.status[i] == status
                if cell not in best or value > best[cell][0]:
                    best[cell] = (value, serial + i, solution[i].tolist(), [x, y])
            assert added.cell[i] == cell
        serial += size
    elites = archive.elites()
    expected = [best[cell] for cell in sorted(best)]
    assert elites["cell"].tolist() == sorted(best)
    assert elites["evaluations"].tolist() == [1] * len(best)
    columns = (elites[name].tolist() for name in ("objective", "serial", "solution", "measures"))
    assert list(zip(*columns, strict=True)) == expected
    stats = archive.stats()
    assert (archive.offered, stats["not_finite"], stats["outside"]) == (serial, not_finite, outliers)


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32 - 1), sizes=batches.filter(any), kind=kinds, dtype=dtypes)
def test_it_is_pyribs_archive(seed: int, sizes: list[int], kind: str, dtype: torch.dtype) -> None:
    """Where both say the same: rows are finite, and measures outside go to the border."""
    rng, ours, theirs = np.random.default_rng(seed), make(kind, dtype, "clip", relative=False), make_ribs(kind, dtype)
    for size in sizes:
        rows = draw(rng, size, dtype, dirty=False)
        added, info = ours.add(*rows), theirs.add(*(value.numpy() for value in rows))
        assert added.status.tolist() == info["status"].tolist()
        if kind == "grid":
            assert added.cell.tolist() == theirs.index_of(rows[2].numpy()).tolist()
    elites, data = ours.elites(), theirs.data()
    order = np.argsort(data["index"])
    assert elites["cell"].tolist() == data["index"][order].tolist()
    for name in ("solution", "objective", "measures"):
        assert torch.equal(elites[name], torch.from_numpy(data[name][order]))
    stats = ours.stats(offset=-3.0)
    assert stats["qd_score"].item() == pytest.approx(theirs.stats.qd_score + 3 * len(theirs), rel=1e-6)
    assert stats["coverage"].item() == pytest.approx(theirs.stats.coverage)
    assert stats["objective_max"].item() == theirs.stats.obj_max
    assert stats["objective_mean"].item() == pytest.approx(theirs.stats.obj_mean, rel=1e-6, abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), sizes=batches, kind=kinds)
def test_devices_keep_the_same(seed: int, sizes: list[int], kind: str) -> None:
    """What CUDA does, on the processor: rules in torch, and rows that are not kept go to the row of no cell."""
    rng, ours, theirs = np.random.default_rng(seed), make(kind), make(kind)
    theirs._rules, theirs._elites._arrays = contest.IN_TORCH, {}
    for size in sizes:
        rows = draw(rng, size, torch.float32)
        results = [ours.add(*rows), theirs.add(*rows)]
        _, objective, measures = draw(rng, 6, torch.float32)
        results += [a.reevaluate(a.least_evaluated(6), objective, measures) for a in (ours, theirs)]
        for first, second in (results[:2], results[2:]):
            assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert state(ours) == state(theirs)


@pytest.mark.parametrize("block", [1, 50, 1000])  # bytes, of rows of 20
def test_rows_are_copied_in_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    source, rows, places = (
        rng.normal(size=(23, P)).astype(np.float32),
        rng.permutation(23)[:11],
        rng.permutation(17)[:11],
    )
    target, expected = np.zeros((2, 17, P), np.float32)
    expected[places] = source[rows]
    monkeypatch.setattr("agents.archive.elites.BLOCK", block)
    copy_rows(source, rows, target, places)
    assert np.array_equal(target, expected)


def life(archive: Archive, generator: Any) -> None:
    """Add, sample and evaluate again."""
    rng = np.random.default_rng(3)
    for size in (11, 13):
        archive.add(*(value.to(archive.device) for value in draw(rng, size, torch.float32)))
        _, objective, measures = (value.to(archive.device) for value in draw(rng, 7, torch.float32))
        archive.reevaluate(archive.sample(7, generator), objective, measures)
        archive.least_evaluated(3)
        archive.stats()


@settings(max_examples=50, deadline=None)
@given(kinds, dtypes, policies, st.integers(0, 2**32 - 1))
def test_who_would_enter_is_who_enters_alone(kind: str, dtype: torch.dtype, outside: str, seed: int) -> None:
    archive, rng = make(kind, dtype, outside), np.random.default_rng(seed)
    archive.add(*draw(rng, 11, dtype))
    solution, objective, measures = draw(rng, 13, dtype)
    before = archive.state_dict()
    expected = []
    for i in range(13):
        alone = make(kind, dtype, outside)
        alone.load_state_dict(before)
        expected.append(bool(alone.add(solution[i : i + 1], objective[i : i + 1], measures[i : i + 1]).kept))
    assert archive.would_keep(objective, measures).tolist() == expected


@pytest.mark.parametrize("kind", ["grid", "cvt"])
@pytest.mark.parametrize("outside", ["reject", "clip"])
def test_the_host_never_waits(kind: str, outside: str) -> None:
    """Meta tensors have shapes and no values: what needs a value, or a shape that values decide, raises."""
    archive = make(kind, outside=outside, device="meta")
    life(archive, None)
    with pytest.raises(NotImplementedError):
        archive.elites()  # so it is noticed


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["grid", "cvt"])
def test_cuda_holds_the_same_and_never_waits(kind: str) -> None:
    ours, theirs = make(kind), make(kind, device="cuda")
    rng, again, generator = np.random.default_rng(5), np.random.default_rng(5), torch.Generator("cuda")
    torch.cuda.synchronize()
    batches = [tuple(value.cuda() for value in draw(again, 17, torch.float32)) for _ in range(20)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches:
            theirs.add(*batch)
            theirs.sample(7, generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for _ in batches:
        ours.add(*draw(rng, 17, torch.float32))
    life(theirs, generator)
    theirs = make(kind, device="cuda")
    for batch in batches:
        theirs.add(*batch)
    assert state(ours) == state(theirs)
