"""Archives on disk, as a JSON file beside tensors (see `agents/runs/tensor_folder.py`), and in the layout of pyribs."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from agents.archive.archive import Archive
from agents.archive.tessellations import Tessellation, from_spec
from agents.runs import tensor_folder
from agents.runs.tensor_folder import DAMAGE, one_line

if TYPE_CHECKING:
    import pandas

FORMAT = 1
DESCRIPTION = "archive.json"


def save(archive: Archive, folder: Path | str) -> None:
    """Write an archive into a folder, in the place of one that may be there. Raises OSError, naming the folder."""
    state = archive.state_dict()
    elites = state.pop("elites")
    try:
        about = {"format": FORMAT, **state, "elites": len(elites["cell"])}
        tensor_folder.save(Path(folder) / DESCRIPTION, about, elites, "elites")
    except OSError as error:
        raise OSError(f"cannot write the archive {folder}: {error.strerror}") from error


def load(folder: Path | str, device: torch.device | str = "cpu") -> Archive:
    """Read an archive onto a device, checking every byte.

    Raises FileNotFoundError or ValueError, naming the file, when a part is missing, damaged or of something else.
    """
    about, elites = tensor_folder.load(Path(folder) / DESCRIPTION, FORMAT, "archive")
    try:
        spec = about["spec"]
        extra = {key: (tuple(shape), getattr(torch, dtype)) for key, (shape, dtype) in spec["extra"].items()}
        archive = Archive(from_spec(spec["tessellation"], device), spec["solution_dim"], extra, spec["outside"])
        archive.load_state_dict({**about, "elites": elites})
    except DAMAGE as error:
        raise ValueError(f"{folder} does not describe one archive: {one_line(error)}") from error
    return archive


def to_numpy(archive: Archive) -> dict[str, np.ndarray]:
    """Return the elites as pyribs' `archive.data()` does: solution, objective, measures, threshold and index.

    Evaluations, standard deviations, serial numbers and extra fields come along. Elites are in the order of cells.
    """
    fields: dict[str, Any] = {name: value.cpu().numpy() for name, value in archive.elites().items()}
    index = fields.pop("cell").astype(np.int32)
    first = {name: fields.pop(name) for name in ("solution", "objective", "measures")}
    return {**first, "threshold": first["objective"].copy(), **fields, "index": index}


def to_pandas(archive: Archive, solutions: bool = True) -> "pandas.DataFrame":
    """Return the elites as pyribs' `archive.data(return_type="pandas")` does: a column for each number of a field.

    `ribs.archives.ArchiveDataFrame(to_pandas(archive))` has pyribs' methods, and its plots take it. Needs pandas.
    solutions: whether to have a column for each of their parameters, of which a policy has many thousands.
    """
    import pandas

    columns: dict[str, np.ndarray] = {}
    for name, value in to_numpy(archive).items():
        if name == "solution" and not solutions:
            continue
        if value.ndim > 2:
            raise ValueError(f"field {name!r} has rows of shape {value.shape[1:]}, which a data frame cannot hold")
        columns |= {name: value} if value.ndim == 1 else {f"{name}_{i}": value[:, i] for i in range(value.shape[1])}
    return pandas.DataFrame(columns)


def from_ribs(
    data: "Mapping[str, ArrayLike] | pandas.DataFrame",
    tessellation: Tessellation,
    outside: Literal["reject", "clip"] = "clip",
) -> Archive:
    """Make an archive of what pyribs' `archive.data()` returned, as a dictionary or as a data frame.

    tessellation: with pyribs' dims, or its centroids and distances that are not `relative`, with its ranges, and its
    type (pyribs' default is float64). Where elites lie is computed anew; raises ValueError when that is not what
    `index` says, so that none is lost or misplaced.
    Evaluations count as one each. Other fields are left behind.
    """
    fields = {name: field(data, name) for name in ("solution", "objective", "measures", "index")}
    index = torch.from_numpy(fields.pop("index").astype(np.int64))
    solution, objective, measures = (torch.from_numpy(value.copy()).to(tessellation.low) for value in fields.values())
    archive = Archive(tessellation, solution.shape[1], outside=outside)
    added = archive.add(solution, objective, measures)
    if misplaced := int(((added.cell.cpu() != index) | ~added.kept.cpu()).sum()):
        raise ValueError(
            f"{misplaced} of {len(index)} elites do not lie where `index` says: pyribs had other dims, centroids or "
            f"ranges, or another type"
        )
    return archive


def field(data: "Mapping[str, Any] | pandas.DataFrame", name: str) -> np.ndarray:
    """Return a field (n, ...), of one column or of several that are numbered."""
    if name in data:
        return np.asarray(data[name])
    columns = [column for column in data if re.fullmatch(rf"{name}_\d+", column)]
    if not columns:
        raise ValueError(f"the elites have no field {name!r}")
    return np.stack([np.asarray(data[column]) for column in columns], 1)
