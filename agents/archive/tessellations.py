"""Ways to cut a box of measures into cells: a grid, or the Voronoi cells of centroids (CVT)."""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any, Protocol

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

Ranges = Sequence[Sequence[float]]  # M pairs (low, high)

EPSILON = 1e-6  # lifts measures that rounding puts just below an edge onto it; pyribs' default
CHUNK = 2**24  # distances computed at a time: 64 MB of them
ITERATIONS = 50  # twice as many bring centroids less than a thousandth closer to what is nearest to them


class Tessellation(Protocol):
    """A box [low, high] in C cells; its device and type are the archive's."""

    cells: int  # C
    low: Tensor  # (M,)
    high: Tensor  # (M,)

    def locate(self, measures: Tensor) -> Tensor:
        """Return the cells (B,) int64 of measures (B, M): outside the box the nearest, of a NaN any number."""
        ...

    def spec(self) -> dict[str, Any]:
        """Return what `from_spec` makes it from again, in types that JSON has."""
        ...


class Grid:
    """Cells of equal size, counted as C does: the last measure changes fastest."""

    def __init__(
        self,
        dims: Sequence[int],
        ranges: Ranges,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Cut measure m, from ranges[m][0] to ranges[m][1], into dims[m] cells."""
        if len(dims) != len(ranges) or min(dims, default=0) < 1:
            raise ValueError(f"a grid needs a count of cells for each of its {len(ranges)} measures, got {dims}")
        self.low, self.high = box(ranges, device, dtype)  # (M,), (M,)
        self.dims, self.cells, self._ranges = tuple(map(int, dims)), prod(map(int, dims)), ranges
        self._dims = torch.tensor(dims, device=device, dtype=torch.float64)  # (M,)
        self._last, self._first = self._dims - 1, torch.zeros_like(self._dims)  # (M,)
        self._width = (self.high - self.low).double()  # (M,)
        self._strides = torch.tensor([prod(dims[m + 1 :]) for m in range(len(dims))], device=device)  # (M,)

    def locate(self, measures: Tensor) -> Tensor:
        """Return the cells (B,) of measures (B, M); an inner edge belongs to the cell above it.

        Rounded as in pyribs, which multiplies and divides in double precision, so that both find the same cells.
        """
        place = ((measures - self.low) * self._dims + EPSILON) / self._width  # (B, M) float64
        return (place.clamp(self._first, self._last).long() * self._strides).sum(-1)

    def spec(self) -> dict[str, Any]:
        """Return kind, dims, ranges and type."""
        return {"kind": "grid", "dims": list(self.dims), **describe(self._ranges, self.low)}


class CVT:
    """Cells of the points that are nearest to a centroid (CVT-MAP-Elites, arXiv 1610.05729)."""

    def __init__(
        self,
        centroids: Tensor | Sequence[Sequence[float]],
        ranges: Ranges,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        relative: bool = True,
    ) -> None:
        """Take centroids (C, M) in the box, for instance of `k_means_centroids`.

        relative: distances count in widths of the box, so that the units of measures do not matter, as they do not for
        `k_means_centroids`; else in those units, as in pyribs.
        """
        self.low, self.high = box(ranges, device, dtype)  # (M,), (M,)
        self.centroids = torch.as_tensor(centroids, dtype=dtype, device=device)  # (C, M)
        if self.centroids.dim() != 2 or self.centroids.shape[1] != len(ranges) or not len(self.centroids):
            raise ValueError(f"centroids must be (C, {len(ranges)}), got {tuple(self.centroids.shape)}")
        self.cells, self.relative, self._ranges = len(self.centroids), relative, ranges
        self.units = self.high - self.low if relative else torch.ones_like(self.low)  # (M,) what distances count in
        self._places = self.centroids / self.units  # (C, M)
        # On the processor a tree: 7, 5 and 2 times faster than all distances for 1024 centroids of 2, 4 and 8 measures.
        self._tree = KDTree(self._places.numpy()) if self._places.device.type == "cpu" else None

    def locate(self, measures: Tensor) -> Tensor:
        """Return the cells (B,) of measures (B, M), by Euclidean distance."""
        place = measures / self.units  # (B, M)
        if self._tree is not None:
            return torch.from_numpy(self._tree.query(place.nan_to_num().numpy())[1])
        return nearest(place, self._places)

    def spec(self) -> dict[str, Any]:
        """Return kind, centroids, ranges and type, and that distances are relative where they are."""
        relative = {"relative": True} if self.relative else {}
        return {"kind": "cvt", "centroids": self.centroids.tolist(), **relative, **describe(self._ranges, self.low)}


def from_spec(spec: dict[str, Any], device: torch.device | str = "cpu") -> Tessellation:
    """Make a tessellation from its `spec`; one of centroids that does not say `relative` is not."""
    options = dict(spec)
    kinds: dict[str, Callable[..., Tessellation]] = {"grid": Grid, "cvt": partial(CVT, relative=False)}
    kind, dtype = kinds[options.pop("kind")], getattr(torch, options.pop("dtype"))
    return kind(**options, device=device, dtype=dtype)


def k_means_centroids(cells: int, ranges: Ranges, seed: int, samples: int = 100_000) -> Tensor:
    """Return centroids (C, M) float64, in the middle of what lies nearest to each among uniform samples of the box.

    Lloyd's iterations from random samples until no sample changes its cell, at most 50 of them. Distances count in
    widths of the box, so that the units of measures do not matter for where centroids come to lie (our choice). Always
    computed on the CPU: a seed gives the same centroids on every device.
    """
    if not 0 < cells <= samples:
        raise ValueError(f"{cells} centroids need at least as many samples, got {samples}")
    low, high = (side.numpy() for side in box(ranges, "cpu", torch.float64))  # (M,), (M,)
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(samples, len(ranges), dtype=torch.float64, generator=generator).numpy()  # (samples, M)
    centroids, before = points[:cells].copy(), None
    for _ in range(ITERATIONS):
        cell = KDTree(centroids).query(points)[1]  # (samples,)
        if before is not None and (cell == before).all():
            break
        count = np.bincount(cell, minlength=cells)[:, None]  # (C, 1)
        sums = np.stack([np.bincount(cell, axis, cells) for axis in points.T], 1)  # (C, M)
        centroids = np.where(count > 0, sums / np.maximum(count, 1), centroids)
        before = cell
    return torch.from_numpy(low + centroids * (high - low))


def nearest(measures: Tensor, centroids: Tensor) -> Tensor:
    """Return which of centroids (C, M) is nearest to each of measures (B, M), the first of equals: (B,).

    Adds squares one measure at a time: a matrix product would be rounded in another way for another B, and a row might
    then change its cell with the batch that it comes in.
    """
    found = []
    for rows in measures.split(max(1, CHUNK // len(centroids))):
        distance = (rows[:, :1] - centroids[:, 0]).square_()  # (b, C)
        for m in range(1, centroids.shape[1]):
            distance += (rows[:, m : m + 1] - centroids[:, m]).square_()
        found.append(distance.argmin(1))
    return torch.cat(found)


def box(ranges: Ranges, device: torch.device | str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the lower and upper corner (M,) of ranges; raise ValueError for an empty side."""
    for low, high in ranges:
        if not -float("inf") < low < high < float("inf"):
            raise ValueError(f"the range of a measure must go up from a finite number to another, got {(low, high)}")
    sides = torch.tensor(ranges, dtype=dtype, device=device)  # (M, 2)
    return sides[:, 0].contiguous(), sides[:, 1].contiguous()


def describe(ranges: Ranges, low: Tensor) -> dict[str, Any]:
    return {"ranges": [list(map(float, side)) for side in ranges], "dtype": str(low.dtype).removeprefix("torch.")}
