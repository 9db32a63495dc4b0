"""What an agent foresees: an ensemble of one-step models, learned from the shared replay, and where episodes begin."""

from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from agents.map_elites.starts import Starts
from agents.optimization import descend
from agents.replay import ReplayBuffer
from agents.spaces import Spaces
from world_models.ensemble import Ensemble, EnsembleConfig

SEEN = 4096  # rows whose means and spreads stand for all: our choice


class EnsembleForesight:
    """An ensemble that learns from the replay, and where real episodes began."""

    def __init__(self, spaces: Spaces, config: EnsembleConfig, device: torch.device | str) -> None:
        (observed,) = spaces.observations["state"]
        self.updates = 0
        sizes = (observed, spaces.action_dim, len(spaces.measures))
        self.model = Ensemble(*sizes, config, spaces.terminates).to(device)
        self.parameters, self.optimizer = list(self.model.parameters()), self.model.optimizer()
        self.starts = Starts(observed, len(spaces.measures), device)

    def see(self, timestep: TensorDict, carry: TensorDict) -> None:
        """Remember the first rows of a timestep (N,)."""
        self.starts.add(timestep)

    def begin(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw where n episodes began: states (1, n, O) twice, as each model goes on from a state, and readings."""
        state, readings = (x.unsqueeze(0) for x in self.starts.draw(count, generator))
        return state, state, readings

    def step(self, latent: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Imagine a step of each member: states (K, n, O) twice, rewards (K, n), readings (K, n, M), ends (K, n)."""
        state, reward, readings, ended = self.model.step(latent, action)
        return state, state, reward, readings, ended

    def learn(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Take one step of every model, each on rows of its own."""
        config, count = self.model.config, self.updates + 1
        if count & (count - 1) == 0:  # 1, 2, 4, 8, ...: data changes less and less, our choice
            *values, valid = self.steps(replay, SEEN)
            self.model.standardize(*(value[valid] for value in values))
        state, action, target, valid = (
            values.unflatten(0, (config.members, config.batch))
            for values in self.steps(replay, config.members * config.batch)
        )
        loss = self.model.loss(state, action, target)  # (K, B)
        mean = (loss * valid).sum(1) / valid.sum(1).clamp(min=1)  # (K,)
        descend(self.optimizer, mean.sum(), self.parameters)
        self.updates = count
        return {"loss/ensemble": mean.detach().mean()}

    def steps(self, replay: ReplayBuffer, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw steps: states (B, O), actions (B, A), what each led to, and whether it is one (B,).

        It led to a change of state, a reward and readings (B, O + 1 + M) and, in a task that can end an episode early,
        whether it did: a column more.
        """
        rows, _ = replay.sample(count, 2)  # (B, 2)
        before, after = rows["state"].unbind(1)
        led = [after - before, rows["reward"][:, 1:], rows["readings"][:, 1]]
        led += [rows["is_terminal"][:, 1:].float()] * self.model.terminates
        target = torch.cat(led, 1)
        return before, rows["action"][:, 0], target, ~rows["is_last"][:, 0]

    def state_dict(self) -> dict[str, Any]:
        """Return the models, their optimiser, and the first rows."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "updates": self.updates,
            "starts": self.starts.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.model.load_state_dict(state_dict["model"])
        self.optimizer.load_state_dict(state_dict["optimizer"])
        self.starts.load_state_dict(state_dict["starts"])
        self.updates = state_dict["updates"]
