"""Actor and critic in imagination, over any world model; with InfoPower's, its behaviour (arXiv 2204.08585):

    V(z_t) ~ E_pi sum [ ln q(r_t | z_t) + ln q(a_{t-1} | z_t, z_{t-1}) ],

with lambda-returns as in Dreamer (arXiv 1912.01603). The reward term is the predicted reward, as in Dreamer. To the
second term we add H(pi(. | z_{t-1})), as in the model's objective: ln q alone is largest for a policy whose actions can
be told without looking, and drove the policy's entropy down to that of its smallest deviation (our choice).
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import tyro
from tensordict import TensorDict
from torch import Tensor, nn

from agents.acceleration import Choice, Precision, autocast, compiled
from agents.continuation import Continuation, beginnings, reached
from agents.examination import foretold, slices_once, told
from agents.nets import Actor, Draw
from agents.normalize import RunningMoments, RunningRange
from agents.optimization import descend, frozen
from agents.replay import ReplayBuffer
from agents.returns import lambda_return
from agents.spaces import Spaces
from world_models.augment import random_shift
from world_models.infopower import InfoPowerModelConfig
from world_models.nets import mlp
from world_models.objectives import ModelConfig, make_model
from world_models.rssm import Trace
from world_models.slices import has_reward, slice_resets, windows, windows_inside
from world_models.world_model import Constrained, Empowering, primal_parameters

EXAMINED = 50  # batches
REPRESENTED = 4  # episodes at a time


@dataclass(frozen=True)
class InfoPowerConfig:
    """Without -small, sizes and rates are C-Dreamer's (CVRL), which the paper follows; the rest is our choice."""

    model: tyro.conf.AvoidSubcommands[ModelConfig] = field(default_factory=InfoPowerModelConfig)
    """The world model and its objective."""
    batch: int = 50  # Slices of an update.
    length: int = 50  # Rows of a slice.
    horizon: int = 15  # Steps that are imagined.
    starts: int = 2500
    """Imagined trajectories an update, drawn from the batch's rows."""
    hidden: int = 400  # Units in each layer of actor and critic.
    discount: float = 0.99  # Of an action, whatever its repeat.
    lambda_: float = 0.95  # Of the lambda-returns.
    empowerment: float = 0.01
    """Weight of the bound on I(A; Z | Z-) in the imagined reward, in nats beside a standardised reward; 0 for models
    without one. The paper prints 1, of a reward in units that it does not say."""
    actor_gradient: Literal["dynamics", "reinforce"] = "dynamics"
    """How the policy learns: from gradients of imagined returns through the world model, as in the paper and Dreamer,
    or by REINFORCE with the critic as baseline, as in DreamerV3: take a smaller entropy for it, such as 0.003."""
    entropy: float = 0.05
    """Weight of the policy's entropy."""
    exploration: float = 0.3
    """Standard deviation of the noise added to actions while collecting."""
    model_lr: float = 6e-4  # Learning rate, as the next two.
    actor_lr: float = 8e-5
    critic_lr: float = 8e-5
    model_clip: float = 100.0  # Norm at which the world model's gradient is clipped.
    behaviour_clip: float = 100.0  # And those of actor and critic.
    target_rate: float = 0.02
    """Step of the target critic towards the critic."""
    shift: int = 0
    """Largest random shift of the frames in pixels."""
    compile: Choice = "auto"
    """Whether losses and imagination are compiled, when first called; auto: on CUDA."""
    precision: Precision = "auto"
    """What layers compute in; auto: bfloat16 on CUDA. Recurrence, outputs and losses are float32 in any case."""


