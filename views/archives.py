"""What a page shows of a run's archive: its cells and elites, how it filled, and the curves of its figures."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.archive import Archive, files, history
from agents.archive.files import DESCRIPTION
from agents.archive.tessellations import CVT
from agents.map_elites import FOLDER
from agents.runs.tensor_folder import DAMAGE, one_line
from views.blocks import array
from views.curves import Curve, Run
from views.motions import Motion

FRAMES = 60  # of an archive's history that a page holds, at most: our choice
CURVES = {
    "archive/qd_score": "QD score",
    "archive/coverage": "coverage",
    "archive/max": "best objective",
    "archive/mean": "mean objective",
    "reevaluated/qd_score": "QD score, elites evaluated anew",
    "reevaluated/coverage": "coverage, elites evaluated anew",
    "reevaluated/max": "best objective, evaluated anew",
    "reevaluated/mean": "mean objective, evaluated anew",
}


@dataclass(frozen=True)
class Shown:
    """An archive with all that a page tells of it.

    measures  names of its axes (M)
    frames    what it held earlier: rows offered by then, and the objectives (C,), -inf where there was no elite
    curves    of its figures against environment steps, by the names that people read
    """

    name: str
    archive: Archive
    measures: tuple[str, ...]
    frames: Sequence[tuple[int, Tensor]] = ()
    curves: dict[str, Curve] = field(default_factory=dict)

    def data(self, motions: Sequence[Motion]) -> dict[str, Any]:
        """Return a map of the page, in types that JSON has. motions: of the elites, by cell (n,)."""
        elites, tessellation = self.archive.elites(), self.archive.tessellation
        fields = {name: value.cpu().numpy() for name, value in elites.exclude("solution").items()}
        if len(motions) != len(elites):
            raise ValueError(f"{len(motions)} motions were recorded for {len(elites)} elites")
        spec = tessellation.spec()
        cells: dict[str, Any] = {"kind": spec["kind"]}
        if isinstance(tessellation, CVT):
            cells |= {"centroids": array(spec["centroids"], "float32"), "units": tessellation.units.tolist()}
        else:
            cells |= {"dims": spec["dims"]}
        sides = zip(self.measures, tessellation.low.tolist(), tessellation.high.tolist(), strict=True)
        return {
            "name": self.name,
            "noun": "cell",
            "axes": [{"name": name.replace("_", " "), "low": low, "high": high} for name, low, high in sides],
            "tessellation": cells,
            "cells": self.archive.cells,
            "points": {
                "cell": array(fields["cell"], "int32"),
                "value": array(fields["objective"], "float32"),
                "spread": array(fields["objective_std"], "float32"),
                "measures": array(fields["measures"], "float32"),
                "evaluations": array(fields["evaluations"], "int32"),
            },
            "motions": [motion.data() for motion in motions],
            "history": [{"at": at, "values": array(finite_or_nan(values), "float32")} for at, values in self.frames],
            "curves": {name: {"x": x.tolist(), "y": y.tolist()} for name, (x, y) in self.curves.items()},
        }


def elites_in(run: Path) -> int | None:
    """Count the elites of the archive that the folder of a run, or of an agent in it, holds; None if it holds none."""
    path = run / FOLDER / DESCRIPTION
    try:
        return int(json.loads(path.read_text())["elites"]) if path.exists() else None
    except DAMAGE as error:
        raise ValueError(f"{path} is damaged: {one_line(error)}") from error


def load(run: Path, measures: Sequence[str], told: Run, name: str = "") -> Shown:
    """Read what the folder of a run, or of an agent in it, tells of its archive; `told` are its metrics.

    Raises FileNotFoundError or ValueError, in one line, for what is missing or damaged.
    """
    folder = run / FOLDER
    archive = files.load(folder)
    if len(measures) != archive.measure_dim:
        raise ValueError(f"the archive {folder} has {archive.measure_dim} measures, its run {len(measures)}")
    curves = {title: told.curve(metric) for metric, title in CURVES.items()}
    drawn = {title: found for title, found in curves.items() if len(found[0])}
    return Shown(name, archive, tuple(measures), frames_of(archive, folder), drawn)


def frames_of(archive: Archive, folder: Path) -> list[tuple[int, Tensor]]:
    """Return what an archive held earlier, by its history in the same folder; at most `FRAMES` times, the last is now.

    Without a history, who is there now tells it: each elite came when it was offered.
    """
    if not (folder / history.FILE).exists():
        return arrivals(archive)
    try:
        recorded = history.load(folder)
        chosen = np.unique(np.linspace(0, len(recorded) - 1, FRAMES).round().astype(int)).tolist()
        frames = [(recorded.evaluations[frame], recorded.at(frame)[1]) for frame in chosen]
    except DAMAGE as error:
        raise ValueError(f"{folder / history.FILE} is damaged: {one_line(error)}") from error
    if recorded.cells != archive.cells:
        raise ValueError(f"{folder / history.FILE} is of {recorded.cells} cells, the archive of {archive.cells}")
    return frames


def arrivals(archive: Archive) -> list[tuple[int, Tensor]]:
    """Tell from the elites alone how an archive filled."""
    elites = archive.elites()
    frames = []
    for at in np.unique(np.linspace(0, archive.offered, FRAMES + 1).round().astype(int))[1:].tolist():
        values = torch.full((archive.cells,), -torch.inf)
        there = elites["serial"] < at
        values[elites["cell"][there].cpu()] = elites["objective"][there].float().cpu()
        frames.append((at, values))
    return frames


def finite_or_nan(values: Tensor) -> np.ndarray:
    return torch.where(values.isfinite(), values, torch.nan).numpy()


def summary(shown: Shown, motions: Sequence[Motion]) -> str:
    """Say in a line what a page shows of an archive, and how much of it luck was."""
    archived = shown.archive.elites()["objective"].mean()
    played = np.mean([motion.total for motion in motions])
    return (
        f"{shown.name}: {len(motions)} elites of {shown.archive.cells} cells; "
        f"mean objective {archived:.4g} in the archive, {played:.4g} as played"
    )
