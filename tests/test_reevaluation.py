"""Elites that are evaluated again: moments, moves, figures, drawing."""

import statistics
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.archive import NEW, REJECTED, Archive
from agents.archive.metrics import corrected
from agents.archive.tessellations import Grid
from agents.map_elites.reevaluation import Reevaluation

F64 = torch.float64


def line(cells: int = 5, outside: Any = "reject") -> Archive:
    """Return an archive of solutions (2,) whose cells are [0, 1), [1, 2), ..."""
    return Archive(Grid([cells], [(0.0, float(cells))], dtype=F64), 2, outside=outside)


def fill(archive: Archive, objectives: list[float], places: list[float]) -> None:
    """Add solutions (i, -i) one by one."""
    for i, (objective, place) in enumerate(zip(objectives, places, strict=True)):
        archive.add(torch.tensor([[i, -i]], dtype=F64), vector(objective), vector(place).unsqueeze(1))


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=F64)


def column(*values: float) -> Tensor:
    return vector(*values).unsqueeze(1)


def test_mean_and_spread_of_three_evaluations() -> None:
    archive = line()
    fill(archive, [7.0], [2.5])
    elites = archive.elites()
    assert elites["objective_std"].isnan().all() and elites["measures_std"].isnan().all()
    known = archive.reevaluate(elites, vector(1.0), column(2.0)).known
    again = archive.reevaluate(elites, vector(1.0), column(2.7))
    assert known.tolist() == again.known.tolist() == [True] and again.cell.tolist() == [2]
    elite = archive.elites()
    assert elite["evaluations"].tolist() == [3]
    assert elite["objective"].item() == pytest.approx(3.0)  # of 7, 1, 1
    assert elite["objective_std"].item() == pytest.approx(12**0.5)  # (16 + 4 + 4) / 2
    assert elite["measures"].item() == pytest.approx(2.4)  # of 2.5, 2, 2.7
    assert elite["measures_std"].item() == pytest.approx(0.13**0.5)  # (.01 + .16 + .09) / 2


def test_an_elite_whose_mean_falls_stays() -> None:
    archive = line()
    fill(archive, [5.0, 9.0], [2.5, 2.5])  # 9 beats 5, which is forgotten
    assert archive.reevaluate(archive.elites(), vector(-11.0), column(2.5)).cell.tolist() == [2]
    elite = archive.elites()
    assert (elite["objective"].item(), elite["solution"].tolist()) == (-1.0, [[1.0, -1.0]])
    # and from then on every solution above the mean replaces it
    added = archive.add(torch.zeros(2, 2, dtype=F64), vector(-2.0, -0.5), column(2.1, 2.9))
    assert added.status.tolist() == [REJECTED, 1] and added.kept.tolist() == [False, True]
    assert archive.elites()["evaluations"].tolist() == [1]


def test_an_elite_moves_where_its_mean_measures_lie() -> None:
    archive = line()
    fill(archive, [3.0, 4.0, 6.0], [0.5, 1.5, 3.5])
    # 0 goes to the empty cell 2; 1 to cell 3, whose elite is better; 2 stays
    result = archive.reevaluate(archive.elites(), vector(5.0, 4.0, 6.0), column(3.7, 5.0, 3.7))
    assert result.cell.tolist() == [2, 5, 3] and result.known.all()
    elites = archive.elites()
    assert elites["cell"].tolist() == [2, 3]
    assert elites["solution"][:, 0].tolist() == [0.0, 2.0]
    assert (elites["objective"].tolist(), elites["evaluations"].tolist()) == ([4.0, 6.0], [2, 2])
    assert elites["measures"].squeeze(1).tolist() == pytest.approx([2.1, 3.6])
    # the elite that moved is found again, with its moments
    archive.reevaluate(archive.elites()[:1], vector(10.0), column(2.1))
    assert archive.elites()["objective"].tolist() == [6.0, 6.0]  # of 3, 5, 10


def test_an_elite_that_moves_drives_out_a_worse_one() -> None:
    archive = line()
    fill(archive, [8.0, 4.0], [0.5, 1.5])
    result = archive.reevaluate(archive.elites(), vector(8.0, 4.0), column(1.9, 1.5))  # to 1.2
    assert result.cell.tolist() == [1, 5]  # the one that stayed is gone
    assert archive.elites()["solution"].tolist() == [[0.0, 0.0]]
    assert archive.occupied.tolist() == [False, True, False, False, False]


