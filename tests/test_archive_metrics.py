"""The four figures of the 2015 paper, worked by hand, and an archive whose elites were evaluated anew."""

import pytest
import torch

from agents.archive import Archive
from agents.archive.metrics import corrected, paper_metrics
from agents.archive.tessellations import Grid


def archive_of(objectives: list[float], low: float = 0.0) -> Archive:
    """Return an archive of a cell for each objective; NaN leaves one empty."""
    archive = Archive(Grid([len(objectives)], [(low, float(len(objectives)))]), 1)
    places = torch.arange(len(objectives)).unsqueeze(1) + 0.5
    archive.add(torch.zeros(len(objectives), 1), torch.tensor(objectives), places)
    return archive


EMPTY = float("nan")
#                 M(x):    8    4    5    -    2
ONE = archive_of([8.0, 1.0, EMPTY, EMPTY, 2.0])
TWO = archive_of([2.0, 4.0, 5.0, EMPTY, EMPTY])
NONE = archive_of([EMPTY] * 5)


def test_three_runs_in_five_cells() -> None:
    figures = {name: values.tolist() for name, values in paper_metrics([ONE, TWO, NONE]).items()}
    assert figures["global_performance"] == [1.0, 5 / 8, 0.0]
    assert figures["global_reliability"] == pytest.approx([(1 + 1 / 4 + 0 + 1) / 4, (1 / 4 + 1 + 1 + 0) / 4, 0.0])
    assert figures["precision"] == pytest.approx([(1 + 1 / 4 + 1) / 3, (1 / 4 + 1 + 1) / 3, EMPTY], nan_ok=True)
    assert figures["coverage"] == [3 / 4, 3 / 4, 0.0]


def test_one_run_alone_is_its_own_measure() -> None:
    figures = {name: values.tolist() for name, values in paper_metrics([ONE]).items()}
    assert figures == {"global_performance": [1], "global_reliability": [1], "precision": [1], "coverage": [1]}


def test_an_offset_moves_the_origin() -> None:
    figures = paper_metrics([archive_of([-6.0, -9.0]), archive_of([-8.0, -7.0])], offset=-10.0)  # 4, 1 and 2, 3
    assert figures["global_performance"].tolist() == [1.0, 0.75]
    assert figures["global_reliability"].tolist() == pytest.approx([(1 + 1 / 3) / 2, (1 / 2 + 1) / 2])


def test_a_cell_whose_best_is_worth_nothing() -> None:
    figures = paper_metrics([archive_of([0.0, 3.0]), archive_of([EMPTY, 3.0])])
    assert figures["global_reliability"].tolist() == [1.0, 0.5]


def test_what_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match=r"offset of 1\.5 leaves a negative performance; take at most 1"):
        paper_metrics([ONE, TWO], offset=1.5)
    with pytest.raises(ValueError, match="only if they have the same cells"):
        paper_metrics([ONE, archive_of([1.0] * 5, low=-0.5)])


def test_a_corrected_archive_meets_what_lies_outside_as_its_original_does() -> None:
    archive = Archive(Grid((3,), ((0.0, 3.0),)), 1, outside="clip")
    archive.add(torch.ones(1, 1), torch.ones(1), torch.tensor([[0.5]]))
    again = corrected(archive, archive.elites(), torch.ones(1), torch.tensor([[9.0]]))
    assert again.occupied.tolist() == [False, False, True]
