"""MAP-Elites (arXiv 1504.04909): random solutions first, then variations of elites, the better one in each cell.

Each environment plays one solution for a whole episode. When the episode ends, its return and its measures are offered
to the archive, or taken in if an elite was played again; with the next first row comes the next solution. So
environments whose episodes end at different times need not wait for each other, and where they end together a round of
them is a generation of N. What is played, how offspring are made and what is learned besides are parts of the agent:
`pga_map_elites` and its neighbours put others together.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.archive import files, history
from agents.archive.config import ArchiveConfig
from agents.archive.history import History
from agents.evaluation import Environments
from agents.generators import go_on
from agents.map_elites import outcomes
from agents.map_elites.emitters import Emitted, Emitters, Emitting
from agents.map_elites.reevaluation import Reevaluation, figures, reported
from agents.map_elites.solutions import perceptrons_of
from agents.map_elites.variation import AnyKind, Genetic, VariationConfig, genetic_of
from agents.replay import ReplayBuffer
from agents.spaces import Spaces

FOLDER = "archive"  # in a run's folder
PARTS = ("kind", "archive", "emitters", "reevaluation", "frames")  # of the agent, that have a state


@dataclass(frozen=True)
class MapElitesConfig:
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    variation: VariationConfig = field(default_factory=VariationConfig)
    hidden: tuple[int, ...] = (128, 128)
    """Hidden units of each layer of a policy."""


class Learner(Protocol):
    """What learns beside the archive, so that emitters make better solutions."""

    def see(self, timestep: TensorDict, carry: TensorDict) -> None:
        """Look at a timestep (N,) in which episodes end or begin, before those that begin are given solutions."""
        ...

    def learn(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Take one step; metrics are 0-dim."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


class MapElites:
    """Fill an archive with what emitters make, one solution an environment and episode; an update is the learners'."""

    def __init__(
        self, genetic: Genetic[AnyKind], emitters: Emitting, config: ArchiveConfig, *learners: Learner
    ) -> None:
        """genetic: with kind of solution, archive and generator. Episodes are numbered from 1, whatever they play."""
        self.genetic, self.kind, self.archive = genetic, genetic.kind, genetic.archive
        self.emitters, self.learners = emitters, learners
        self.reevaluation = Reevaluation(self.archive, config.reevaluate)
        self.frames = History(self.archive.cells, config.history_every)
        self.episodes = 0  # that were begun

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
        """Answer a timestep (N,): every row by its solution, or all by the best elite. Asks the device who begins.

        Rows say of which episode they are, and which measures it is meant to show: infinite for none.
        """
        carry = carry.clone(recurse=False).update(outcomes.follow(timestep, carry))
        if explore:
            end, begin = torch.stack([timestep["is_last"].any(), timestep["is_first"].any()]).tolist()
            for learner in self.learners if end or begin else ():
                learner.see(timestep, carry)
            if end:
                self._judge(timestep, carry)
            if begin:
                self._begin(timestep["is_first"].nonzero().squeeze(1), carry)
            solutions = carry["solution"]  # (N, P)
        else:
            solutions = self.archive.best()["solution"].expand(len(carry), -1)  # (N, P)
        action = self.kind.act(solutions, timestep["state"], carry["age"])  # (N, A)
        return carry.select("episode", "target").set("action", action), carry

    def _judge(self, timestep: TensorDict, carry: TensorDict) -> None:
        """Tell the archive what became of the episodes that end here."""
        rows, objective, measures = outcomes.ended(timestep, carry)  # (n,), (n,), (n, M)
        playing = carry[rows]
        new = playing["cell"] == self.archive.cells  # (n,)
        if new.any():
            fresh = playing[new]
            added = self.archive.add(fresh["solution"], objective[new], measures[new], emitter=fresh["emitter"])
            self.emitters.evaluated(fresh["emitter"], added.kept)
        if not new.all():
            self.archive.reevaluate(playing[~new], objective[~new], measures[~new])
        self.frames.record(self.archive)

    def _begin(self, rows: Tensor, carry: TensorDict) -> None:
        """Give the episodes that begin in rows (n,) what they play: elites again, and new solutions."""
        playing = carry["cell"].index_fill(0, rows, self.archive.cells)  # (N,) what these rows played is over
        again = self.reevaluation.draw(len(rows), playing)  # (k,)
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

    def update(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Let learners take a step; return their metrics."""
        found: dict[str, Tensor] = {}
        for learner in self.learners:
            found |= learner.learn(replay)
        return found

    def metrics(self) -> dict[str, Tensor]:
        """Return the archive's figures and the emitters', as they are now."""
        stats = self.archive.stats()
        extra = ("elites", "evaluations_mean", "reevaluated", "not_finite", "outside")
        told = {f"archive/{name}": torch.nan_to_num(stats[name].float()) for name in extra}
        return figures(self.archive, "archive") | told | self.emitters.metrics()

    def assess(self, envs: Environments) -> dict[str, Tensor]:
        """Play every elite for one fresh episode; return the figures of the archive that this gives."""
        return figures(reported(self.archive, self.kind, envs), "reevaluated")

    def export(self, folder: Path) -> None:
        """Write the archive and its history into a run's folder."""
        files.save(self.archive, folder / FOLDER)
        history.save(self.frames, self.archive, folder / FOLDER)

    def state_dict(self) -> dict[str, Any]:
        """Return every part's state, the learners', the count of episodes and the random generator's state."""
        return {
            **{name: getattr(self, name).state_dict() for name in PARTS},
            "learners": [learner.state_dict() for learner in self.learners],
            "episodes": self.episodes,
            "generator": self.genetic.generator.get_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        for name in PARTS:
            getattr(self, name).load_state_dict(state_dict[name])
        for learner, state in zip(self.learners, state_dict["learners"], strict=True):
            learner.load_state_dict(state)
        self.episodes = state_dict["episodes"]
        go_on(self.genetic.generator, state_dict["generator"])


def map_elites(spaces: Spaces, config: MapElitesConfig, device: torch.device | str = "cpu") -> MapElites:
    """Return MAP-Elites over the parameters of policies."""
    genetic = genetic_of(perceptrons_of(spaces, config.hidden), spaces, config, device)
    return MapElites(genetic, Emitters(genetic.emitters(), device), config.archive)
