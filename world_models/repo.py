"""RePo (Zhu et al., NeurIPS 2023, arXiv 2309.00082): keep what predicts the reward, and cap what else may come in.

    max  E sum_t ln q(r_t | z_t)   subject to   KL(q(z_t | h_t, o_t) || p(z_t | h_t)) <= target,

as min over the model, max over beta >= 0 of E sum_t [ -ln q(r_t | z_t) + beta (KL - target) ]. Nothing reconstructs or
contrasts. As in its code the KL is balanced, five parts on the prior to one on the posterior, and ln beta is ascended
on KL - target itself. The decoder that its code trains beside it, behind a stopped gradient, only shows pictures.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from world_models.parts import Body, BodyConfig, kl_sides, post_metrics
from world_models.rssm import Trace
from world_models.slices import has_past


@dataclass(frozen=True)
class RePoModelConfig(BodyConfig):
    target: float = 3.0
    """KL in nats a step that the dual variable holds."""
    prior_share: float = 5 / 6
    """Of the KL's gradient, what fits the prior; the rest simplifies the posterior."""
    reward_scale: float = 1.0
    dual_init: float = 1e-5
    """First beta."""
    dual_lr: float = 1e-4
    """Learning rate of ln beta."""


class RePoModel(Body):
    """Encoder, recurrent state-space model, reward head and the dual variable."""

    config: RePoModelConfig

    def __init__(
        self, observation_shapes: Mapping[str, tuple[int, ...]], action_dim: int, config: RePoModelConfig
    ) -> None:
        super().__init__(observation_shapes, action_dim, config)
        self.log_dual = nn.Parameter(torch.tensor(math.log(config.dual_init)))

    def losses(self, rows: TensorDict, reward: Tensor) -> tuple[dict[str, Tensor], Trace, dict[str, Tensor]]:
        """Return unreduced losses (B, T), the trace, and metrics; `reward` (B, T) is standardised."""
        c, trace, first = self.config, self.observe(rows), rows["is_first"]
        known = has_past(first)  # (B, T)
        kl_prior, kl_post = kl_sides(trace.post, trace.prior)  # (B, T), (B, T)
        forward = (c.prior_share * kl_prior + (1 - c.prior_share) * kl_post - c.target) * known  # (B, T)
        log_prob, prior_log_prob = self.reward_terms(trace, reward, first)  # (B, T), (B, T)
        losses = {"forward": forward, "reward": -log_prob, "prior_reward": -prior_log_prob}
        return losses, trace, post_metrics(trace, kl_post, known)

    def scales(self) -> dict[str, Tensor | float]:
        """Return the weight of each loss: beta for the KL."""
        c = self.config
        beta = self.log_dual.detach().exp()
        return {"forward": beta, "reward": c.reward_scale, "prior_reward": c.prior_reward_scale}

    def dual_parameters(self) -> list[nn.Parameter]:
        return [self.log_dual]

    def dual_loss(self, metrics: Mapping[str, Tensor]) -> Tensor:
        """Return -ln beta (KL - target): beta grows while the KL is above its target."""
        return -self.log_dual * (metrics["model/kl"].detach() - self.config.target)

    def duals(self) -> dict[str, Tensor]:
        return {"model/dual": self.log_dual.detach().exp()}
