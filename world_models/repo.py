"""RePo (Zhu et al., NeurIPS 2023, arXiv 2309.00082): keep what predicts the reward, and cap what else may come in.

    max  E sum_t ln q(r_t | z_t)   subject to   KL(q(z_t | h_t, o_t) || p(z_t | h_t)) <= target,

as min over the model, max over beta >= 0 of E sum_t [ -ln q(r_t | z_t) + beta (KL - target) ]. Nothing reconstructs or
contrasts. As in its code the KL is balanced, five parts on the prior to one on the posterior, and ln beta is ascended
on KL - target itself. The decoder that its code trains beside it, behind a stopped gradient, only shows pictures.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from world_models.parts import answered, body, kl_sides, observe, post_metrics, reward_terms
from world_models.rssm import Trace


@dataclass(frozen=True)
class RePoModelConfig:
    convolutions: tuple[tuple[int, int, int], ...] = ((32, 4, 2), (64, 4, 2), (128, 4, 2), (256, 4, 2))
    """The encoder's (channels, kernel, stride)."""
    embed: int = 1024
    """Size of the encoder's output."""
    deter: int = 200
    stoch: int = 30
    """Gaussian variables, or categorical ones of `classes` each."""
    classes: int = 32
    latent: Literal["gaussian", "categorical"] = "gaussian"
    """What z is: Dreamer's normal variables, or DreamerV2's one-hot ones."""
    hidden: int = 400
    posterior: Literal["observation", "recurrent"] = "recurrent"
    """Whether the posterior reads the two latest observations, or the latest and the recurrent state."""
    target: float = 3.0
    """KL in nats a step that the dual variable holds."""
    prior_share: float = 5 / 6
    """Of the KL's gradient, what fits the prior; the rest simplifies the posterior."""
    reward_scale: float = 1.0
    reward_std: float = 1.0
    """Standard deviation of q(r | z), in standard deviations of the reward."""
    prior_reward_scale: float = 0.0
    """Weight of predicting the reward from the prior's sample too, as imagination does."""
    dual_init: float = 1e-5
    """First beta."""
    dual_lr: float = 1e-4
    """Learning rate of ln beta."""


class RePoModel(nn.Module):
    """Encoder, recurrent state-space model, reward head and the dual variable."""

    def __init__(
        self, observation_shapes: Mapping[str, tuple[int, ...]], action_dim: int, config: RePoModelConfig
    ) -> None:
        super().__init__()
        c = self.config = config
        self.encoder, self.core, self.posterior, self.reward_head = body(observation_shapes, action_dim, c)
        self.log_dual = nn.Parameter(torch.tensor(math.log(c.dual_init)))

    def observe(self, rows: TensorDict) -> Trace:
        """Filter rows (B, T) into posterior and prior states."""
        return observe(self.encoder, self.core, self.posterior, rows)

    def losses(self, rows: TensorDict, reward: Tensor) -> tuple[dict[str, Tensor], Trace, dict[str, Tensor]]:
        """Return unreduced losses (B, T), the trace, and metrics; `reward` (B, T) is standardised."""
        c, trace, first = self.config, self.observe(rows), rows["is_first"]
        _, known = answered(first)  # (B, T)
        kl_prior, kl_post = kl_sides(trace.post, trace.prior)  # (B, T), (B, T)
        forward = (c.prior_share * kl_prior + (1 - c.prior_share) * kl_post - c.target) * known  # (B, T)
        log_prob, prior_log_prob = reward_terms(self.reward, trace, reward, first, c.reward_std)  # (B, T), (B, T)
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

    def reward(self, feat: Tensor) -> Tensor:
        """Predict the standardised reward (...) from features (..., F)."""
        return self.reward_head(feat).squeeze(-1)
