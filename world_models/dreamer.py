"""Dreamer (Hafner et al., ICLR 2020, arXiv 1912.01603): a world model that reconstructs what it sees.

    L = E sum_t [ ln q(o_t | z_t) + ln q(r_t | z_t) - KL(q(z_t | z_{t-1}, a_{t-1}, o_t) || p(z_t | z_{t-1}, a_{t-1})) ],

its objective for learning by reconstruction, J_REC, with the KL's weight beta = 1. As in its code, the KL counts above
3 free nats, and both densities are normal with standard deviation 1, pictures in [-0.5, 0.5]. DreamerV2's KL balancing
(arXiv 2010.02193) is `prior_scale` 0.8 and `posterior_scale` 0.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tensordict import TensorDict
from torch import Tensor

from world_models.nets import Decoder
from world_models.parts import Body, BodyConfig, free, kl_sides, post_metrics
from world_models.rssm import Trace
from world_models.slices import has_past


@dataclass(frozen=True)
class DreamerModelConfig(BodyConfig):
    reconstruction_scale: float = 1.0
    forward_scale: float = 1.0
    prior_scale: float = 1.0
    """Weight of the KL's pull on the prior."""
    posterior_scale: float = 1.0
    """Weight of the KL's pull on the posterior."""
    free_nats: float = 3.0
    """Mean KL below which it is left alone."""
    reward_scale: float = 1.0


class DreamerModel(Body):
    """Encoder, recurrent state-space model, decoder and reward head."""

    config: DreamerModelConfig

    def __init__(
        self, observation_shapes: Mapping[str, tuple[int, ...]], action_dim: int, config: DreamerModelConfig
    ) -> None:
        super().__init__(observation_shapes, action_dim, config)
        self.decoder = Decoder(observation_shapes, config.convolutions, self.core.feat, config.hidden)

    def losses(self, rows: TensorDict, reward: Tensor) -> tuple[dict[str, Tensor], Trace, dict[str, Tensor]]:
        """Return unreduced losses (B, T), the trace, and metrics; `reward` (B, T) is standardised."""
        c, trace, first = self.config, self.observe(rows), rows["is_first"]
        known = has_past(first)  # (B, T)
        # -ln q(o_t | z_t), summed over pixels and channels, without its constant
        reconstruction = 0.5 * self.decoder.square_error(trace.feat, rows)  # (B, T)
        kl_prior, kl_post = kl_sides(trace.post, trace.prior)  # (B, T), (B, T)
        forward = c.prior_scale * free(kl_prior, known, c.free_nats)  # (B, T)
        forward = forward + c.posterior_scale * free(kl_post, known, c.free_nats)  # (B, T)
        log_prob, prior_log_prob = self.reward_terms(trace, reward, first)  # (B, T), (B, T)
        losses = {
            "reconstruction": reconstruction,
            "forward": forward,
            "reward": -log_prob,
            "prior_reward": -prior_log_prob,
        }
        return losses, trace, post_metrics(trace, kl_post, known)

    def scales(self) -> dict[str, float]:
        """Return the weight of each loss."""
        c = self.config
        return {
            "reconstruction": c.reconstruction_scale,
            "forward": c.forward_scale,
            "reward": c.reward_scale,
            "prior_reward": c.prior_reward_scale,
        }
