"""Archive of MAP-Elites (arXiv 1504.04909): the best solution that was found for each cell of a tessellation.

An evaluation of one solution gives an objective and M measures, and both may be noisy. So an elite carries how often it
was evaluated, and the mean and the spread of what came out; it stands where its means say. Tensors live on one device,
and neither `add` nor `sample` makes the host wait for it. Cells count from 0; the number C is no cell.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.archive import contest
from agents.archive.elites import Elites, Extra
from agents.archive.tessellations import Tessellation

NEW, IMPROVED, REJECTED = 2, 1, 0  # pyribs' numbers


class Added(NamedTuple):
    """What became of the rows (B,) of an `add`.

    cell    int64, where the measures lie; C for rows that are not finite or lie outside
    status  int64, NEW, IMPROVED or REJECTED, against the archive as it was before the batch (as in pyribs)
    kept    bool, whether the row is the cell's elite after the batch
    """

    cell: Tensor
    status: Tensor
    kept: Tensor


class Reevaluated(NamedTuple):
    """What became of the rows (B,) of a `reevaluate`.

    cell   int64, where the elite is now; C if it is in the archive no more
    known  bool, whether the result was taken in: the elite was still where it was drawn, the result finite
    """

    cell: Tensor
    known: Tensor


class Archive:
    """Keep one elite in each of C cells; larger objectives are better."""

    def __init__(
        self,
        tessellation: Tessellation,
        solution_dim: int,
        extra: Extra | None = None,
        outside: Literal["reject", "clip"] = "reject",
    ) -> None:
        """Make an empty archive of solutions (P,), on the tessellation's device and of its type.

        extra: further fields of an elite, e.g. which emitter made it.
        outside: what happens to measures outside the ranges. "clip" puts them into the nearest cell, as pyribs does.
        Both count them (our choice).
        """
        if outside not in ("reject", "clip"):
            raise ValueError(f"measures outside the ranges can be met with 'reject' or 'clip', not {outside!r}")
        low, high = tessellation.low, tessellation.high
        self.tessellation, self.solution_dim, self.outside = tessellation, solution_dim, outside
        self.cells, self.measure_dim, self.device, self.dtype = tessellation.cells, len(low), low.device, low.dtype
        self.extra = dict(extra or {})
        self._elites = Elites(self.cells, solution_dim, self.measure_dim, self.extra, self.device, self.dtype)
        largest = torch.full_like(low[:1], torch.finfo(self.dtype).max)
        self._low, self._high = torch.cat([-largest, low]), torch.cat([largest, high])  # (1+M,)
        self._no_cell = torch.tensor(self.cells, device=self.device)
        self._rules = contest.IN_NUMPY if self.device.type == "cpu" else contest.IN_TORCH
        self._never = torch.tensor(torch.iinfo(torch.int64).max, device=self.device)
        self.offered = 0  # rows
        self._finite: int | Tensor = 0  # of these; a tensor where the host does not know
        self._inside: int | Tensor = 0

    @property
    def occupied(self) -> Tensor:
        """Which cells hold an elite (C,)."""
        return self._elites.evaluations[:-1] > 0

    @property
    def objective(self) -> Tensor:
        """Mean objective of the elite in each cell (C,), -inf where there is none."""
        return self._elites.objective[:-1]

    @property
    def serial(self) -> Tensor:
        """Which of the rows offered the elite in each cell was (C,) int64, from 0; -1 where there is none."""
        return self._elites.serial[:-1].where(self.occupied, -1)

    def add(self, solution: Tensor, objective: Tensor, measures: Tensor, **extra: Tensor) -> Added:
        """Offer solutions (B, P) with what their evaluation gave: objective (B,) and measures (B, M).

        Leaves what offering the rows one by one, in order, leaves: a row enters a cell that is empty or whose elite has
        a lower mean objective. So of several rows for one cell the best stays, of equals the one that was there or came
        first, and all fields of an elite come from one row. A row whose objective or measures hold a NaN or an infinity
        is rejected and counted, and does not touch the others; so is, unless `outside` says "clip", a row whose
        measures lie outside the ranges, whose edges are inside. Solutions are not read for this.

        Rows that were evaluated K times come with objective (B, K) and measures (B, K, M); all rows compare by means.
        """
        count = len(objective)  # B
        assert solution.shape == (count, self.solution_dim), (solution.shape, objective.shape)
        assert extra.keys() == self.extra.keys(), (sorted(extra), sorted(self.extra))
        outcome = self._outcomes(objective, measures)  # (B, 1+M) or (B, K, 1+M)
        serial = torch.arange(self.offered, self.offered + count, device=self.device)  # (B,)
        rows, same = {"solution": solution.detach(), "serial": serial, "mean": outcome}, {"evaluations": 1}
        rows |= {name: value.detach() for name, value in extra.items()}
        if outcome.dim() == 2:
            same["squares"] = 0
        else:
            rows["mean"], same["evaluations"] = outcome.mean(1), outcome.shape[1]  # (B, 1+M), K
            rows["squares"] = (outcome - rows["mean"].unsqueeze(1)).square().sum(1)  # (B, 1+M)
        self.offered += count
        cell, finite, inside = self._locate(rows["mean"])
        self._finite += self._rules.total(finite)
        self._inside += self._rules.total(inside)
        return self._insert(rows, same, cell)

    @torch.no_grad()
    def would_keep(self, objective: Tensor, measures: Tensor) -> Tensor:
        """Say which rows (B,) with objective (B,) and measures (B, M) would enter if each were offered alone."""
        mean = self._outcomes(objective, measures)  # (B, 1+M)
        return mean[:, 0] > self._elites.objective.index_select(0, self._locate(mean)[0])

    def _outcomes(self, objective: Tensor, measures: Tensor) -> Tensor:
        """Put objective (...,) and measures (..., M) beside each other: (..., 1+M).

        Each column is contiguous: what compares and sums rows of few numbers is then several times faster.
        """
        assert measures.shape == (*objective.shape, self.measure_dim), (measures.shape, objective.shape)
        return torch.stack([objective, *measures.unbind(-1)]).to(self.dtype).detach().movedim(0, -1)

    def _locate(self, mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the cells of outcomes (B, 1+M), and which are finite, and which of these inside: all (B,)."""
        finite, inside = self._rules.check(mean, self._low, self._high)
        cell = self.tessellation.locate(mean[:, 1:])
        return cell.where(finite if self.outside == "clip" else inside, self._no_cell), finite, inside

    def _insert(self, rows: Mapping[str, Tensor], same: Mapping[str, int], cell: Tensor) -> Added:
        """Let rows (B, ...) compete for their cells (B,); C is for rows that do not."""
        objective = rows["mean"][:, 0]
        status, kept = self._rules.contest(self._elites.objective, cell, objective, rows["serial"])
        self._elites.write(rows, same, kept, cell)
        return Added(cell, status, kept)

    @torch.no_grad()
    def reevaluate(self, elites: TensorDict, objective: Tensor, measures: Tensor) -> Reevaluated:
        """Take in what further evaluations of elites (B,) gave: objective (B,) or (B, K), measures (B, M) or (B, K, M).

        All results of a call are taken in first; several rows may be for one elite. Then, our choices:
        - An elite whose mean objective falls stays: the solutions that it beat are forgotten.
        - An elite whose mean measures lie in another cell leaves its own, which is then empty, and competes for the
          other as in `add`. It is lost if it does not win there, or if its mean lies outside the ranges.
        - A result is passed over if the elite is no longer where it was drawn, or if it is not finite.
        """
        outcomes = self._outcomes(objective, measures)
        outcomes = outcomes.unsqueeze(1) if outcomes.dim() == 2 else outcomes  # (B, K, 1+M)
        cell, serial = elites["cell"], elites["serial"]
        known = self._elites.holds(cell, serial) & outcomes.isfinite().flatten(1).all(1)  # (B,)
        here = cell.where(known, self._no_cell)
        self._elites.merge(here, outcomes)
        rows = self._elites.rows(here)  # (B, ...)
        there, _, _ = self._locate(rows["mean"])
        moves = known & (there != here)  # rows for one elite are equal by now
        self._elites.leave(here.where(moves, self._no_cell))
        self._insert(rows, {}, there.where(moves, self._no_cell))
        now = there.where(known, self._no_cell)
        return Reevaluated(now.where(self._elites.holds(now, serial), self._no_cell), known)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator) -> TensorDict:
        """Draw elites (count,) with replacement, every occupied cell equally likely.

        generator: on the archive's device. Rows drawn from an empty archive have cell C, and nothing else to say.
        """
        rank = self.occupied.cumsum(0)  # (C,) elites up to each cell
        draw = torch.rand(count, dtype=torch.float64, device=self.device, generator=generator) * rank[-1]
        return self._elites.read(torch.searchsorted(rank, draw.long() + 1))

    @torch.no_grad()
    def least_evaluated(self, count: int, but: Tensor | None = None) -> TensorDict:
        """Return elites (count,) that were evaluated least; cell C where there are no more. At most C rows.

        but: cells (k,) whose elites are left out; C for none.

        Of equals those that were offered first come first: to re-evaluate these again and again gives every elite its
        turn, whatever its cell, also while new ones arrive.
        """
        turn = self._elites.evaluations * self.offered + self._elites.serial  # (C+1,) serial < offered
        there = self._elites.evaluations > 0  # (C+1,)
        there = there if but is None else there.index_fill(0, but, False)
        order = turn[:-1].where(there[:-1], self._never).argsort(stable=True)[:count]
        return self._elites.read(order.where(there[order], self._no_cell))

    def best(self) -> TensorDict:
        """Return the elite (1,) with the highest mean objective, in the lowest cell of equals; cell C if none is."""
        cell = self.objective.argmax(0, keepdim=True)  # (1,)
        return self._elites.read(cell.where(self.occupied[cell], self._no_cell))

    def elites(self) -> TensorDict:
        """Return all elites, by cell. Makes the host wait, to know how many there are."""
        return self._elites.read(self.occupied.nonzero().squeeze(1))

    def stats(self, offset: float = 0.0) -> dict[str, Tensor]:
        """Return figures of the elites' means, as 0-dim tensors; computed anew, so that nothing is counted twice.

        offset: subtracted from each objective in the QD score, as in pyribs: the lowest objective that there can be.
        Maximum and means of an empty archive are NaN. A mean holds the lucky evaluation by which its elite came in: the
        figures for a report are those of `archive.metrics.corrected`.
        """
        occupied, evaluations = self.occupied, self._elites.evaluations[:-1]
        elites = occupied.sum()
        objective = self.objective.where(occupied, 0).sum()
        score = objective - elites * offset
        return {
            "elites": elites,
            "coverage": elites / self.cells,
            "qd_score": score,
            "norm_qd_score": score / self.cells,
            "objective_max": self.objective.amax().where(elites > 0, torch.nan),
            "objective_mean": objective / elites,
            "evaluations_mean": evaluations.sum() / elites,
            "reevaluated": (evaluations > 1).sum() / elites,
            "not_finite": torch.as_tensor(self.offered - self._finite, device=self.device),
            "outside": torch.as_tensor(self._finite - self._inside, device=self.device),
        }

    def spec(self) -> dict[str, Any]:
        """Return what the archive is made of, in types that JSON has."""
        extra = {name: [list(shape), str(dtype).removeprefix("torch.")] for name, (shape, dtype) in self.extra.items()}
        settings = {"solution_dim": self.solution_dim, "extra": extra, "outside": self.outside}
        return {"tessellation": self.tessellation.spec(), **settings}

    def state_dict(self) -> dict[str, Any]:
        """Return what the archive is made of, its elites and its counters."""
        counters = {"offered": self.offered, "finite": int(self._finite), "inside": int(self._inside)}
        return {"spec": self.spec(), "elites": self._elites.state_dict(), **counters}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Hold exactly what an archive of the same making held; raise ValueError for another."""
        ours = self.spec()
        if other := [name for name, value in state_dict["spec"].items() if value != ours[name]]:
            raise ValueError(f"the saved archive has another {' and another '.join(other)} than this one")
        self._elites.load_state_dict(state_dict["elites"])
        self.offered, self._finite, self._inside = (state_dict[name] for name in ("offered", "finite", "inside"))
