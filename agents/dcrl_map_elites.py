"""DCRL-MAP-Elites (arXiv 2401.08632): critics and an actor that are told which measures to show.

The critics' reward is scaled by how near an episode came to the measures that it was meant for. Elites are varied by
the gradient of the critic that is told their own measures, and the actor, told measures drawn from the whole box, is
offered to the archive: measures are a constant input, which goes into the first layer's biases.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.archive_config import ArchiveConfig, make_archive
from agents.emitters import Emitted, Emitter, Emitters
from agents.evaluation import Environments
from agents.generators import own_generator
from agents.illumination import EXTRA, Illumination
from agents.map_elites import Genetic, begun_after, perceptrons_of
from agents.pga_map_elites import Ascent, check_ascent
from agents.policy_gradient import Recent, ascend
from agents.replay import ReplayBuffer
from agents.solutions import Perceptrons
from agents.spaces import Spaces
from agents.td3 import TD3, TD3Config, Transitions, transitions
from agents.variation import VariationConfig


@dataclass(frozen=True)
class DCRLMapElitesConfig:
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    variation: VariationConfig = field(default_factory=VariationConfig)
    td3: TD3Config = field(default_factory=TD3Config)
    ascent: Ascent = field(default_factory=lambda: Ascent(share=0.25))
    hidden: tuple[int, ...] = (128, 128)
    """Hidden units of each layer of a policy."""
    genetic: float = 0.5
    """Share of the offspring made by isotropic and line variation."""
    injected: float = 0.25
    """Share of the actor, told measures."""
    distance: float = 0.1
    """Distance from the measures meant, in sides of the box, at which the reward counts 1/e."""
    episodes: int = 65_536
    """How many of the last episodes are remembered by their measures; rows of older ones are not learned from."""


class DCRLMapElites:
    """Play solutions, keep elites, and learn from the replay what would show which measures; an update is a TD3 step.

    Rows say which episode they are of, and the measures it was meant for. What it showed is known at its end.
    """

    def __init__(self, spaces: Spaces, config: DCRLMapElitesConfig, device: torch.device | str = "cpu") -> None:
        check(config)
        self.config, self.generator = config, own_generator(device)
        self.perceptrons = perceptrons_of(spaces, config.hidden)
        self.archive = make_archive(config.archive, spaces, self.perceptrons.solution_dim, EXTRA, device)
        (observed,), told = spaces.observations["state"], self.archive.measure_dim
        self.actor_net = Perceptrons(observed + told, spaces.action_dim, config.hidden)
        self.td3 = TD3(self.actor_net, config.td3, self.generator)
        self.shown = Shown(config.episodes, told, device)
        self.recent = Recent(config.ascent.steps, config.td3.batch, (observed,), device)
        self.moved = torch.zeros((), device=device)  # by the last gradients, as a share of parameters' length
        self.genetic = Genetic(self.perceptrons, self.archive, config.variation, self.generator)
        begun = begun_after(self.archive, config.variation.initial)
        emitters = {
            **self.genetic.emitters(config.genetic),
            "policy_gradient": Emitter(config.ascent.share, self.climb, lambda: begun() and self.recent.full()),
            "injected": Emitter(config.injected, self.inject, lambda: begun() and self.recent.full()),
        }
        self.illumination = Illumination(
            self.perceptrons,
            self.archive,
            Emitters(emitters, device),
            config.archive,
            notice=lambda playing, objective, measures: self.shown.add(playing["episode"], measures),
        )

    def initial_carry(self, num_envs: int) -> TensorDict:
        """Return what each environment plays (N,), before any plays."""
        return self.illumination.initial_carry(num_envs)

    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,): a solution an environment, or the best elite everywhere."""
        out, carry = self.illumination.act(timestep, carry, explore)
        if explore:
            out = out.update({"episode": carry["episode"], "target": carry["target"]})
        return out, carry

    def climb(self, count: int) -> Emitted:
        """Return elites (n, P), varied by the gradient of the critic that is told their measures."""
        ascent, elites = self.config.ascent, self.archive.sample(count, self.generator)
        told = self.told(elites["measures"]).unsqueeze(1)  # (n, 1, M)

        def value(observation: Tensor, action: Tensor) -> Tensor:
            told_all = told.expand(-1, observation.shape[1], -1)  # (n, B, M)
            return self.td3.value(torch.cat([observation, told_all], -1), action)

        found = ascend(self.perceptrons, elites["solution"], self.recent.seen, value, ascent.lr, ascent.change)
        self.moved = found[1].mean()
        return self.genetic.for_none(found[0])

    def inject(self, count: int) -> Emitted:
        """Return the actor (n, P), told measures that are drawn uniformly (our choice)."""
        box = self.archive.tessellation
        draw = torch.rand(count, len(box.low), device=box.low.device, generator=self.generator)  # (n, M)
        target = box.low + draw * (box.high - box.low)
        return Emitted(specialized(self.actor_net, self.td3.actor.detach(), self.told(target)), target)

    def told(self, measures: Tensor) -> Tensor:
        """Scale measures (..., M) from the archive's box to [-1, 1], as actor and critics are told them."""
        box = self.archive.tessellation
        return (measures - box.low) / (box.high - box.low) * 2 - 1

    def update(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Take one step of TD3 on a batch of the replay; return its metrics and the archive's figures."""
        rows, _ = replay.sample(self.config.td3.batch, 2)  # (B, 2)
        self.recent.add(rows["state"][:, 0])
        metrics = self.td3.learn(self.meant(rows))
        return metrics | self.illumination.metrics() | {"emitter/policy_gradient/change": self.moved}

    def meant(self, rows: TensorDict) -> Transitions:
        """Read transitions of slices (B, 2), told the measures that their episodes were meant for, which scale rewards.

        Solutions that were meant for nothing are taken to be meant for what they showed. Episodes that are not over, or
        forgotten, count for nothing.
        """
        shown, known = self.shown.of(rows["episode"][:, 0])  # (B, M), (B,)
        target = rows["target"][:, 0]  # (B, M)
        told = self.told(torch.where(target.isfinite(), target, shown))  # (B, M)
        missed = (self.told(shown) - told).norm(dim=1) / 2  # (B,) in sides of the box
        step = transitions(rows)
        return step._replace(
            inputs=torch.cat([step.inputs, told], 1),
            after=torch.cat([step.after, told], 1),
            reward=step.reward * torch.exp(-missed / self.config.distance),
            valid=step.valid & known,
        )

    def assess(self, envs: Environments) -> dict[str, Tensor]:
        """Return the figures of all elites, evaluated anew."""
        return self.illumination.assess(envs)

    def export(self, folder: Path) -> None:
        """Write the archive into a run's folder."""
        self.illumination.export(folder)

    def state_dict(self) -> dict[str, Any]:
        """Return the archive, its history, what TD3 learned, what episodes showed, the generator."""
        return {
            "illumination": self.illumination.state_dict(),
            "td3": self.td3.state_dict(),
            "shown": self.shown.state_dict(),
            "recent": self.recent.state_dict(),
            "moved": self.moved,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.illumination.load_state_dict(state_dict["illumination"])
        self.td3.load_state_dict(state_dict["td3"])
        self.shown.load_state_dict(state_dict["shown"])
        self.recent.load_state_dict(state_dict["recent"])
        self.moved = state_dict["moved"].to(self.moved.device)
        self.generator.set_state(state_dict["generator"])


class Shown:
    """What the last episodes showed: their measures (K, M), by number; 0 is no episode's number."""

    def __init__(self, episodes: int, measure_dim: int, device: torch.device | str) -> None:
        self.episode = torch.zeros(episodes, dtype=torch.int64, device=device)  # (K,)
        self.measures = torch.zeros(episodes, measure_dim, device=device)  # (K, M)

    def add(self, episode: Tensor, measures: Tensor) -> None:
        """Take in episodes (n,) that ended, with their measures (n, M)."""
        place = episode % len(self.episode)
        self.episode[place], self.measures[place] = episode, measures

    def of(self, episode: Tensor) -> tuple[Tensor, Tensor]:
        """Return the measures (B, M) of episodes (B,), and whether they are known (B,)."""
        place = episode % len(self.episode)
        return self.measures[place], (self.episode[place] == episode) & (episode > 0)

    def state_dict(self) -> dict[str, Tensor]:
        return {"episode": self.episode.clone(), "measures": self.measures.clone()}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        self.episode.copy_(state_dict["episode"])
        self.measures.copy_(state_dict["measures"])


def specialized(actor_net: Perceptrons, actor: Tensor, told: Tensor) -> Tensor:
    """Return policies (n, P) of observations alone that act as an actor (1, P') does which is told (n, M)."""
    layers, count = actor_net.layers_of(actor), len(told)
    weight, bias = layers[0]  # (1, out, O+M), (1, out)
    observed = actor_net.inputs - told.shape[1]
    first = (weight[..., :observed].expand(count, -1, -1), bias + told @ weight[0, :, observed:].T)
    parts = [first, *((w.expand(count, -1, -1), b.expand(count, -1)) for w, b in layers[1:])]
    return torch.cat([part for w, b in parts for part in (w.flatten(1), b)], 1)


def check(config: DCRLMapElitesConfig) -> None:
    """Raise ValueError, in one line, for sizes that make no sense."""
    check_ascent(config.ascent, config.td3)
    if config.episodes < 1:
        raise ValueError(f"--agent.episodes must be at least 1, not {config.episodes}")
    if not config.distance > 0:
        raise ValueError(f"--agent.distance must be above 0, not {config.distance}")
