"""InfoPower's behaviour (arXiv 2204.08585): actor and critic in imagination, rewarded for reward and empowerment.

    V(z_t) ~ E_pi sum [ ln q(r_t | z_t) + ln q(a_{t-1} | z_t, z_{t-1}) ],

with lambda-returns as in Dreamer (arXiv 1912.01603). The reward term is the predicted reward, as in Dreamer. To the
second term we add H(pi(. | z_{t-1})), as in the model's objective: ln q alone is largest for a policy whose actions can
be told without looking, and drove the policy's entropy down to that of its smallest deviation (our choice).
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from agents.nets import Actor
from agents.normalize import RunningMoments, RunningRange
from agents.replay import ReplayBuffer
from agents.returns import lambda_return
from world_models.augment import random_shift
from world_models.infopower import InfoPowerModel, InfoPowerModelConfig, windows_inside
from world_models.nets import mlp
from world_models.rssm import Trace

EXAMINED = 50  # batches


@dataclass(frozen=True)
class InfoPowerConfig:
    """Defaults are C-Dreamer's (CVRL), which the paper follows; where it is silent, our choice."""

    model: InfoPowerModelConfig = field(default_factory=InfoPowerModelConfig)
    batch: int = 50
    length: int = 50
    horizon: int = 15
    starts: int = 2500
    """Imagined trajectories an update, drawn from the batch's rows."""
    hidden: int = 400
    discount: float = 0.99
    lambda_: float = 0.95
    empowerment: float = 1.0
    """Weight of the bound on I(A; Z | Z-) in the imagined reward; the paper prints 1."""
    entropy: float = 0.0
    """Weight of the policy's entropy."""
    exploration: float = 0.3
    """Standard deviation of the noise added to actions while collecting."""
    model_lr: float = 6e-4
    actor_lr: float = 8e-5
    critic_lr: float = 8e-5
    model_clip: float = 100.0
    behaviour_clip: float = 100.0
    target_rate: float = 0.02
    """Step of the target critic towards the critic."""
    shift: int = 0
    """Largest random shift of the frames in pixels."""


