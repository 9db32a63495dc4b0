"""MAP-Elites (arXiv 1504.04909): random solutions first, then variations of elites, the better one in each cell.

It is the same for every kind of solution; here are policies, in `agents/skill_map_elites.py` skills.
"""

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
from agents.illumination import EXTRA, Illumination
from agents.replay import ReplayBuffer
from agents.solutions import Kind, Perceptrons
from agents.spaces import Spaces
from agents.variation import VariationConfig, iso_line


@dataclass(frozen=True)
class MapElitesConfig:
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    variation: VariationConfig = field(default_factory=VariationConfig)
    hidden: tuple[int, ...] = (128, 128)
    """Hidden units of each layer of a policy."""


class MapElites:
    """Play solutions of one kind, keep elites; there is nothing to learn from the replay."""

    def __init__(
        self,
        kind: Kind,
        spaces: Spaces,
        archive: ArchiveConfig,
        variation: VariationConfig,
        device: torch.device | str = "cpu",
    ) -> None:
        self.kind, self.generator = kind, own_generator(device)
        self.archive = make_archive(archive, spaces, kind.solution_dim, EXTRA, device)
        emitters = Emitters(Genetic(kind, self.archive, variation, self.generator).emitters(), device)
        self.illumination = Illumination(kind, self.archive, emitters, archive)

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
        """Return the archive, its history, what solutions play by, and the random generator."""
        return {
            "illumination": self.illumination.state_dict(),
            "kind": self.kind.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.kind.load_state_dict(state_dict["kind"])
        self.illumination.load_state_dict(state_dict["illumination"])
        self.generator.set_state(state_dict["generator"])


def policy_map_elites(spaces: Spaces, config: MapElitesConfig, device: torch.device | str = "cpu") -> MapElites:
    """Return MAP-Elites over the parameters of policies."""
    return MapElites(perceptrons_of(spaces, config.hidden), spaces, config.archive, config.variation, device)


class Genetic:
    """The emitters that need nothing but the archive: random solutions, and variations of elites."""

    def __init__(self, kind: Kind, archive: Archive, config: VariationConfig, generator: torch.Generator) -> None:
        """Raise ValueError for numbers below their least."""
        for name, value, least in (("initial", config.initial, 1), ("iso", config.iso, 0), ("line", config.line, 0)):
            if not value >= least:
                raise ValueError(f"--agent.variation.{name} must be at least {least}, not {value}")
        self.kind, self.archive, self.config, self.generator = kind, archive, config, generator

    def emitters(self, share: float = 1.0) -> dict[str, Emitter]:
        """Return both: random until `initial` were offered and one was kept, variations from then on."""
        begun = begun_after(self.archive, self.config.initial)
        return {
            "random": Emitter(1.0, self.draw, lambda: not begun()),
            "iso_line": Emitter(share, self.vary, begun),
        }

    def draw(self, count: int) -> Emitted:
        """Return random solutions (n, P)."""
        return self.for_none(self.kind.draw(count, self.generator))

    def vary(self, count: int) -> Emitted:
        """Return variations of elites (n, P), each with a second one along the line to which it moves."""
        first, second = (self.archive.sample(count, self.generator)["solution"] for _ in range(2))
        return self.for_none(iso_line(first, second, self.config.iso, self.config.line, self.generator))

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
