"""TD3 (arXiv 1802.09477) on a replay that all agents share: twin critics, and the actor that is greedy for them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from agents.map_elites.solutions import Perceptrons
from agents.optimization import descend


@dataclass(frozen=True)
class TD3Config:
    hidden: tuple[int, ...] = (256, 256)
    """Hidden units of each layer of a critic."""
    batch: int = 256  # Transitions of an update.
    critic_lr: float = 3e-4  # Learning rate, as the next.
    actor_lr: float = 3e-4
    discount: float = 0.99  # Of an action, whatever its repeat.
    tau: float = 0.005
    """How far the targets move in a step."""
    noise: float = 0.2
    """Deviation of the noise that smooths the target's action; it is cut at `noise_clip`."""
    noise_clip: float = 0.5
    delay: int = 2
    """Steps of the critics for each of the actor's."""


class Transitions(NamedTuple):
    """Steps (B,) of episodes: inputs (B, I), actions (B, A), rewards, and the inputs (B, I) that came of it.

    terminal  bool (B,), whether the episode had come to an end that is worth nothing more; a time limit is not one
    valid     bool (B,), whether this is a step at all: a row after an episode's last is a reset
    """

    inputs: Tensor
    action: Tensor
    reward: Tensor
    after: Tensor
    terminal: Tensor
    valid: Tensor


def transitions(rows: TensorDict, seen: str = "state") -> Transitions:
    """Read slices of two rows (B, 2), of which the second answers the first's action."""
    observation = rows[seen]  # (B, 2, O)
    return Transitions(
        observation[:, 0],
        rows["action"][:, 0],
        rows["reward"][:, 1],
        observation[:, 1],
        rows["is_terminal"][:, 1],
        ~rows["is_last"][:, 0],
    )


class TD3:
    """Twin critics Q(inputs, action) and a deterministic actor, each a solution of a population of perceptrons."""

    def __init__(self, actor: Perceptrons, config: TD3Config, generator: torch.Generator) -> None:
        """generator: of the first parameters, on the device of all. Raise ValueError for a batch or delay below 1."""
        for name in ("batch", "delay"):
            if getattr(config, name) < 1:
                raise ValueError(f"--agent.td3.{name} must be at least 1, not {getattr(config, name)}")
        self.config, self.actor_net = config, actor
        self.critic_net = Perceptrons(actor.inputs + actor.outputs, 1, config.hidden)
        self.actor = nn.Parameter(actor.draw(1, generator))  # (1, P)
        self.critics = nn.Parameter(self.critic_net.draw(2, generator))  # (2, Q)
        self.target_actor, self.target_critics = self.actor.detach().clone(), self.critics.detach().clone()
        self.actor_optimizer = torch.optim.Adam([self.actor], config.actor_lr)
        self.critic_optimizer = torch.optim.Adam([self.critics], config.critic_lr)
        self.updates = 0

    def learn(self, batch: Transitions) -> dict[str, Tensor]:
        """Take a step of the critics, and in its turn one of the actor and the targets; steps that are none weigh 0."""
        c, weight = self.config, batch.valid / batch.valid.sum().clamp(min=1)  # (B,) sums to 1
        target = self.target(batch)  # (B,)
        error = self.critic(self.critics, batch.inputs, batch.action) - target  # (2, B)
        loss = (error.square() * weight).sum()
        descend(self.critic_optimizer, loss, [self.critics])
        metrics = {
            "loss/critic": loss.detach(),
            "td3/target": (target * weight).sum(),
            "td3/valid": batch.valid.float().mean(),
        }
        self.updates += 1
        if self.updates % c.delay == 0:
            action = self.actor_net(self.actor, batch.inputs.unsqueeze(0))[0]  # (B, A)
            gain = (self.critic(self.critics.detach()[:1], batch.inputs, action)[0] * weight).sum()
            descend(self.actor_optimizer, -gain, [self.actor])
            self.target_critics.lerp_(self.critics.detach(), c.tau)
            self.target_actor.lerp_(self.actor.detach(), c.tau)
            metrics["td3/greedy_value"] = gain.detach()
        return metrics

    @torch.no_grad()
    def target(self, batch: Transitions) -> Tensor:
        """Return r + discount min_i Q_i'(s', a' + noise), where the episode went on: (B,)."""
        c = self.config
        noise = (torch.randn_like(batch.action) * c.noise).clamp(-c.noise_clip, c.noise_clip)  # (B, A)
        action = (self.actor_net(self.target_actor, batch.after.unsqueeze(0))[0] + noise).clamp(-1, 1)  # (B, A)
        following = self.critic(self.target_critics, batch.after, action).amin(0)  # (B,)
        return batch.reward + c.discount * ~batch.terminal * following

    def critic(self, critics: Tensor, inputs: Tensor, action: Tensor) -> Tensor:
        """Return what critics (n, Q) say of inputs (B, I) and actions (B, A): (n, B)."""
        both = torch.cat([inputs, action], -1).expand(len(critics), -1, -1)  # (n, B, I+A)
        return self.critic_net.unbounded(critics, both).squeeze(-1)

    def value(self, inputs: Tensor, action: Tensor) -> Tensor:
        """Return the first critic's value of inputs (..., I) and actions (..., A), whose gradient varies policies."""
        places = action.shape[:-1]
        return self.critic(self.critics.detach()[:1], inputs.flatten(0, -2), action.flatten(0, -2)).view(places)

    def state_dict(self) -> dict[str, Any]:
        """Return parameters, targets, optimisers and the count of steps."""
        return {
            "actor": self.actor.detach(),
            "critics": self.critics.detach(),
            "target_actor": self.target_actor,
            "target_critics": self.target_critics,
            "actor_optimizer": self.actor_optimizer.state_dict(),
            "critic_optimizer": self.critic_optimizer.state_dict(),
            "updates": self.updates,
        }

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        for name in ("actor", "critics", "target_actor", "target_critics"):
            getattr(self, name).copy_(state_dict[name])
        self.actor_optimizer.load_state_dict(state_dict["actor_optimizer"])
        self.critic_optimizer.load_state_dict(state_dict["critic_optimizer"])
        self.updates = state_dict["updates"]
