"""MAP-Elites (arXiv 1504.04909): random solutions first, then variations of elites, the better one in each cell."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.archive import Archive
from agents.archive_config import ArchiveConfig, make_archive
from agents.emitters import Emitted, Emitter, Emitters
from agents.evaluation import Environments
from agents.generators import own_generator
from agents.history import History
from agents.illumination import EXTRA, Illumination
from agents.reevaluation import Reevaluation
from agents.replay import ReplayBuffer
from agents.solutions import Perceptrons
from agents.spaces import Spaces
from agents.variation import iso_line


@dataclass(frozen=True)
class MapElitesConfig:
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    hidden: tuple[int, ...] = (128, 128)
    """Hidden units of each layer of a policy."""
    initial: int = 500
    """Random solutions to begin with."""
    iso: float = 0.005
    """Deviation of the isotropic part of a variation."""
    line: float = 0.05
    """Deviation of the part along the line to another elite."""
    reevaluate: float = 0.1
    """Share of the evaluations in which elites play again."""


class MapElites:
    """Play solutions, keep elites; there is nothing to learn from the replay."""

    def __init__(self, spaces: Spaces, config: MapElitesConfig, device: torch.device | str = "cpu") -> None:
        self.perceptrons = perceptrons_of(spaces, config.hidden)
        self.generator = own_generator(device)
        self.archive = make_archive(config.archive, spaces, self.perceptrons.solution_dim, EXTRA, device)
        genetic = Genetic(self.perceptrons, self.archive, config.iso, config.line, self.generator)
        self.illumination = Illumination(
            self.perceptrons,
            self.archive,
            Emitters(genetic.emitters(config.initial), device),
            Reevaluation(self.archive, config.reevaluate),
            History(self.archive.cells, config.archive.history_every),
        )

    def initial_carry(self, num_envs: int) -> TensorDict:
        """Return what each environment plays (N,), before any plays."""
        return self.illumination.initial_carry(num_envs)

    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,): a solution an environment, or the best elite everywhere."""
        return self.illumination.act(timestep, carry, explore)

    def update(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Return the archive's figures: episodes fill it as they end."""
        return self.illumination.metrics()

    def assess(self, envs: Environments) -> dict[str, Tensor]:
        """Return the figures of all elites, evaluated anew."""
        return self.illumination.assess(envs)

    def export(self, folder: Path) -> None:
        """Write the archive into a run's folder."""
        self.illumination.export(folder)

    def state_dict(self) -> dict[str, Any]:
        """Return the archive, its history, and the random generator."""
        return {"illumination": self.illumination.state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.illumination.load_state_dict(state_dict["illumination"])
        self.generator.set_state(state_dict["generator"])


class Genetic:
    """The emitters that need nothing but the archive: random solutions, and variations of elites."""

    def __init__(
        self, perceptrons: Perceptrons, archive: Archive, iso: float, line: float, generator: torch.Generator
    ) -> None:
        """Raise ValueError for deviations below 0."""
        for name, deviation in (("iso", iso), ("line", line)):
            if not deviation >= 0:
                raise ValueError(f"--agent.{name} must be at least 0, not {deviation}")
        self.perceptrons, self.archive, self.generator = perceptrons, archive, generator
        self.iso, self.line = iso, line

    def emitters(self, initial: int, share: float = 1.0) -> dict[str, Emitter]:
        """Return both: random until `initial` were offered and one was kept, variations from then on."""
        if initial < 1:
            raise ValueError(f"--agent.initial must be at least 1, not {initial}")
        begun = begun_after(self.archive, initial)
        return {
            "random": Emitter(1.0, self.draw, lambda: not begun()),
            "iso_line": Emitter(share, self.vary, begun),
        }

    def draw(self, count: int) -> Emitted:
        """Return random solutions (n, P)."""
        return self.for_none(self.perceptrons.draw(count, self.generator))

    def vary(self, count: int) -> Emitted:
        """Return variations of elites (n, P), each with a second one along the line to which it moves."""
        first, second = (self.archive.sample(count, self.generator)["solution"] for _ in range(2))
        return self.for_none(iso_line(first, second, self.iso, self.line, self.generator))

    def for_none(self, solutions: Tensor) -> Emitted:
        """Say of solutions (n, P) that they are meant to show nothing in particular."""
        target = solutions.new_full((len(solutions), self.archive.measure_dim), torch.inf)  # (n, M)
        return Emitted(solutions, target)


def begun_after(archive: Archive, initial: int) -> Callable[[], bool]:
    """Return a function that says whether so many rows were offered, and one kept."""
    return lambda: archive.offered >= initial and bool(archive.occupied.any())


def perceptrons_of(spaces: Spaces, hidden: tuple[int, ...]) -> Perceptrons:
    """Return what solutions play with; raise ValueError, in one line, for sizes or observations that make no sense."""
    if "state" not in spaces.observations:
        raise ValueError("policies of an archive see states: take --observation state")
    if min(hidden, default=1) < 1:
        raise ValueError(f"--agent.hidden must be at least 1, not {' '.join(map(str, hidden))}")
    return Perceptrons(spaces.observations["state"][0], spaces.action_dim, hidden)
