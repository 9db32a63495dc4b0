"""InfoPower+, ours: InfoPower (arXiv 2204.08585) with what later work found against distractions.

    max  sum_k I(O_{t+k}; Z_t, A_t..A_{t+k-1} | slice) / K   subject to, for each step,

    KL(posterior || prior)                    <= `kl`            what is seen must be worth its nats (RePo, 2309.00082)
    E ln q(r_t | z_t)                         >= that of `reward_error`
    E ln q_k(a_t | z_t, z_{t+k}), k ~ 1..K    >= that of `action_nats`

- The information is about what will be seen: the prior, rolled k steps with the actions taken, must tell the encoded
  observation from others (as in TPC, arXiv 2106.07156), and the others are of the same slice. What stays as it is for a
  slice, such as which video plays, tells none of them apart; among pictures of all slices it told most.
- Inverse models look up to K steps ahead (AC-State, arXiv 2207.08229), at codes z of both ends, each at its own
  distance: one for all, told the distance, learns nothing where no reward comes, not even one step ahead. With the
  posterior `observation` codes hold pictures alone; `recurrent` lets the action in through h.
- Each constraint has a dual variable and a target of its own, so that one which holds does not pay for one which does
  not. The loss is the Lagrangian over 1 + sum of lambda, as in our InfoPower; the prior is fitted beside it. Actions
  weigh more, as there, and nothing once as much of them is known as is asked.

All of it is our choice.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from tensordict import TensorDict
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.bounds import BilinearCritic, infonce
from world_models.nets import InverseModel, full_precision
from world_models.parts import Body, BodyConfig, bounded_dual, kl_sides, log_dual, post_metrics
from world_models.rssm import Trace
from world_models.slices import has_past, has_reward, mean_where, windows_inside

CONSTRAINTS = ("forward", "reward", "inverse")


@dataclass(frozen=True)
class InfoPowerPlusModelConfig(BodyConfig):
    posterior: Literal["observation", "recurrent"] = "observation"
    """Whether the posterior reads the two latest observations, or the latest and the recurrent state."""
    reward_std: float = 0.316
    """Standard deviation of q(r | z), in standard deviations of the reward: its squared error weighs 5."""
    prior_reward_scale: float = 0.5
    """Weight of predicting the reward from the prior's sample too, in parts of the reward's dual variable."""
    critic: int = 200
    """Width of the bound's bilinear critic."""
    future: int = 3
    """K: steps that the prior is rolled to what will be seen."""
    inverse_steps: int = 3
    """K: steps between the codes that inverse models see, at most."""
    inverse_bins: int = 11
    """Knots of the inverse models' densities in each action dimension."""
    kl: float = 1.5
    """KL in nats a step that the posterior may cost; it takes what it is given, and fills it with the video."""
    reward_error: float = 0.1
    """Mean squared error of the reward, in its variance, that is good enough."""
    action_nats: float = 0.3
    """What inverse models shall know: nats over uniform, for each action dimension; more is not asked of a code."""
    information_scale: float = 1.0
    prior_scale: float = 1.0
    """Weight of fitting the prior."""
    inverse_scale: float = 30.0
    """Weight of empowerment beside the other constraints; 0 leaves it out of the model."""
    dual_init: tuple[float, float, float] = (10.0, 10.0, 10.0)
    """First lambda of the KL, the reward and the actions."""
    dual_lr: float = 1e-3
    """Learning rate of ln lambda."""
    dual_max: float = 10.0
    """Largest lambda, and the inverse of the smallest: the information still weighs 1 / 31."""


