"""DCRL-MAP-Elites (arXiv 2401.08632): critics and an actor that are told which measures to show.

The critics' reward is scaled by how near an episode came to the measures that it was meant for. Elites are varied by
the gradient of the critic that is told their own measures, which the offspring are meant for; and the actor, told
measures drawn from the whole box, is offered to the archive: measures are a constant input, which goes into the first
layer's biases. Policies climb as far as `Ascent` lets them, not as far as in the paper (our choice).
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.archive.config import ArchiveConfig
from agents.map_elites import outcomes
from agents.map_elites.emitters import Emitted, Emitter, Emitters
from agents.map_elites.map_elites import MapElites
from agents.map_elites.policy_gradient import Ascent, Climb
from agents.map_elites.solutions import Perceptrons, perceptrons_of
from agents.map_elites.td3 import TD3, TD3Config, Transitions, transitions
from agents.map_elites.variation import Genetic, VariationConfig, genetic_of
from agents.replay import ReplayBuffer
from agents.spaces import Spaces


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
    distance: float = 0.05
    """Distance from the measures meant, in sides of the box, at which the reward counts 1/e: 0.1 from -1 to 1."""
    episodes: int = 65_536
    """How many of the last episodes are remembered by their measures; rows of older ones are not learned from."""


class Conditioned:
    """Learn from the replay, by TD3, what would show which measures, and vary policies by it.

    Rows say which episode they are of, and the measures it was meant for. What it showed is known at its end.
    """

    def __init__(self, genetic: Genetic[Perceptrons], config: DCRLMapElitesConfig) -> None:
        self.genetic, self.config, self.box = genetic, config, genetic.archive.tessellation
        policies, told, device = genetic.kind, genetic.archive.measure_dim, genetic.archive.device
        self.actor_net = Perceptrons(policies.inputs + told, policies.outputs, config.hidden)
        self.td3 = TD3(self.actor_net, config.td3, genetic.generator)
        self.shown = Shown(config.episodes, told, device)
        self.climb = Climb(policies, config.ascent, config.td3.batch, device)

    def see(self, timestep: TensorDict, carry: TensorDict) -> None:
        """Remember what the episodes showed that end here."""
        rows, _, measures = outcomes.ended(timestep, carry)  # (n,), (n,), (n, M)
        self.shown.add(carry["episode"][rows], measures)

    def learn(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Take one step of TD3 on a batch of the replay; return its metrics, and how far policies were moved."""
        rows, _ = replay.sample(self.config.td3.batch, 2)  # (B, 2)
        self.climb.add(rows["state"][:, 0])
        return self.td3.learn(self.meant(rows)) | {"emitter/policy_gradient/change": self.climb.moved}

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

    def told(self, measures: Tensor) -> Tensor:
        """Scale measures (..., M) from the archive's box to [-1, 1], as actor and critics are told them."""
        return (measures - self.box.low) / (self.box.high - self.box.low) * 2 - 1

    def ready(self) -> bool:
        """Say whether there are elites to vary, and states to vary them on."""
        return self.genetic.begun() and self.climb.ready()

    def improve(self, count: int) -> Emitted:
        """Return elites (n, P), varied by the gradient of the critic that is told their measures: meant for these."""
        elites = self.genetic.archive.sample(count, self.genetic.generator)
        told = self.told(elites["measures"]).unsqueeze(1)  # (n, 1, M)

        def value(observation: Tensor, action: Tensor) -> Tensor:
            told_all = told.expand(-1, observation.shape[1], -1)  # (n, B, M)
            return self.td3.value(torch.cat([observation, told_all], -1), action)

        return Emitted(self.climb(elites["solution"], value), elites["measures"])

    def inject(self, count: int) -> Emitted:
        """Return the actor (n, P), told measures that are drawn uniformly (our choice)."""
        low, high, generator = self.box.low, self.box.high, self.genetic.generator
        target = low + torch.rand(count, len(low), device=low.device, generator=generator) * (high - low)  # (n, M)
        return Emitted(specialized(self.actor_net, self.td3.actor.detach(), self.told(target)), target)

    def state_dict(self) -> dict[str, Any]:
        """Return what TD3 learned, what episodes showed, and the states that policies are varied on."""
        return {name: getattr(self, name).state_dict() for name in ("td3", "shown", "climb")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        for name in ("td3", "shown", "climb"):
            getattr(self, name).load_state_dict(state_dict[name])


def dcrl_map_elites(spaces: Spaces, config: DCRLMapElitesConfig, device: torch.device | str = "cpu") -> MapElites:
    """Return MAP-Elites over policies, some of which are made for measures; an update is a step of TD3."""
    check(config)
    genetic = genetic_of(perceptrons_of(spaces, config.hidden), spaces, config, device)
    conditioned = Conditioned(genetic, config)
    emitters = {
        **genetic.emitters(config.genetic),
        "policy_gradient": Emitter(config.ascent.share, conditioned.improve, conditioned.ready),
        "injected": Emitter(config.injected, conditioned.inject, conditioned.ready),
    }
    return MapElites(genetic, Emitters(emitters, device), config.archive, conditioned)


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
    if config.episodes < 1:
        raise ValueError(f"--agent.episodes must be at least 1, not {config.episodes}")
    if not config.distance > 0:
        raise ValueError(f"--agent.distance must be above 0, not {config.distance}")
