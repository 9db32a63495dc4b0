"""R2, the objective of R2-Dreamer (github.com/NM512/r2dreamer): Barlow Twins between latent state and observation.

The features of a row, projected linearly, and its encoded observation, through which no gradient passes, are
standardised over the batch; their cross-correlation C (E, E) is drawn to the identity (L_BT of arXiv 2103.03230):

    L = sum_i (C_ii - 1)^2 + lambda sum_{i != j} C_ij^2,   lambda = 5e-4, weighed by 0.05,

beside DreamerV3's two KL terms (L_dyn and L_rep of arXiv 2301.04104), each with one free nat a row, weighed by 1 and
0.1. There are no negatives, no decoder and no augmentation. What else that code changes (its reward head, optimiser,
block-diagonal recurrence, learning from the replay's returns) is not part of the objective, and not here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from tensordict import TensorDict
from torch import Tensor

from world_models.nets import Output, full_precision, initialize
from world_models.parts import Body, BodyConfig, kl_sides, post_metrics
from world_models.rssm import Trace
from world_models.slices import has_past

MIN_STD = 1e-8


@dataclass(frozen=True)
class R2ModelConfig(BodyConfig):
    redundancy_scale: float = 0.05
    off_diagonal: float = 5e-4
    """lambda: weight of the correlations between different dimensions."""
    dynamics_scale: float = 1.0
    """Weight of the KL that fits the prior."""
    representation_scale: float = 0.1
    """Weight of the KL that simplifies the posterior."""
    free_nats: float = 1.0
    """KL of a row below which it is left alone."""
    reward_scale: float = 1.0


class R2Model(Body):
    """Encoder, recurrent state-space model, linear projection and reward head."""

    config: R2ModelConfig

    def __init__(
        self, observation_shapes: Mapping[str, tuple[int, ...]], action_dim: int, config: R2ModelConfig
    ) -> None:
        super().__init__(observation_shapes, action_dim, config)
        self.projection = Output(self.core.feat, config.embed, bias=False)
        initialize(self.projection)

    def losses(self, rows: TensorDict, reward: Tensor) -> tuple[dict[str, Tensor], Trace, dict[str, Tensor]]:
        """Return unreduced losses (B, T), the trace, and metrics; `reward` (B, T) is standardised."""
        c, trace, first = self.config, self.observe(rows), rows["is_first"]
        known = has_past(first)  # (B, T)
        projected, embed = self.projection(trace.feat).flatten(0, 1), trace.embed.flatten(0, 1)  # (B*T, E), (B*T, E)
        redundancy = barlow_twins(projected, embed.detach(), c.off_diagonal)  # (), of all rows together
        kl_prior, kl_post = kl_sides(trace.post, trace.prior)  # (B, T), (B, T)
        log_prob, prior_log_prob = self.reward_terms(trace, reward, first)  # (B, T), (B, T)
        losses = {
            "redundancy": redundancy.expand(first.shape),
            "dynamics": kl_prior.clamp(min=c.free_nats) * known,
            "representation": kl_post.clamp(min=c.free_nats) * known,
            "reward": -log_prob,
            "prior_reward": -prior_log_prob,
        }
        return losses, trace, post_metrics(trace, kl_post, known)

    def scales(self) -> dict[str, float]:
        """Return the weight of each loss."""
        c = self.config
        return {
            "redundancy": c.redundancy_scale,
            "dynamics": c.dynamics_scale,
            "representation": c.representation_scale,
            "reward": c.reward_scale,
            "prior_reward": c.prior_reward_scale,
        }


def barlow_twins(x: Tensor, y: Tensor, off_diagonal: float) -> Tensor:
    """Return the distance of the cross-correlation of x (K, E) and y (K, E) from the identity: 0-dim."""
    x, y = (normalized(v.float()) for v in (x, y))  # (K, E), (K, E)
    with full_precision(x):
        correlation = x.T @ y / len(x)  # (E, E)
    diagonal = correlation.diagonal()  # (E,)
    redundancy = correlation.square().sum() - diagonal.square().sum()
    return (diagonal - 1).square().sum() + off_diagonal * redundancy


def normalized(x: Tensor) -> Tensor:
    """Return columns (K, E) of mean 0 and deviation 1, or less where they hardly vary."""
    centred = x - x.mean(0)
    return centred / (torch.linalg.vector_norm(centred, dim=0) / math.sqrt(len(x) - 1) + MIN_STD)