def test_an_elite_is_not_found_where_it_was() -> None:
    archive = line()
    fill(archive, [3.0], [0.5])
    drawn = archive.elites()
    assert archive.reevaluate(drawn, vector(3.0), column(2.0)).cell.tolist() == [1]
    assert archive.reevaluate(drawn, vector(3.0), column(0.5)).known.tolist() == [False]
    assert archive.occupied.tolist() == [False, True, False, False, False]
    # and the cell of nobody, to which nothing may go, is as it was
    added = archive.add(torch.zeros(2, 2, dtype=F64), vector(torch.nan, 9.0), column(0.5, 7.0))
    assert added.status.tolist() == [REJECTED, REJECTED] and not added.kept.any()


def test_two_elites_exchange_their_cells() -> None:
    archive = line()
    fill(archive, [1.0, 2.0], [0.5, 1.5])
    assert archive.reevaluate(archive.elites(), vector(1.0, 2.0), column(2.5, 0.1)).cell.tolist() == [1, 0]
    assert archive.elites()["solution"][:, 0].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(("outside", "cells"), [("reject", []), ("clip", [4])])
def test_a_mean_outside_the_ranges(outside: str, cells: list[int]) -> None:
    archive = line(outside=outside)
    fill(archive, [1.0], [4.5])
    assert archive.reevaluate(archive.elites(), vector(1.0), column(9.5)).cell.tolist() == (cells or [5])
    assert archive.elites()["cell"].tolist() == cells


def test_results_that_are_passed_over() -> None:
    archive = line()
    fill(archive, [3.0, 4.0], [0.5, 1.5])
    drawn = archive.elites()
    fill(archive, [5.0], [0.5])  # in the place of the first
    result = archive.reevaluate(drawn[[0, 1, 1]], vector(9.0, torch.nan, 6.0), column(0.5, 1.5, torch.inf))
    assert result.known.tolist() == [False] * 3 and result.cell.tolist() == [5] * 3
    nobody = line().sample(3, torch.Generator().manual_seed(0))
    assert nobody["cell"].tolist() == [5] * 3
    assert not archive.reevaluate(nobody, vector(9.0, 9.0, 9.0), column(0.5, 0.5, 0.5)).known.any()
    assert archive.elites()["objective"].tolist() == [5.0, 4.0]
    assert archive.elites()["evaluations"].tolist() == [1, 1]


Evaluations = list[tuple[float, float]]  # objective, measure


def replay_plainly(
    cells: dict[int, tuple[int, Evaluations]], drawn: list[tuple[int, int]], results: list[Evaluations]
) -> dict[int, tuple[int, Evaluations]]:
    """Take in results of elites (cell, serial): the rules of `reevaluate`, on lists of evaluations."""
    held = {(cell, serial): list(evaluations) for cell, (serial, evaluations) in cells.items()}
    for key, result in zip(drawn, results, strict=True):
        if key in held:
            held[key] += result
    order = list(dict.fromkeys(key for key in drawn if key in held))
    left = {key: statistics.fmean(m for _, m in held[key]) for key in order}
    moving = [key for key in order if int(left[key]) != key[0]]
    after = {cell: (serial, e) for (cell, serial), e in held.items() if (cell, serial) not in moving}
    for key in moving:
        there, elite = int(left[key]), (key[1], held[key])
        if there not in after or mean_of(elite) > mean_of(after[there]):
            after[there] = elite
    return after


def mean_of(elite: tuple[int, Evaluations]) -> float:
    return statistics.fmean(objective for objective, _ in elite[1])


