"""Cells of a grid and of centroids: hand-worked, pyribs, scikit-learn's k-means."""

import json

import numpy as np
import pytest
import ribs.archives
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.archive.tessellations import CVT, Grid, from_spec, k_means_centroids, nearest


def test_a_grid_of_two_by_three() -> None:
    grid = Grid((2, 3), ((-1.0, 1.0), (0.0, 6.0)))
    points = [[-1, 0], [-0.01, 1.9], [0, 2], [1, 6], [1, 0], [-1, 6], [0.5, 3.999], [-9, 99], [1e30, -1e30]]
    assert grid.locate(torch.tensor(points)).tolist() == [0, 0, 4, 5, 3, 2, 4, 2, 3]


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    dims=st.lists(st.integers(1, 31), min_size=1, max_size=4),
    double=st.booleans(),
)
def test_a_grid_rounds_as_pyribs_does(seed: int, dims: list[int], double: bool) -> None:
    """On edges, just beside them and anywhere, with ranges that no float has exactly."""
    rng = np.random.default_rng(seed)
    low = rng.normal(size=len(dims)).round(1)
    ranges = list(zip(low.tolist(), (low + rng.uniform(0.1, 10, len(dims)).round(1)).tolist(), strict=True))
    dtype = np.float64 if double else np.float32
    edge = rng.integers(0, np.array(dims) + 1, (200, len(dims))) / np.array(dims)
    place = np.where(rng.random(edge.shape) < 0.7, edge, rng.random(edge.shape))
    points = (low + place * (np.array(ranges)[:, 1] - low)).astype(dtype)
    points = np.where(rng.random(edge.shape) < 0.3, np.nextafter(points, dtype(rng.normal())), points)
    theirs = ribs.archives.GridArchive(solution_dim=1, dims=dims, ranges=ranges, dtype=dtype)
    ours = Grid(dims, ranges, dtype=torch.float64 if double else torch.float32)
    assert ours.locate(torch.from_numpy(points)).tolist() == theirs.index_of(points).tolist()


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), cells=st.integers(1, 53), measures=st.integers(1, 5))
def test_the_tree_finds_what_all_distances_find(seed: int, cells: int, measures: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    centroids = torch.rand(cells, measures, generator=generator, dtype=torch.float64)
    points = torch.rand(101, measures, generator=generator, dtype=torch.float64) * 1.5
    expected = torch.cdist(points, centroids).argmin(1)
    assert torch.equal(CVT(centroids, [(0.0, 1.0)] * measures, dtype=torch.float64).locate(points), expected)
    assert torch.equal(nearest(points, centroids), expected)


def test_units_of_measures_do_not_matter() -> None:
    """Of two centroids the first is 0.1 and 0.08 of the box away, the second 0.7 and 0.02; in units 8 and 2.1."""
    centroids, ranges, point = [[0.1, 50.0], [0.9, 60.0]], [(0.0, 1.0), (0.0, 100.0)], torch.tensor([[0.2, 58.0]])
    cut, raw = CVT(centroids, ranges), CVT(centroids, ranges, relative=False)
    assert (cut.locate(point).item(), raw.locate(point).item()) == (0, 1)
    assert (from_spec(cut.spec()).locate(point).item(), from_spec(raw.spec()).locate(point).item()) == (0, 1)
    assert "relative" not in raw.spec()  # as what was saved before there was a choice


def test_centroids_of_unlike_ranges_have_cells_as_large() -> None:
    """Also where pyribs puts the points of a box with sides of 1."""
    ranges = [(0.0, 1.0), (-20.0, 80.0), (3.0, 3.5)]
    widths, low = torch.tensor([1.0, 100.0, 0.5], dtype=torch.float64), torch.tensor([0.0, -20.0, 3.0])
    cut = CVT(k_means_centroids(53, ranges, 0, 20_000), ranges, dtype=torch.float64)
    share = torch.rand(5300, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))  # (B, M)
    cell = cut.locate(low + share * widths)
    assert cell.bincount(minlength=53).min() > 50  # of 100 on average; without `relative` 7
    theirs = ribs.archives.CVTArchive(
        solution_dim=1, centroids=((cut.centroids - low) / widths).numpy(), ranges=[(0.0, 1.0)] * 3, dtype=np.float64
    )
    assert cell.tolist() == theirs.index_of(share.numpy()).tolist()