class InfoPower:
    """Act from filtered latent states; learn the model from replayed slices and the behaviour from imagination."""

    def __init__(self, spaces: Spaces, config: InfoPowerConfig, device: torch.device | str = "cpu") -> None:
        c = self.config = config
        self.action_dim, self.device, self.updates = spaces.action_dim, torch.device(device), 0
        self.model = make_model(spaces.observations, spaces.action_dim, c.model)
        feat = self.model.core.feat
        if c.empowerment and not isinstance(self.model, Empowering):
            raise ValueError(f"--agent.empowerment {c.empowerment}: this world model has no inverse model; take 0")
        self.window = self.model.window if isinstance(self.model, Empowering) else 2
        if c.length < self.window:
            least = f"{self.window}, for what is imagined to have a past"
            raise ValueError(f"--agent.length must be at least {least}, not {c.length}")
        if not c.discount < 1:  # rewards weigh 1 - discount
            raise ValueError(f"--agent.discount must be below 1, not {c.discount}")
        if "pixels" in spaces.observations and c.shift >= min(spaces.observations["pixels"][:2]):
            raise ValueError(f"--agent.shift {c.shift} must be smaller than the picture")
        self.actor = Actor(feat, spaces.action_dim, c.hidden)
        self.critic, self.target = mlp(feat, 1, c.hidden), mlp(feat, 1, c.hidden)
        self.reward_moments, self.return_range = RunningMoments(), RunningRange(least=0.1)
        self.continuation = Continuation(feat, c.hidden) if spaces.terminates else None
        names = ["model", "actor", "critic", "target", "reward_moments", "return_range"]
        names += ["continuation"] * spaces.terminates
        self.nets = nn.ModuleDict({name: getattr(self, name) for name in names}).to(self.device)
        self.target.load_state_dict(self.critic.state_dict())
        self.primal = primal_parameters(self.model)
        if self.continuation is not None:
            self.primal += self.continuation.parameters()
        self.model_losses = compiled(self.model.losses, c.compile, self.device)
        self.imagined = compiled(self.imagine, c.compile, self.device)
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "model": torch.optim.Adam(self.primal, c.model_lr, eps=1e-5, fused=True),
            "actor": torch.optim.Adam(self.actor.parameters(), c.actor_lr, eps=1e-5, fused=True),
            "critic": torch.optim.Adam(self.critic.parameters(), c.critic_lr, eps=1e-5, fused=True),
        }
        if isinstance(self.model, Constrained):
            self.optimizers["dual"] = torch.optim.Adam(self.model.dual_parameters(), self.model.config.dual_lr)

    def initial_carry(self, num_envs: int) -> TensorDict:
        """Return zeros (N,); a first row resets them."""
        core, embed = self.model.core, self.config.model.embed
        sizes = {"deter": core.deter, "stoch": core.stoch, "action": self.action_dim, "embed": embed}
        zeros = {k: torch.zeros(num_envs, size, device=self.device) for k, size in sizes.items()}
        return TensorDict(zeros, batch_size=[num_envs], device=self.device)

    @torch.no_grad()
    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Filter one timestep (N,) and answer it; uniform at random until the first update."""
        now = self.perceive(timestep, carry, explore)
        feat = torch.cat([now["deter"], now["stoch"]], -1)  # (N, F)
        if not explore:
            action = self.actor.mode(feat)
        elif self.updates == 0:
            action = torch.rand_like(carry["action"]) * 2 - 1
        else:
            action = self.explore(feat)
        return TensorDict({"action": action}, batch_size=carry.batch_size), now.set("action", action)

    def perceive(self, timestep: TensorDict, carry: TensorDict, explore: bool) -> TensorDict:
        """Filter one timestep (N,); return the next carry (N,), in which the action is yet to be set."""
        model = self.model
        deter = model.core.step(carry["deter"], carry["stoch"], carry["action"], timestep["is_first"])  # (N, D)
        embed = model.encoder(timestep)  # (N, E)
        previous = torch.where(timestep["is_first"].unsqueeze(-1), embed, carry["embed"])
        post = model.posterior(embed, previous, deter)
        stoch = post.sample() if explore else post.mode()  # (N, S)
        return TensorDict({"deter": deter, "stoch": stoch, "embed": embed}, batch_size=carry.batch_size)

    @torch.no_grad()
    def filtered(self, rows: TensorDict) -> Tensor:
        """Return the features (B, T, F) of rows (B, T), whoever acted there, filtered as where nothing is explored."""
        carry, feats = self.initial_carry(len(rows)), []
        rows = rows.clone(recurse=False).set("is_first", slice_resets(rows["is_first"]))
        for row in rows.unbind(1):
            carry = self.perceive(row, carry, explore=False).set("action", row["action"])
            feats.append(torch.cat([carry["deter"], carry["stoch"]], -1))  # (B, F)
        return torch.stack(feats, 1)

    def explore(self, feat: Tensor) -> Tensor:
        """Sample actions (..., A) with noise at features (..., F), as while collecting."""
        action = self.actor(feat).action()
        return (action + self.config.exploration * torch.randn_like(action)).clamp(-1, 1)

    def update(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Take one step of model, dual variable, actor, critic and target critic."""
        rows = self.sample(replay)  # (B, T)
        trace, metrics = self.update_model(rows)
        metrics.update(self.update_behaviour(trace, rows))
        self.updates += 1
        return metrics

    def sample(self, replay: ReplayBuffer) -> TensorDict:
        """Draw rows (B, T) to learn from, their frames shifted at random."""
        rows, _ = replay.sample(self.config.batch, self.config.length)
        if self.config.shift and "pixels" in rows:
            rows["pixels"] = random_shift(rows["pixels"], self.config.shift)
        return rows

    def update_model(self, rows: TensorDict) -> tuple[Trace, dict[str, Tensor]]:
        """Ascend the Lagrangian over the model and descend it over the dual variable, on rows (B, T)."""
        self.reward_moments.update(rows["reward"], has_reward(rows["is_first"]))
        with autocast(self.config.precision, self.device):
            losses, trace, metrics = self.model_losses(rows, self.reward_moments.standardize(rows["reward"]))
        scales = dict(self.model.scales())
        assert losses.keys() == scales.keys(), (losses.keys(), scales.keys())
        if self.continuation is not None:
            losses["continuation"] = self.continuation.loss(trace.feat, rows["is_terminal"])  # (B, T)
            scales["continuation"] = 1.0
        loss = torch.stack([scales[name] * value.mean() for name, value in losses.items()]).sum()
        norm = descend(self.optimizers["model"], loss, self.primal, self.config.model_clip)
        metrics |= {f"loss/{name}": value.detach().mean() for name, value in losses.items()} | {"model/grad_norm": norm}
        if isinstance(self.model, Constrained):
            descend(self.optimizers["dual"], self.model.dual_loss(metrics), self.model.dual_parameters())
            metrics |= self.model.duals()
        return trace, metrics

    def update_behaviour(self, trace: Trace, rows: TensorDict) -> dict[str, Tensor]:
        """Improve actor and critic on trajectories imagined from the trace's states, those of rows (B, T)."""
        c = self.config
        with frozen(self.model, self.continuation, self.target):
            with autocast(c.precision, self.device):
                before, after, reward, drawn, evidence = self.imagined(trace, rows)
                discount, weight = self.discounts(after)
                value, predicted = self.target(after).squeeze(-1), self.critic(before).squeeze(-1)  # (H, N)
            entropy = drawn.entropy()  # (H, N)
            if self.continuation is not None:  # a step is worth what it gives beside nothing, which is what comes after
                reward = self.reward_moments.around_zero(reward)
            # a value is a discounted average of rewards: its size, and so the critic's speed, does not grow with the
            # discount (our choice)
            wanted = reward if evidence is None else reward + c.empowerment * (evidence + entropy)  # (H, N)
            payoff = (1 - c.discount) * wanted  # (H, N)
            returns = lambda_return(payoff, value, discount, c.lambda_)  # (H, N)
            self.return_range.update(returns.detach())
            # returns divided by their range, as in DreamerV3's actor loss (arXiv 2301.04104): our choice
            gain = returns / self.return_range()  # (H, N)
            if c.actor_gradient == "reinforce":
                gain = drawn.log_prob() * (gain - predicted / self.return_range()).detach()
            actor_loss = weight * (-gain - c.entropy * entropy)  # (H, N)
            norm = descend(self.optimizers["actor"], actor_loss.mean(), list(self.actor.parameters()), c.behaviour_clip)
        critic_loss = weight * 0.5 * (predicted - returns.detach()).square()  # (H, N)
        descend(self.optimizers["critic"], critic_loss.mean(), list(self.critic.parameters()), c.behaviour_clip)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.target.parameters()), list(self.critic.parameters()), c.target_rate)
        metrics = {
            "loss/actor": actor_loss.detach().mean(),
            "loss/critic": critic_loss.detach().mean(),
            "imagine/reward": reward.detach().mean(),
            "imagine/return": returns.detach().mean(),
            "actor/entropy": entropy.detach().mean(),
            "actor/grad_norm": norm,
        }
        return metrics if evidence is None else metrics | {"imagine/empowerment": (evidence + entropy).detach().mean()}

    def discounts(self, feat: Tensor) -> tuple[float | Tensor, float | Tensor]:
        """Return discount and weight of steps to imagined features (H, N, F): (H, N) where episodes can end."""
        if self.continuation is None:
            return self.config.discount, 1.0
        going_on = self.continuation(feat)
        return self.config.discount * going_on, reached(going_on.detach())

    def imagine(self, trace: Trace, rows: TensorDict) -> tuple[Tensor, Tensor, Tensor, Draw, Tensor | None]:
        """Roll the policy out in the prior from rows (B, T) of the trace.

        Returns features (H, N, F) where steps begin, through which no gradient passes, and where they lead; of each
        step (H, N) the standardised reward, the policy's draw, and, if empowerment has a weight, ln q(a | z, z-).
        """
        c, model, window = self.config, self.model, self.window
        # (B*T,) rows with a past for the inverse model, and with a row before them: a slice's first has an empty memory
        # and knows no speed (our choice)
        inside = beginnings(windows_inside(rows["is_first"], max(window - 1, 2)), rows["is_terminal"])
        chosen = torch.multinomial(inside, c.starts, replacement=True)  # (N,)
        deters, stochs = (
            list(windows(x.detach(), window).flatten(0, 1)[chosen, 1:].unbind(1)) for x in (trace.deter, trace.stoch)
        )  # W-1 of (N, D), (N, S)
        deter, stoch = deters[-1], stochs[-1]  # (N, D), (N, S)
        feats, draws, actions = [torch.cat([deter, stoch], -1)], [], []
        for _ in range(c.horizon):
            draws.append(self.actor(feats[-1]))
            action = draws[-1].action()  # (N, A)
            if c.actor_gradient == "reinforce":
                action = action.detach()
            deter = model.core.step(deter, stoch, action)  # (N, D)
            stoch = model.core.prior(deter).sample()  # (N, S)
            feats.append(torch.cat([deter, stoch], -1))
            deters.append(deter)
            stochs.append(stoch)
            actions.append(action)
        before, after = torch.stack([feat.detach() for feat in feats[:-1]]), torch.stack(feats[1:])  # (H, N, F) each
        drawn, evidence = Draw(*map(torch.stack, zip(*draws, strict=True))), None  # (H, N, A) each
        if c.empowerment and isinstance(model, Empowering):
            evidence = model.action_evidence(torch.stack(deters), torch.stack(stochs), torch.stack(actions))  # (H, N)
        return before, after, model.reward(after), drawn, evidence

    def examine(self, replay: ReplayBuffer) -> dict[str, Tensor]:
        """Return what latents tell, and what an inverse model knows of actions with and without the pictures."""
        metrics, length = {}, min(self.config.length, replay.size)
        if isinstance(self.model, Empowering):
            leaks = [self.model.leak(replay.sample(self.config.batch, length)[0]) for _ in range(EXAMINED)]
            metrics = {name: torch.stack([leak[name] for leak in leaks]).mean() for name in leaks[0]}
        rows = slices_once(replay, length)
        reward = self.reward_moments.standardize(rows["reward"])
        return metrics | told(self.model, self.explore, rows) | {"foretold/reward": foretold(self.model, rows, reward)}

    @torch.no_grad()
    def represent(self, rows: TensorDict) -> dict[str, Tensor]:
        """Return the posterior's mode (B, T, S) and the features (B, T, F) that the policy reads."""
        traces = [self.model.observe(part) for part in rows.split(REPRESENTED)]
        codes = {"stoch": [trace.post.mode() for trace in traces], "feat": [trace.feat for trace in traces]}
        return {name: torch.cat(parts) for name, parts in codes.items()}

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