@settings(deadline=None, max_examples=200)
@given(seed=st.integers(0, 2**32 - 1), rounds=st.integers(1, 5), times=st.integers(1, 3))
def test_it_is_lists_of_evaluations(seed: int, rounds: int, times: int) -> None:
    rng, archive = np.random.default_rng(seed), line(5)
    cells: dict[int, tuple[int, Evaluations]] = {}
    for _ in range(rounds):
        objective, place = rng.normal(size=7), rng.uniform(0, 5, 7)
        serial = archive.offered
        archive.add(torch.zeros(7, 2, dtype=F64), torch.from_numpy(objective), torch.from_numpy(place).unsqueeze(1))
        for i, outcome in enumerate(zip(objective.tolist(), place.tolist(), strict=True)):
            if int(place[i]) not in cells or objective[i] > mean_of(cells[int(place[i])]):
                cells[int(place[i])] = (serial + i, [outcome])
        elites = archive.sample(11, torch.Generator().manual_seed(seed % 1000))  # several rows for one elite
        objective = rng.normal(size=(11, times))
        place = (elites["measures"].numpy() + rng.normal(size=(11, times))).clip(0, 4.99)
        result = archive.reevaluate(elites, torch.from_numpy(objective), torch.from_numpy(place).unsqueeze(-1))
        drawn = list(zip(elites["cell"].tolist(), elites["serial"].tolist(), strict=True))
        results = [list(zip(*pair, strict=True)) for pair in zip(objective.tolist(), place.tolist(), strict=True)]
        cells = replay_plainly(cells, drawn, results)
        now = {serial: cell for cell, (serial, _) in cells.items()}
        assert result.cell.tolist() == [now.get(serial, 5) for _, serial in drawn]
    elites = archive.elites()
    expected = [cells[cell] for cell in sorted(cells)]
    assert elites["cell"].tolist() == sorted(cells)
    assert elites["serial"].tolist() == [serial for serial, _ in expected]
    assert elites["evaluations"].tolist() == [len(e) for _, e in expected]
    for i, name in enumerate(("objective", "measures")):
        columns = [[outcome[i] for outcome in e] for _, e in expected]
        std = [statistics.stdev(values) if len(values) > 1 else float("nan") for values in columns]
        assert elites[name].flatten().tolist() == pytest.approx([statistics.fmean(values) for values in columns])
        assert elites[f"{name}_std"].flatten().tolist() == pytest.approx(std, nan_ok=True, abs=1e-7)


def test_rows_that_come_with_several_evaluations() -> None:
    archive = line()
    objective = torch.tensor([[1.0, 4.0, 7.0], [5.0, 5.0, 5.0], [9.0, torch.nan, 9.0]], dtype=F64)  # (B, K)
    measures = torch.tensor([[0.0, 1.0, 0.5], [0.9, 0.9, 0.9], [2.0, 2.0, 2.0]], dtype=F64).unsqueeze(-1)  # (B, K, M)
    added = archive.add(torch.eye(3, 2, dtype=F64), objective, measures)
    assert added.status.tolist() == [NEW, NEW, REJECTED] and added.kept.tolist() == [False, True, False]
    added = archive.add(torch.eye(1, 2, dtype=F64), objective[:1] + 3, measures[:1])
    elite = archive.elites()
    assert (elite["objective"].item(), elite["objective_std"].item()) == (7.0, 3.0)
    assert (elite["measures"].item(), elite["measures_std"].item(), elite["evaluations"].item()) == (0.5, 0.5, 3)


def test_every_elite_is_drawn_as_often() -> None:
    archive = line(11)
    fill(archive, [1.0] * 4, [0.5, 3.5, 4.5, 10.5])
    drawn = archive.sample(40_000, torch.Generator().manual_seed(7))
    counts = torch.bincount(drawn["cell"], minlength=11)
    assert counts[[0, 3, 4, 10]].sum() == 40_000
    assert ((counts[[0, 3, 4, 10]] - 10_000).abs() < 5 * 10_000**0.5).all()
    assert drawn["solution"][:, 0].tolist() == [[0, 3, 4, 10].index(cell) for cell in drawn["cell"].tolist()]
    again = archive.sample(40_000, torch.Generator().manual_seed(7))
    assert torch.equal(drawn["cell"], again["cell"])


def test_the_least_evaluated_come_first_and_each_gets_its_turn() -> None:
    archive = line()
    fill(archive, [1.0, 1.0, 1.0], [0.5, 2.5, 4.5])
    turns = []
    for _ in range(3):
        elites = archive.least_evaluated(2)
        turns.append(elites["cell"].tolist())
        archive.reevaluate(elites, vector(1.0, 1.0), elites["measures"])
    assert turns == [[0, 2], [4, 0], [2, 4]]
    assert archive.least_evaluated(7)["cell"].tolist() == [0, 2, 4, 5, 5]


