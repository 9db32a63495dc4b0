"""Variation of solutions: isotropic noise, and noise along the line to another elite (arXiv 1804.03906)."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from agents.archive import Archive
from agents.archive.config import make_archive
from agents.generators import own_generator
from agents.map_elites.emitters import Emitted, Emitter
from agents.map_elites.solutions import Kind
from agents.spaces import Spaces

AnyKind = TypeVar("AnyKind", bound=Kind)


@dataclass(frozen=True)
class VariationConfig:
    initial: int = 500
    """Random solutions to begin with."""
    iso: float = 0.005
    """Deviation of the isotropic part of a variation."""
    line: float = 0.05
    """Deviation of the part along the line to another elite."""


@torch.no_grad()
def iso_line(first: Tensor, second: Tensor, iso: float, line: float, generator: torch.Generator) -> Tensor:
    """Return first + iso N(0, I) + line N(0, 1) (second - first): solutions (n, P) like both parents.

    generator: on the solutions' device. The second factor is one number a solution.
    """
    noise = torch.randn(first.shape, device=first.device, generator=generator)  # (n, P)
    along = torch.randn(len(first), 1, device=first.device, generator=generator)  # (n, 1)
    return first + iso * noise + line * along * (second - first)


class Genetic(Generic[AnyKind]):
    """The emitters that need nothing but the archive: random solutions, and variations of elites."""

    def __init__(self, kind: AnyKind, archive: Archive, config: VariationConfig, generator: torch.Generator) -> None:
        """Raise ValueError for numbers below their least."""
        for name, value, least in (("initial", config.initial, 1), ("iso", config.iso, 0), ("line", config.line, 0)):
            if not value >= least:
                raise ValueError(f"--agent.variation.{name} must be at least {least}, not {value}")
        self.kind, self.archive, self.config, self.generator = kind, archive, config, generator

    def emitters(self, share: float = 1.0) -> dict[str, Emitter]:
        """Return both: random solutions until the archive has begun, variations from then on."""
        return {
            "random": Emitter(1.0, self.draw, lambda: not self.begun()),
            "iso_line": Emitter(share, self.vary, self.begun),
        }

    def begun(self) -> bool:
        """Say whether `initial` solutions were offered, and one was kept."""
        return self.archive.offered >= self.config.initial and bool(self.archive.occupied.any())

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


def genetic_of(kind: AnyKind, spaces: Spaces, config: Any, device: torch.device | str) -> Genetic[AnyKind]:
    """Return the emitters over an empty archive of solutions of a kind, with a generator of their own.

    config: of `archive` and `variation`. Raises ValueError, in one line, for what cannot be.
    """
    generator = own_generator(device)
    archive = make_archive(config.archive, spaces, kind.solution_dim, device)
    return Genetic(kind, archive, config.variation, generator)
