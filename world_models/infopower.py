"""InfoPower (Bharadhwaj et al., ICLR 2022, arXiv 2204.08585): a world model that encodes what the agent controls first.

    max_Z  sum_t I(O_t; Z_t)   subject to   mean_t C_t >= c0,

    C_t = - I(i_t; Z_t | Z_{t-1}, A_{t-1})     forward: -KL(posterior || prior)
          + I(A_{t-1}; Z_t | Z_{t-1})          empowerment: log q(a_{t-1} | z_t, z_{t-1}) + H(pi)
          + I(R_t; Z_t)                        reward: log q(r_t | z_t)

    L   = sum_t [ I(o_t; z_t) + lambda (C_t - c0) ],   lambda >= 0, ascended over the model, descended over lambda.

H(pi) does not depend on the model. In C we count that of a uniform guess, ln 2 for each action dimension: what knows
nothing of actions counts nothing, whatever their number. The loss is -L / (1 + lambda), which keeps the size of the
gradient when lambda grows, with a weight for each term; C, which lambda follows, counts each term once, unweighed. The
paper prints no hyper-parameters: all of this, and all defaults, are our choice. Reward and action come before the rest
of the picture: lambda starts high and falls only once the constraint holds, and empowerment weighs more than the KL,
until the inverse model knows enough.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from world_models.bounds import BOUNDS
from world_models.nets import InverseModel
from world_models.parts import Body, BodyConfig, bounded_dual, kl_sides, log_dual, post_metrics
from world_models.rssm import Trace
from world_models.slices import has_past, has_reward, mean_where, shift, windows, windows_inside


@dataclass(frozen=True)
class InfoPowerModelConfig(BodyConfig):
    posterior: Literal["observation", "recurrent"] = "observation"
    """Whether the posterior reads the two latest observations, or the latest and the recurrent state."""
    reward_std: float = 0.316
    """Standard deviation of q(r | z), in standard deviations of the reward: its squared error weighs 5."""
    prior_reward_scale: float = 0.5
    """Weight of predicting the reward from the prior's sample too, as imagination does."""
    bound: Literal["infonce", "nwj", "wasserstein-gp", "wasserstein-sn"] = "nwj"
    """Lower bound on I(O; Z); the last two hold its critic 1-Lipschitz, by gradient penalty or spectral norm."""
    critic: int = 200
    """Width of the bound's critic."""
    inverse_codes: Literal["stoch", "feat"] = "stoch"
    """What the inverse model reads. `feat` contains h, which has read the action: the negative control."""
    inverse_window: int = 3
    """W: codes z_{t-W+1}..z_t for the inverse model; one frame shows no velocity, so two codes are not enough."""
    inverse_bins: int = 11
    """Knots of the inverse model's density in each action dimension."""
    information_scale: float = 1.0
    forward_scale: float = 1.0
    posterior_scale: float = 0.3
    """Weight of the KL's pull on the posterior, against its pull on the prior."""
    free_nats: float = 1.0
    """A row's KL below which the posterior is left alone: else codes of small things fade before they tell anything."""
    reward_scale: float = 1.0
    inverse_scale: float = 10.0
    """Weight of empowerment in the loss. What a code tells of an action is less than the KL that it costs before the
    prior foretells it: weighed by 1 or less, where no reward comes, codes stay empty or hold the video."""
    action_nats: float = 0.5
    """What the inverse model shall know, nats over uniform for each action dimension; more is not asked of a code."""
    constraint: float = -3.84
    """c0, in nats a step."""
    dual_init: float = 50.0
    """First lambda."""
    dual_lr: float = 1e-3
    """Learning rate of ln lambda."""
    dual_max: float = 1000.0
    """Largest lambda, and the inverse of the smallest."""