def test_a_row_has_its_cell_in_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when distances are computed in parts, and for points that are as far from two centroids."""
    centroids = torch.rand(37, 3, generator=torch.Generator().manual_seed(0))
    points = torch.rand(211, 3, generator=torch.Generator().manual_seed(1))
    points[:20] = (centroids[:20] + centroids[1:21]) / 2
    whole = nearest(points, centroids)
    assert torch.equal(torch.cat([nearest(row, centroids) for row in points.split(1)]), whole)
    monkeypatch.setattr("agents.archive.tessellations.CHUNK", 100)
    assert torch.equal(nearest(points, centroids), whole)


def test_equals_go_to_the_first_centroid() -> None:
    centroids = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert nearest(torch.tensor([[0.5, 0.5], [0.0, 0.9]]), centroids).tolist() == [0, 0]


def test_centroids_are_as_good_as_those_of_pyribs() -> None:
    """Mean squared distance of fresh points to their centroid, which k-means makes small; pyribs asks scikit-learn."""
    ranges = [(-2.0, 2.0), (-2.0, 2.0)]
    ours = k_means_centroids(101, ranges, seed=3, samples=20_000)
    theirs, _ = ribs.archives.k_means_centroids(centroids=101, ranges=ranges, samples=20_000, dtype=np.float64, seed=3)
    points = torch.rand(20_000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(5)) * 4 - 2
    spread = [torch.cdist(points, c).amin(1).square().mean().item() for c in (ours, torch.from_numpy(theirs))]
    assert spread[0] == pytest.approx(spread[1], rel=0.03)
    random = torch.cdist(points, points[:101]).amin(1).square().mean().item()
    assert spread[0] < 0.6 * random


def test_a_seed_makes_the_centroids_and_units_do_not() -> None:
    one, two, other = (k_means_centroids(7, [(0.0, 1.0)] * 2, seed, samples=1000) for seed in (3, 3, 5))
    assert torch.equal(one, two) and not torch.equal(one, other)
    stretched = k_means_centroids(7, [(0.0, 1000.0), (-1.0, 0.0)], 3, samples=1000)
    assert torch.allclose(stretched, one * torch.tensor([1000.0, 1.0]) - torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_spec_makes_the_same_cells(dtype: torch.dtype) -> None:
    ranges = [(0.1, 0.7), (-0.3, 1.1)]
    points = torch.rand(101, 2, dtype=dtype)
    for cut in (Grid((3, 5), ranges, dtype=dtype), CVT(k_means_centroids(11, ranges, 0, 1000), ranges, dtype=dtype)):
        spec = json.loads(json.dumps(cut.spec()))
        again = from_spec(spec)
        assert again.spec() == spec == cut.spec()
        assert torch.equal(again.locate(points), cut.locate(points)) and torch.equal(again.low, cut.low)


def test_wrong_boxes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must go up from a finite number to another, got \(1.0, 1.0\)"):
        Grid((2,), [(1.0, 1.0)])
    with pytest.raises(ValueError, match="must go up"):
        CVT([[0.0]], [(0.0, float("nan"))])
    with pytest.raises(ValueError, match=r"count of cells for each of its 2 measures, got \(2,\)"):
        Grid((2,), [(0.0, 1.0), (0.0, 1.0)])
    with pytest.raises(ValueError, match=r"count of cells for each of its 1 measures, got \(0,\)"):
        Grid((0,), [(0.0, 1.0)])
    with pytest.raises(ValueError, match=r"centroids must be \(C, 2\), got \(3, 1\)"):
        CVT([[0.0], [1.0], [2.0]], [(0.0, 1.0), (0.0, 1.0)])
    with pytest.raises(ValueError, match="11 centroids need at least as many samples, got 7"):
        k_means_centroids(11, [(0.0, 1.0)], 0, samples=7)
