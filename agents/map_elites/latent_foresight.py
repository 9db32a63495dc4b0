"""What InfoPower's world model foresees of policies, as far as a read-out can tell what its features mean.

The model has no decoder. A perceptron reads states and what the measures read off features (deter, stoch) of replayed
rows; no gradient goes into the model, which is InfoPower's own as it is now, not a copy. Episodes begin where real ones
did, encoded; then policies act on the state that is read out, and the prior goes on. Several draws from the prior stand
in the place of an ensemble's members (our choice): they disagree where the model says that it cannot know, not where it
has not learned.
"""

from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.infopower import InfoPower
from agents.map_elites.starts import Starts
from agents.normalize import FAR, RunningNormalizer
from agents.optimization import descend
from agents.replay import ReplayBuffer
from agents.spaces import Spaces
from world_models.nets import mlp, symexp, symlog

Latent = tuple[Tensor, Tensor]  # deter (K*n, D), stoch (K*n, S)


@dataclass(frozen=True)
class LatentForesightConfig:
    offspring: int = 1
    """Solutions that are imagined for each that is played; 1 imagines none."""
    learned: int = 500
    """Updates of the read-out before it is asked."""
    samples: int = 4
    """Draws from the prior, each of which has a vote."""
    hidden: int = 200
    """Units of each of the read-out's two hidden layers."""
    lr: float = 1e-3
    batch: int = 24
    length: int = 10
    """Rows of each of the `batch` slices that the read-out learns from in an update."""


class LatentForesight:
    """A read-out that learns from the replay, and the prior of a world model that others teach."""

    def __init__(
        self, spaces: Spaces, infopower: InfoPower, config: LatentForesightConfig, device: torch.device | str
    ) -> None:
        (observed,) = spaces.observations["state"]
        self.infopower, self.config, self.updates = infopower, config, 0
        self.starts = Starts(observed, len(spaces.measures), device)
        read = sum(self.starts.sizes)  # O + M
        self.readout = mlp(infopower.model.core.feat, read, config.hidden).to(device)
        self.scale = RunningNormalizer(read).to(device)
        self.parameters = list(self.readout.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, config.lr, fused=True)

    def see(self, timestep: TensorDict, carry: TensorDict) -> None:
        """Remember the first rows of a timestep (N,)."""
        self.starts.add(timestep)

    def learn(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Take one step of the read-out on slices of the replay."""
        rows, _ = replay.sample(self.config.batch, self.config.length)  # (B, T)
        with torch.no_grad():
            feat = self.infopower.model.observe(rows).feat  # (B, T, F)
        target = torch.cat([symlog(rows["state"]), rows["readings"]], -1)  # (B, T, O + M)
        self.scale.update(target.flatten(0, 1))
        loss = (self.readout(feat) - self.scale(target).clamp(-FAR, FAR)).square().mean()
        descend(self.optimizer, loss, self.parameters)
        self.updates += 1
        return {"loss/readout": loss.detach()}

    def begin(self, count: int, generator: torch.Generator) -> tuple[Latent, Tensor, Tensor]:
        """Draw where n episodes began: latents as the model encodes them, states (1, n, O), readings (1, n, M)."""
        state, readings = self.starts.draw(count, generator)
        drawn = state.repeat(self.config.samples, 1)  # (K*n, O)
        first = torch.ones(len(drawn), dtype=torch.bool, device=drawn.device)
        row = TensorDict({"state": drawn, "is_first": first}, batch_size=first.shape)
        seen = self.infopower.perceive(row, self.infopower.initial_carry(len(drawn)), explore=True)
        return (seen["deter"], seen["stoch"]), state.unsqueeze(0), readings.unsqueeze(0)

    def step(self, latent: Latent, action: Tensor) -> tuple[Latent, Tensor, Tensor, Tensor, Tensor]:
        """Imagine a step of each draw: latents, states (K, n, O), rewards (K, n), readings (K, n, M), ends (K, n)."""
        model, continuation, samples = self.infopower.model, self.infopower.continuation, self.config.samples
        deter = model.core.step(*latent, action.expand(samples, -1, -1).flatten(0, 1))  # (K*n, D)
        stoch = model.core.prior(deter).sample()  # (K*n, S)
        feat = torch.cat([deter, stoch], -1).unflatten(0, (samples, -1))  # (K, n, F)
        state, readings = self.scale.restore(self.readout(feat)).split(self.starts.sizes, -1)
        reward = self.infopower.reward_moments.restore(model.reward(feat))  # (K, n)
        ended = torch.zeros_like(reward, dtype=torch.bool) if continuation is None else continuation(feat) < 0.5
        return (deter, stoch), symexp(state), reward, readings, ended

    def state_dict(self) -> dict[str, Any]:
        """Return the read-out, its optimiser and the first rows; the world model is InfoPower's to save."""
        parts = {name: getattr(self, name).state_dict() for name in ("readout", "scale", "optimizer", "starts")}
        return {**parts, "updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        for name in ("readout", "scale", "optimizer", "starts"):
            getattr(self, name).load_state_dict(state_dict[name])
        self.updates = state_dict["updates"]