class InfoPowerPlusModel(Body):
    """Encoder, recurrent state-space model, reward head, inverse models, critic and dual variables."""

    config: InfoPowerPlusModelConfig

    window = 2  # states that an action joins

    def __init__(
        self, observation_shapes: Mapping[str, tuple[int, ...]], action_dim: int, config: InfoPowerPlusModelConfig
    ) -> None:
        super().__init__(observation_shapes, action_dim, config)
        c = config
        if c.future < 1 or c.inverse_steps < 1:
            raise ValueError(f"--agent.model.future {c.future} and inverse-steps {c.inverse_steps} must be at least 1")
        head = (2 * self.core.stoch, action_dim, c.hidden, c.inverse_bins)
        self.inverse = nn.ModuleList(InverseModel(*head) for _ in range(c.inverse_steps))  # by k - 1
        self.critic = BilinearCritic(self.core.feat, c.embed, c.critic)
        self.log_dual = log_dual(c.dual_init, c.dual_max)  # as CONSTRAINTS
        log_reward = -0.5 * c.reward_error / c.reward_std**2 - math.log(c.reward_std) - 0.5 * math.log(2 * math.pi)
        log_action = action_dim * (c.action_nats - math.log(2))  # uniform on [-1, 1]: -ln 2
        self.targets = {"forward": -c.kl, "reward": log_reward, "inverse": log_action}

    def losses(self, rows: TensorDict, reward: Tensor) -> tuple[dict[str, Tensor], Trace, dict[str, Tensor]]:
        """Return unreduced losses (B, T), the trace, and metrics; `reward` (B, T) is standardised."""
        c, trace, first = self.config, self.observe(rows), rows["is_first"]
        answers, known = has_reward(first), has_past(first)  # (B, T), (B, T)
        information = self.information(trace, rows["action"], first)  # (B, T)
        kl_prior, kl_post = kl_sides(trace.post, trace.prior)  # (B, T), (B, T)
        log_prob, prior_log_prob = self.reward_terms(trace, reward, first)  # (B, T), (B, T)
        inverse, pairs = self.inverse_terms(trace.stoch, rows["action"], first)  # (B, T), (B, T)
        told = mean_where(inverse, pairs)  # 0-dim
        losses = {
            "information": -information,
            "prior": kl_prior * known,
            "forward": kl_post * known,
            "reward": -log_prob,
            "prior_reward": -prior_log_prob,
            "inverse": -inverse / c.inverse_steps * (told.detach() < self.targets["inverse"]),
        }
        constraints = {
            "forward": -mean_where(kl_post * known, known),
            "reward": mean_where(log_prob, answers),
            "inverse": told,
        }
        metrics = {f"model/constraint_{name}": value.detach() for name, value in constraints.items()}
        metrics |= post_metrics(trace, kl_post, known) | {"model/information": information.detach().mean()}
        over_uniform = told.detach() / rows["action"].shape[-1] + math.log(2)
        return losses, trace, metrics | {"model/inverse_over_uniform": over_uniform}

    def information(self, trace: Trace, action: Tensor, is_first: Tensor) -> Tensor:
        """Bound I(O_{t+k}; Z_t, A_t.. | slice) (B, T) in nats, averaged over k; late in a slice less is known."""
        deter, stoch, total = trace.deter, trace.stoch, torch.zeros_like(trace.deter[..., 0])
        futures = min(self.config.future, action.shape[1] - 1)
        for k in range(1, futures + 1):
            rest = action.shape[1] - k  # rows t with a row t + k
            taken = action[:, k - 1 : -1].flatten(0, 1)  # (B*R, A) a_{t+k-1}
            deter, stoch = (x[:, :rest].flatten(0, 1) for x in (deter, stoch))  # (B*R, D), (B*R, S)
            deter = self.core.step(deter, stoch, taken)  # (B*R, D)
            stoch = self.core.prior(deter).sample()  # (B*R, S)
            deter, stoch = (x.unflatten(0, (-1, rest)) for x in (deter, stoch))  # (B, R, D), (B, R, S)
            with full_precision(deter):
                scores = self.critic(torch.cat([deter, stoch], -1).float(), trace.embed[:, k:].float())  # (B, R, R)
            told = infonce(scores) * windows_inside(is_first, k + 1)[:, k:]  # (B, R)
            total = total + F.pad(told, (0, k)) / futures  # (B, T)
        return total

    def inverse_terms(self, stoch: Tensor, action: Tensor, is_first: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum over k of ln q_k(a_t | z_t, z_{t+k}), and of how many: (B, T), (B, T)."""
        total, count = torch.zeros_like(stoch[..., 0]), torch.zeros_like(stoch[..., 0])
        for k in range(1, min(self.config.inverse_steps, stoch.shape[1] - 1) + 1):
            same = windows_inside(is_first, k + 1)[:, k:]  # (B, T - k)
            told = self.action_log_prob(stoch[:, :-k], stoch[:, k:], k, action[:, :-k]) * same  # (B, T - k)
            total, count = total + F.pad(told, (0, k)), count + F.pad(same, (0, k))
        return total, count

    def scales(self) -> dict[str, Tensor | float]:
        """Return the weight of each loss: 1 for the information and lambda for constraints, over 1 + their sum."""
        c = self.config
        dual = dict(zip(CONSTRAINTS, self.log_dual.detach().exp(), strict=True))
        if c.inverse_scale == 0:  # no constraint, no part of the sum
            dual["inverse"] = torch.zeros_like(dual["inverse"])
        share = 1 / (1 + torch.stack(list(dual.values())).sum())
        return {
            "information": c.information_scale * share,
            "prior": c.prior_scale,
            "forward": dual["forward"] * share,
            "reward": dual["reward"] * share,
            "prior_reward": c.prior_reward_scale * dual["reward"] * share,
            "inverse": c.inverse_scale * dual["inverse"] * share,
        }

    def dual_parameters(self) -> list[nn.Parameter]:
        return [self.log_dual]

    def dual_loss(self, metrics: Mapping[str, Tensor]) -> Tensor:
        """Return sum of lambda (C - target): each lambda grows while its constraint is below its target."""
        slack = [metrics[f"model/constraint_{name}"].detach() - self.targets[name] for name in CONSTRAINTS]
        return (bounded_dual(self.log_dual, self.config.dual_max) * torch.stack(slack)).sum()

    def duals(self) -> dict[str, Tensor]:
        return {
            f"model/dual_{name}": value.detach().exp() for name, value in zip(CONSTRAINTS, self.log_dual, strict=True)
        }

    def action_log_prob(self, code: Tensor, later: Tensor, k: int, action: Tensor) -> Tensor:
        """Return ln q_k(a_t | z_t, z_{t+k}) (...) from codes (..., S) and actions (..., A)."""
        log_prob: Tensor = self.inverse[k - 1](torch.cat([code, later], -1), action)  # (..., A)
        return log_prob.sum(-1)

    def action_evidence(self, deter: Tensor, stoch: Tensor, action: Tensor) -> Tensor:
        """Return the mean over k of ln q_k(a_t | z_t, z_{t+k}) (H, N), as far as states (1+H, N, S) were imagined."""
        horizon = len(action)
        total, count = torch.zeros_like(action[..., 0]), torch.zeros_like(action[..., 0])  # (H, N), (H, N)
        for k in range(1, min(self.config.inverse_steps, horizon) + 1):
            reached = horizon - k + 1  # actions whose effect after k steps was imagined
            told = self.action_log_prob(stoch[:reached], stoch[k:], k, action[:reached])  # (R, N)
            total = total + F.pad(told, (0, 0, 0, k - 1))  # (H, N)
            count[:reached] += 1
        return total / count

    @torch.no_grad()
    def leak(self, rows: TensorDict) -> dict[str, Tensor]:
        """Measure what is known of the action one step ahead, with the picture and with another slice's codes.

        Nats over uniform for each action dimension.
        """
        codes, action = self.observe(rows).stoch, rows["action"][:, :-1]
        same = windows_inside(rows["is_first"], 2)[:, 1:]  # (B, T - 1)
        seen, shuffled = (
            mean_where(self.action_log_prob(c[:, :-1], c[:, 1:], 1, action) * same, same) / action.shape[-1]
            for c in (codes, codes.roll(1, 0))
        )
        return {"inverse/seen": seen + math.log(2), "inverse/shuffled": shuffled + math.log(2)}
