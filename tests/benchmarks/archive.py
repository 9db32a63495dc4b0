"""Time `Archive.add` beside pyribs' in one run: python tests/benchmarks/archive.py [--cvt] [--repeats 5].

Both get the same batches in turns: uniform measures, normal objectives, 1024 cells. The first batch finds the archive
empty; "later" is the median of those after it, of whose rows ever fewer get in. Times are the thread's processor time,
so that whatever else runs on the machine does not count; the archives must agree in every status.

The floor is the time to read and to write the rows that get in, at the speed at which torch copies a block as large as
the batch. Combinations that do not fit into memory are named and left out.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import ribs
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents.archive import Archive
from agents.archive.tessellations import CVT, Grid, k_means_centroids
from agents.replay import available_memory, gigabytes

SIZES, BATCHES = (10, 1000, 20_000, 71_000), (256, 1024, 4096)
CELLS, RANGES = 1024, ((0.0, 1.0), (0.0, 1.0))
LATER = 6  # batches after the first


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.thread_time()
    result = call()
    return time.thread_time() - start, result


def copy_speed(block: torch.Tensor) -> float:
    """Bytes read and written a second when a block is copied onto one that is there already."""
    target = torch.ones_like(block)
    seconds = min(timed(lambda: target.copy_(block))[0] for _ in range(3))
    return 2 * block.nbytes / seconds


def measure(size: int, batch: int, cut: Grid | CVT, repeats: int) -> list[dict[str, float]]:
    """Return medians over repeats: of the first batch and of later ones, in seconds."""
    rng = np.random.default_rng(0)
    solution = rng.standard_normal((batch, size), np.float32)
    speed = copy_speed(torch.from_numpy(solution))
    first: list[dict[str, float]] = []
    later: list[dict[str, float]] = []
    for repeat in range(repeats):
        ours = Archive(cut, size)
        options: dict[str, Any] = {"solution_dim": size, "ranges": RANGES, "dtype": np.float32}
        if isinstance(cut, Grid):
            theirs: Any = ribs.archives.GridArchive(dims=cut.dims, **options)
        else:
            theirs = ribs.archives.CVTArchive(centroids=cut.centroids.numpy(), **options)
        for i in range(1 + LATER):
            objective, measures = rng.standard_normal(batch, np.float32), rng.random((batch, 2), np.float32)
            rows = (solution, objective, measures)
            calls: dict[str, Callable[[], Any]] = {
                "ours": partial(ours.add, *(torch.from_numpy(value) for value in rows)),
                "pyribs": partial(theirs.add, *rows),
            }
            turn = sorted(calls, reverse=bool((i + repeat) % 2))  # who comes second finds the batch in the cache
            found = {name: timed(calls[name]) for name in turn}
            added, info = found["ours"][1], found["pyribs"][1]
            assert added.status.tolist() == info["status"].tolist()
            kept = int(added.kept.sum())
            row = {"kept": kept, "floor": 2 * kept * size * 4 / speed}
            (later if i else first).append(row | {name: seconds for name, (seconds, _) in found.items()})
    return [{key: median(row[key] for row in rows) for key in rows[0]} for rows in (first, later)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cvt", action="store_true", help="centroids instead of a grid; pyribs' default is a k-d tree")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cut = CVT(k_means_centroids(CELLS, RANGES, 0), RANGES) if arguments.cvt else Grid((32, 32), RANGES)
    warm(cut)
    versions = f"torch {torch.__version__}, numpy {np.__version__}, pyribs {ribs.__version__}"
    print(f"{date.today()}, {platform.processor() or platform.machine()}, one thread, {versions}, {CELLS} cells\n")
    print("| numbers | rows | batch | get in | ours ms | pyribs ms | ratio | floor ms | ours / floor |")
    print("|---|---|---|---|---|---|---|---|---|")
    for size in arguments.sizes:
        for batch in arguments.batches:
            need = (5 * batch + 2 * CELLS) * size * 4  # pyribs holds up to three copies of a batch
            if need > (there := available_memory(torch.device("cpu"))):
                print(f"| {size} | {batch} | left out: needs {gigabytes(need)}, {gigabytes(there)} are available |")
                continue
            repeats = arguments.repeats if size * batch < 10_000_000 else max(1, arguments.repeats // 2)
            for name, row in zip(("first", "later"), measure(size, batch, cut, repeats), strict=True):
                ours, pyribs, floor = (1e3 * row[key] for key in ("ours", "pyribs", "floor"))
                print(
                    f"| {size:,} | {batch:,} | {name} | {row['kept']:.0f} | {ours:.3g} | {pyribs:.3g} "
                    f"| {pyribs / ours:.2f}x | {floor:.2g} | {ours / floor:.1f} |",
                    flush=True,
                )


def warm(cut: Grid | CVT) -> None:
    """Let pyribs compile and everything load."""
    measure(10, 256, cut, 3)


if __name__ == "__main__":
    main()