class InfoPowerModel(Body):
    """Encoder, recurrent state-space model, and the five terms of the objective."""

    config: InfoPowerModelConfig

    def __init__(
        self, observation_shapes: Mapping[str, tuple[int, ...]], action_dim: int, config: InfoPowerModelConfig
    ) -> None:
        super().__init__(observation_shapes, action_dim, config)
        self.window = config.inverse_window
        code = self.core.stoch if config.inverse_codes == "stoch" else self.core.feat
        self.inverse = InverseModel(config.inverse_window * code, action_dim, config.hidden, config.inverse_bins)
        self.bound = BOUNDS[config.bound]
        self.critic = self.bound.critic(self.core.stoch, config.embed, config.critic)
        self.log_dual = log_dual(config.dual_init, config.dual_max)

    def losses(self, rows: TensorDict, reward: Tensor) -> tuple[dict[str, Tensor], Trace, dict[str, Tensor]]:
        """Return unreduced losses (B, T), the trace, and metrics; `reward` (B, T) is standardised."""
        c, trace, first = self.config, self.observe(rows), rows["is_first"]
        answers, known = has_reward(first), has_past(first)  # (B, T), (B, T)

        # I(O; Z): lower bound with other rows across time and batch as negatives
        pairs = trace.stoch.flatten(0, 1), trace.embed.flatten(0, 1)  # (B*T, S), (B*T, E)
        unbound, information = (x.view(first.shape) for x in self.bound.loss(self.critic, *pairs))  # (B, T)
        # - I(i; Z | Z-, A-): KL(posterior || prior), whose two sides may weigh differently (our choice)
        kl_prior, kl_post = kl_sides(trace.post, trace.prior)  # (B, T), (B, T)
        forward = (kl_prior + c.posterior_scale * kl_post.clamp(min=c.free_nats)) * known
        # I(R; Z): log q(r_t | z_t), Gaussian; of the prior's state too (our choice)
        log_prob, prior_log_prob = self.reward_terms(trace, reward, first)  # (B, T), (B, T)
        # I(A; Z | Z-): log q(a_{t-1} | z_t, z_{t-1}), up to H(pi)
        inside = windows_inside(first, c.inverse_window)  # (B, T)
        inverse = self.action_log_prob(self.windows(trace), shift(rows["action"])).sum(-1) * inside  # (B, T)

        actions = rows["action"].shape[-1]
        over_uniform = mean_where(inverse, inside) + actions * math.log(2)  # 0-dim
        wanting = over_uniform.detach() < c.action_nats * actions  # 0-dim
        losses = {
            "information": unbound,
            "forward": forward,
            "reward": -log_prob,
            "prior_reward": -prior_log_prob,
            "inverse": -inverse * wanting,
        }
        metrics = {
            "model/constraint": mean_where(log_prob, answers) + over_uniform - mean_where(kl_post * known, known),
            "model/information": information.mean(),
            "model/inverse_over_uniform": over_uniform / actions,
            **post_metrics(trace, kl_post, known),
        }
        return losses, trace, {name: value.detach() for name, value in metrics.items()}

    def scales(self) -> dict[str, Tensor]:
        """Return the weight of each loss: 1 for I(O; Z) and lambda for C, over 1 + lambda."""
        c = self.config
        constrained = torch.sigmoid(self.log_dual.detach())  # lambda / (1 + lambda)
        return {
            "information": c.information_scale * (1 - constrained),
            "forward": c.forward_scale * constrained,
            "reward": c.reward_scale * constrained,
            "prior_reward": c.prior_reward_scale * constrained,
            "inverse": c.inverse_scale * constrained,
        }

    def dual_parameters(self) -> list[nn.Parameter]:
        return [self.log_dual]

    def dual_loss(self, metrics: Mapping[str, Tensor]) -> Tensor:
        """Return lambda (C - c0), to be minimised over ln lambda: lambda grows while C < c0.

        The paper's printed update uses the primal gradient, a misprint.
        """
        dual = bounded_dual(self.log_dual, self.config.dual_max)
        return dual * (metrics["model/constraint"].detach() - self.config.constraint)

    def duals(self) -> dict[str, Tensor]:
        return {"model/dual": self.log_dual.detach().exp()}

    def code(self, deter: Tensor, stoch: Tensor) -> Tensor:
        """Return what the inverse model reads of one state (..., C)."""
        return stoch if self.config.inverse_codes == "stoch" else torch.cat([deter, stoch], -1)

    def windows(self, trace: Trace) -> Tensor:
        """Return the codes z_{t-W+1}..z_t of every row (B, T, W, C); zeros stand before the slice."""
        return windows(self.code(trace.deter, trace.stoch), self.window)

    def action_log_prob(self, windows: Tensor, action: Tensor) -> Tensor:
        """Return log q(a_{t-1} | z_{t-W+1}..z_t) (..., A) from windows (..., W, C) and a_{t-1} (..., A)."""
        return self.inverse(windows.flatten(-2), action)

    def action_evidence(self, deter: Tensor, stoch: Tensor, action: Tensor) -> Tensor:
        """Return ln q(a | z_{t-W+1}..z_t) (H, N) of imagined actions (H, N, A), from states (W-1+H, N, D and S)."""
        codes = self.code(deter, stoch).unfold(0, self.window, 1).movedim(-1, -2)  # (H, N, W, C)
        return self.action_log_prob(codes, action).sum(-1)

    @torch.no_grad()
    def leak(self, rows: TensorDict) -> dict[str, Tensor]:
        """Measure what the inverse model knows without the picture.

        Nats over uniform per action dimension, with the observations as they are and with the stochastic codes of
        another slice. An inverse model that reads h answers either way; one that looks falls to zero or below.
        """
        trace = self.observe(rows)
        inside = windows_inside(rows["is_first"], self.config.inverse_window).unsqueeze(-1)
        other = trace._replace(stoch=trace.stoch.roll(1, 0))
        count = inside.sum() * rows["action"].shape[-1]
        seen, shuffled = (
            (self.action_log_prob(self.windows(t), shift(rows["action"])) * inside).sum() / count + math.log(2)
            for t in (trace, other)
        )
        return {"inverse/seen": seen, "inverse/shuffled": shuffled}
