"""The loop of MAP-Elites (arXiv 1504.04909) as something that acts: play, judge, keep, choose, vary, play.

Each environment plays one solution for a whole episode. When the episode ends, its return and its measures are offered
to the archive, or taken in if an elite was played again; with the next first row comes the next solution. So
environments whose episodes end at different times need not wait for each other, and where they end together a round of
them is a generation of N.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from agents import archive_io, history, outcomes
from agents.archive import Archive
from agents.archive_config import ArchiveConfig
from agents.elites import Extra
from agents.emitters import Emitted, Emitting
from agents.evaluation import Environments
from agents.history import History
from agents.reevaluation import Reevaluation, figures, reported
from agents.solutions import Kind

EXTRA: Extra = {"emitter": ((), torch.int64)}  # of an elite: which emitter made it
FOLDER = "archive"  # in a run's folder
Notice = Callable[[TensorDict, Tensor, Tensor], None]
"""Is told of episodes (n,) that ended: what played, as `initial_carry` has it, its returns (n,), measures (n, M)."""


class Illumination:
    """Fill an archive with what emitters make, one solution an environment and episode."""

    def __init__(
        self,
        kind: Kind,
        archive: Archive,
        emitters: Emitting,
        config: ArchiveConfig,
        notice: Notice = lambda playing, objective, measures: None,
    ) -> None:
        """Episodes are numbered from 1, whatever they play."""
        self.kind, self.archive, self.emitters, self.notice = kind, archive, emitters, notice
        self.reevaluation = Reevaluation(archive, config.reevaluate)
        self.frames = History(archive.cells, config.history_every)
        self.episodes = 0  # that were begun
        self._metrics: dict[str, Tensor] | None = None  # none after something has changed

    def initial_carry(self, num_envs: int) -> TensorDict:
        """Return what is known of each environment's episode (N,) before any has begun."""
        device, cells = self.archive.device, self.archive.cells
        number = torch.zeros(num_envs, dtype=torch.int64, device=device)
        playing = {
            "solution": torch.zeros(num_envs, self.archive.solution_dim, device=device),  # (N, P)
            "target": torch.full((num_envs, self.archive.measure_dim), torch.inf, device=device),  # (N, M)
            "emitter": number.clone(),
            "cell": torch.full_like(number, cells),  # of the elite that is played again; C for a new solution
            "serial": number.clone(),
            "episode": number,
        }
        return TensorDict({**playing, **outcomes.nothing_yet(num_envs, device)}, batch_size=[num_envs], device=device)

    @torch.no_grad()
    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,): every row by its solution, or all by the best elite. Asks the device who begins."""
        carry = carry.clone(recurse=False).update(outcomes.follow(timestep, carry))
        if not explore:
            best = self.archive.best()["solution"].expand(len(carry), -1)  # (N, P)
            return self._answer(best, timestep, carry), carry
        if timestep["is_last"].any():
            self._judge(timestep, carry)
        if timestep["is_first"].any():
            self._begin(timestep["is_first"].nonzero().squeeze(1), carry)
        return self._answer(carry["solution"], timestep, carry), carry

    def _answer(self, solutions: Tensor, timestep: TensorDict, carry: TensorDict) -> TensorDict:
        action = self.kind.act(solutions, timestep["state"], carry["age"])  # (N, A)
        return TensorDict({"action": action}, batch_size=[len(action)], device=action.device)

    def _judge(self, timestep: TensorDict, carry: TensorDict) -> None:
        """Tell the archive what became of the episodes that end here."""
        rows, objective, measures = outcomes.ended(timestep, carry)  # (n,), (n,), (n, M)
        playing = carry[rows]
        self.notice(playing, objective, measures)
        new = playing["cell"] == self.archive.cells  # (n,)
        if new.any():
            fresh = playing[new]
            added = self.archive.add(fresh["solution"], objective[new], measures[new], emitter=fresh["emitter"])
            self.emitters.evaluated(fresh["emitter"], added.kept)
        if not new.all():
            self.archive.reevaluate(playing[~new], objective[~new], measures[~new])
        self.frames.record(self.archive)
        self._metrics = None

    def _begin(self, rows: Tensor, carry: TensorDict) -> None:
        """Give the episodes that begin in rows (n,) what they play: elites again, and new solutions."""
        again = self.reevaluation.draw(len(rows))  # (k,)
        made, emitter = self._make(len(rows) - len(again))
        count, device = len(rows) - len(again), rows.device
        none = torch.full((len(again), made.target.shape[1]), torch.inf, device=device)
        numbers = torch.arange(self.episodes + 1, self.episodes + 1 + len(rows), device=device)
        self.episodes += len(rows)
        given = {
            "solution": torch.cat([again["solution"], made.solution]),
            "target": torch.cat([none, made.target]),
            "emitter": torch.cat([again["emitter"], emitter]),
            "cell": torch.cat([again["cell"], torch.full((count,), self.archive.cells, device=device)]),
            "serial": torch.cat([again["serial"], torch.zeros(count, dtype=torch.int64, device=device)]),
            "episode": numbers,
        }
        for key, value in given.items():
            carry[key] = carry[key].index_copy(0, rows, value)

    def _make(self, count: int) -> tuple[Emitted, Tensor]:
        if count:
            return self.emitters.emit(count)
        device, dims = self.archive.device, (self.archive.solution_dim, self.archive.measure_dim)
        nothing = Emitted(*(torch.zeros(0, dim, device=device) for dim in dims))
        return nothing, torch.zeros(0, dtype=torch.int64, device=device)

    def metrics(self) -> dict[str, Tensor]:
        """Return the archive's figures and the emitters'."""
        if self._metrics is None:
            stats = self.archive.stats()
            extra = ("elites", "evaluations_mean", "reevaluated", "not_finite", "outside")
            self._metrics = figures(self.archive, "archive") | {
                f"archive/{name}": torch.nan_to_num(stats[name].float()) for name in extra
            }
            self._metrics |= self.emitters.metrics()
        return self._metrics

    def assess(self, envs: Environments) -> dict[str, Tensor]:
        """Play every elite for one fresh episode; return the figures of the archive that this gives."""
        return figures(reported(self.archive, self.kind, envs), "reevaluated")

    def export(self, folder: Path) -> None:
        """Write the archive and its history into a run's folder."""
        archive_io.save(self.archive, folder / FOLDER)
        history.save(self.frames, self.archive, folder / FOLDER)

    def state_dict(self) -> dict[str, Any]:
        """Return archive, history, and what is owed to whom."""
        return {
            "archive": self.archive.state_dict(),
            "emitters": self.emitters.state_dict(),
            "reevaluation": self.reevaluation.state_dict(),
            "frames": self.frames.state_dict(),
            "episodes": self.episodes,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.archive.load_state_dict(state_dict["archive"])
        self.emitters.load_state_dict(state_dict["emitters"])
        self.reevaluation.load_state_dict(state_dict["reevaluation"])
        self.frames.load_state_dict(state_dict["frames"])
        self.episodes = state_dict["episodes"]
        self._metrics = None