def test_the_oldest_come_first_while_others_arrive() -> None:
    """After every turn better solutions arrive in the cells 0 and 1; those in the others still get theirs."""
    archive = line()
    fill(archive, [1.0] * 5, [4.5, 3.5, 2.5, 1.5, 0.5])
    turns = []
    for turn in range(3):
        elites = archive.least_evaluated(2)
        turns.append(elites["cell"].tolist())
        archive.reevaluate(elites, elites["objective"], elites["measures"])
        fill(archive, [2.0 + turn] * 2, [0.5, 1.5])
        again = line()
        again.load_state_dict(archive.state_dict())
        assert again.least_evaluated(5)["cell"].tolist() == archive.least_evaluated(5)["cell"].tolist()
    assert turns == [[4, 3], [2, 0], [0, 1]]  # in the last one all others were evaluated twice


def test_a_share_of_what_is_played_is_elites() -> None:
    """Three in ten: what falls due while there are no elites is not owed later, but parts of one add up."""
    archive = line()
    again = Reevaluation(archive, 0.3)
    nobody = torch.full((1,), 5)
    assert [len(again.draw(count, nobody)) for count in (10, 5)] == [0, 0]  # 3, and 1 of 1.5
    fill(archive, [1.0] * 5, [0.5, 1.5, 2.5, 3.5, 4.5])
    assert [len(again.draw(count, nobody)) for count in (5, 5, 5, 100, 5)] == [
        2,
        1,
        2,
        5,
        1,
    ]  # 5 of 30, and 25 forgotten
    assert again.draw(10, nobody)["cell"].tolist() == [0, 1, 2] and again.state_dict() == {"credit": 0.5}


def test_who_plays_again_now_is_not_drawn_once_more() -> None:
    archive = line()
    fill(archive, [1.0] * 3, [0.5, 2.5, 4.5])
    assert archive.least_evaluated(5, torch.tensor([2, 5]))["cell"].tolist() == [0, 4, 5, 5, 5]
    again, playing = Reevaluation(archive, 0.5), torch.full((4,), 5)
    for expected in ([0], [2], [4], [], []):
        drawn = again.draw(2, playing)["cell"]
        assert drawn.tolist() == expected
        playing = torch.cat([playing, drawn])
    assert again.draw(2, playing[:-1])["cell"].tolist() == [4]


def test_figures_are_of_means_and_of_the_elites_that_are_there() -> None:
    archive = line(8)
    assert {name: value.item() for name, value in archive.stats().items() if not value.isnan()} == {
        "elites": 0, "coverage": 0, "qd_score": 0, "norm_qd_score": 0, "not_finite": 0, "outside": 0
    }  # fmt: skip
    fill(archive, [3.0, 5.0, -1.0, torch.nan, 2.0], [0.5, 1.5, 2.5, 3.5, 9.0])
    archive.reevaluate(archive.elites(), vector(1.0, 5.0, -1.0), column(0.5, 1.5, 1.5))  # to 0, 1 and, at 2.0, to 2
    stats = {name: value.item() for name, value in archive.stats(offset=-2.0).items()}
    assert stats == {
        "elites": 3, "coverage": 3 / 8, "qd_score": 12.0, "norm_qd_score": 1.5, "objective_max": 5.0,
        "objective_mean": 2.0, "evaluations_mean": 2.0, "reevaluated": 1.0, "not_finite": 1, "outside": 1
    }  # fmt: skip


def test_a_corrected_archive_forgets_the_luck() -> None:
    """Of 200 equal solutions with unit noise the archive keeps the luckiest; evaluated anew it is one of them."""
    rng, archive = np.random.default_rng(0), line(5)
    for _ in range(200):
        archive.add(torch.zeros(5, 2, dtype=F64), torch.from_numpy(rng.normal(size=5)), column(0.5, 1.5, 2.5, 3.5, 4.5))
    assert archive.stats()["objective_mean"] > 2
    fresh = torch.from_numpy(rng.normal(size=(5, 100)))
    elites = archive.elites()
    places = elites["measures"].unsqueeze(1).expand(5, 100, 1)
    honest = corrected(archive, elites, fresh, places)
    assert honest.stats()["objective_mean"] == pytest.approx(fresh.mean().item())
    assert honest.stats()["evaluations_mean"] == 100
    assert corrected(archive, elites, fresh, places * 0).stats()["elites"] == 1  # all five in one cell