class InfoPower:
    """Act from filtered latent states; learn the model from replayed slices and the behaviour from imagination."""

    def __init__(
        self,
        observation_shapes: Mapping[str, tuple[int, ...]],
        action_dim: int,
        config: InfoPowerConfig,
        device: torch.device | str = "cpu",
    ) -> None:
        c = self.config = config
        self.action_dim, self.device, self.updates = action_dim, torch.device(device), 0
        feat = c.model.deter + c.model.stoch
        self.model = InfoPowerModel(observation_shapes, action_dim, c.model)
        self.actor = Actor(feat, action_dim, c.hidden)
        self.critic, self.target = mlp(feat, 1, c.hidden), mlp(feat, 1, c.hidden)
        self.reward_moments, self.return_range = RunningMoments(), RunningRange(least=0.1)
        names = ("model", "actor", "critic", "target", "reward_moments", "return_range")
        self.nets = nn.ModuleDict({name: getattr(self, name) for name in names}).to(self.device)
        self.target.load_state_dict(self.critic.state_dict())
        self.optimizers = {
            "model": torch.optim.Adam(self.model.primal_parameters(), c.model_lr, eps=1e-5, fused=True),
            "dual": torch.optim.Adam([self.model.log_dual], c.model.dual_lr),
            "actor": torch.optim.Adam(self.actor.parameters(), c.actor_lr, eps=1e-5, fused=True),
            "critic": torch.optim.Adam(self.critic.parameters(), c.critic_lr, eps=1e-5, fused=True),
        }

    def initial_carry(self, num_envs: int) -> TensorDict:
        """Return zeros (N,); a first row resets them."""
        c = self.config.model
        sizes = {"deter": c.deter, "stoch": c.stoch, "action": self.action_dim, "embed": c.embed}
        zeros = {k: torch.zeros(num_envs, size, device=self.device) for k, size in sizes.items()}
        return TensorDict(zeros, batch_size=[num_envs], device=self.device)

    @torch.no_grad()
    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Filter one timestep (N,) and answer it; uniform at random until the first update."""
        model, c = self.model, self.config
        deter = model.core.step(carry["deter"], carry["stoch"], carry["action"], timestep["is_first"])  # (N, D)
        embed = model.encoder(timestep)  # (N, E)
        previous = torch.where(timestep["is_first"].unsqueeze(-1), embed, carry["embed"])
        post = model.posterior(embed, previous, deter)
        stoch = post.sample() if explore else post.mean  # (N, S)
        feat = torch.cat([deter, stoch], -1)  # (N, F)
        if not explore:
            action = self.actor.mode(feat)
        elif self.updates == 0:
            action = torch.rand_like(carry["action"]) * 2 - 1
        else:
            action, _ = self.actor(feat)
            action = (action + c.exploration * torch.randn_like(action)).clamp(-1, 1)
        values = {"deter": deter, "stoch": stoch, "action": action, "embed": embed}
        carry = TensorDict(values, batch_size=carry.batch_size)
        return TensorDict({"action": action}, batch_size=carry.batch_size), carry

    def update(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Take one step of model, dual variable, actor, critic and target critic."""
        rows, _ = replay.sample(self.config.batch, self.config.length)  # (B, T)
        if self.config.shift and "pixels" in rows:
            rows["pixels"] = random_shift(rows["pixels"], self.config.shift)
        trace, metrics = self.update_model(rows)
        metrics.update(self.update_behaviour(trace, rows["is_first"]))
        self.updates += 1
        return metrics

    def update_model(self, rows: TensorDict) -> tuple[Trace, dict[str, Tensor]]:
        """Ascend the Lagrangian over the model and descend it over the dual variable, on rows (B, T)."""
        answered = (~rows["is_first"]).float()  # (B, T)
        self.reward_moments.update(rows["reward"], answered)
        losses, trace, metrics = self.model.losses(rows, self.reward_moments.standardize(rows["reward"]))
        scales = self.model.scales()
        assert losses.keys() == scales.keys(), (losses.keys(), scales.keys())
        loss = torch.stack([scales[name] * value.mean() for name, value in losses.items()]).sum()
        norm = descend(self.optimizers["model"], loss, self.model.primal_parameters(), self.config.model_clip)
        descend(self.optimizers["dual"], self.model.dual_loss(metrics["model/constraint"]), [self.model.log_dual])
        metrics |= {f"loss/{name}": value.detach().mean() for name, value in losses.items()}
        metrics |= {"model/grad_norm": norm, "model/dual": self.model.log_dual.detach().exp()}
        return trace, metrics

    def update_behaviour(self, trace: Trace, is_first: Tensor) -> dict[str, Tensor]:
        """Improve actor and critic on trajectories imagined from the trace's states."""
        c = self.config
        with frozen(self.model), frozen(self.target):
            feat, reward, empowerment, entropy = self.imagine(trace, is_first)
            value = self.target(feat).squeeze(-1)  # (H+1, N)
            # a value is a discounted average of rewards: its size, and so the critic's speed, does not grow with the
            # discount (our choice)
            payoff = (1 - c.discount) * (reward + c.empowerment * empowerment)  # (H, N)
            returns = lambda_return(payoff, value, c.discount, c.lambda_)  # (H, N)
            self.return_range.update(returns.detach())
            # scaled returns: DreamerV3 (arXiv 2301.04104, eq. 6), our choice
            actor_loss = -returns / self.return_range() - c.entropy * entropy  # (H, N)
            actor_parameters = list(self.actor.parameters())
            norm = descend(self.optimizers["actor"], actor_loss.mean(), actor_parameters, c.behaviour_clip)
        predicted = self.critic(feat[:-1].detach()).squeeze(-1)  # (H, N)
        critic_loss = 0.5 * (predicted - returns.detach()).square()
        descend(self.optimizers["critic"], critic_loss.mean(), list(self.critic.parameters()), c.behaviour_clip)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.target.parameters()), list(self.critic.parameters()), c.target_rate)
        return {
            "loss/actor": actor_loss.detach().mean(),
            "loss/critic": critic_loss.detach().mean(),
            "imagine/reward": reward.detach().mean(),
            "imagine/empowerment": empowerment.detach().mean(),
            "imagine/return": returns.detach().mean(),
            "actor/entropy": entropy.detach().mean(),
            "actor/grad_norm": norm,
        }

    def imagine(self, trace: Trace, is_first: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Roll the policy out in the prior from rows of the trace.

        Returns features (H+1, N, F), standardised rewards (H, N), empowerment ln q(a | z, z-) + H(pi) in nats (H, N),
        and the entropy H(pi) in nats (H, N).
        """
        c, model, window = self.config, self.model, self.config.model.inverse_window
        inside = windows_inside(is_first, window).flatten()  # (B*T,) rows with a past for the inverse model
        chosen = torch.multinomial(inside, c.starts, replacement=True)  # (N,)
        deter, stoch = (x.detach().flatten(0, 1)[chosen] for x in (trace.deter, trace.stoch))  # (N, D), (N, S)
        codes = list(model.windows(trace).detach().flatten(0, 1)[chosen, 1:].unbind(1))  # W-1 of (N, C)
        feats, actions, entropies = [torch.cat([deter, stoch], -1)], [], []
        for _ in range(c.horizon):
            action, entropy = self.actor(feats[-1])  # (N, A), (N,)
            deter = model.core.step(deter, stoch, action)  # (N, D)
            stoch = model.core.prior(deter).sample()  # (N, S)
            feats.append(torch.cat([deter, stoch], -1))
            codes.append(model.code(deter, stoch))
            actions.append(action)
            entropies.append(entropy)
        feat, action = torch.stack(feats), torch.stack(actions)  # (H+1, N, F), (H, N, A)
        windows = torch.stack(codes).unfold(0, window, 1).movedim(-1, -2)  # (H, N, W, C)
        entropy = torch.stack(entropies)  # (H, N)
        empowerment = model.action_log_prob(windows, action).sum(-1) + entropy  # (H, N)
        return feat, model.reward(feat[1:]), empowerment, entropy

    def examine(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Return what the inverse model knows of held-out actions, with the pictures and without them."""
        samples = [replay.sample(self.config.batch, self.config.length)[0] for _ in range(EXAMINED)]
        leaks = [self.model.leak(rows) for rows in samples]
        return {name: torch.stack([leak[name] for leak in leaks]).mean() for name in leaks[0]}

    def state_dict(self) -> dict[str, Any]:
        """Return networks, running statistics, optimisers and the count of updates."""
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        return {"nets": self.nets.state_dict(), "optimizers": optimizers, "updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.nets.load_state_dict(state_dict["nets"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state_dict["optimizers"][name])
        self.updates = state_dict["updates"]


def descend(
    optimizer: torch.optim.Optimizer, loss: Tensor, parameters: list[nn.Parameter], clip: float = math.inf
) -> Tensor:
    """Take one clipped gradient step; return the norm before clipping."""
    optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    return norm


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Let gradients pass through a module but not into its parameters."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
