"""Dreamer (Hafner et al., ICLR 2020, arXiv 1912.01603): a world model that reconstructs what it sees.

    L = E sum_t [ ln q(o_t | z_t) + ln q(r_t | z_t) - KL(q(z_t | z_{t-1}, a_{t-1}, o_t) || p(z_t | z_{t-1}, a_{t-1})) ],

its objective for learning by reconstruction, J_REC, with the KL's weight beta = 1. As in its code, the KL counts above
3 free nats, and both densities are normal with standard deviation 1, pictures in [-0.5, 0.5]. DreamerV2's KL balancing
(arXiv 2010.02193) is `prior_scale` 0.8 and `posterior_scale` 0.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tensordict import TensorDict
from torch import Tensor, nn

from world_models.nets import Decoder
from world_models.parts import answered, body, free, kl_sides, observe, post_metrics, reward_terms
from world_models.rssm import Trace


@dataclass(frozen=True)
class DreamerModelConfig:
    convolutions: tuple[tuple[int, int, int], ...] = ((32, 4, 2), (64, 4, 2), (128, 4, 2), (256, 4, 2))
    """The encoder's (channels, kernel, stride); the decoder mirrors them."""
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
    reconstruction_scale: float = 1.0
    forward_scale: float = 1.0
    prior_scale: float = 1.0
    """Weight of the KL's pull on the prior."""
    posterior_scale: float = 1.0
    """Weight of the KL's pull on the posterior."""
    free_nats: float = 3.0
    """Mean KL below which it is left alone."""
    reward_scale: float = 1.0
    reward_std: float = 1.0
    """Standard deviation of q(r | z), in standard deviations of the reward."""
    prior_reward_scale: float = 0.0
    """Weight of predicting the reward from the prior's sample too, as imagination does."""


class DreamerModel(nn.Module):
    """Encoder, recurrent state-space model, decoder and reward head."""

    def __init__(
        self, observation_shapes: Mapping[str, tuple[int, ...]], action_dim: int, config: DreamerModelConfig
    ) -> None:
        super().__init__()
        c = self.config = config
        self.encoder, self.core, self.posterior, self.reward_head = body(observation_shapes, action_dim, c)
        self.decoder = Decoder(observation_shapes, c.convolutions, self.core.feat, c.hidden)

    def observe(self, rows: TensorDict) -> Trace:
        """Filter rows (B, T) into posterior and prior states."""
        return observe(self.encoder, self.core, self.posterior, rows)

    def losses(self, rows: TensorDict, reward: Tensor) -> tuple[dict[str, Tensor], Trace, dict[str, Tensor]]:
        """Return unreduced losses (B, T), the trace, and metrics; `reward` (B, T) is standardised."""
        c, trace, first = self.config, self.observe(rows), rows["is_first"]
        _, known = answered(first)  # (B, T)
        # -ln q(o_t | z_t), summed over pixels and channels, without its constant
        reconstruction = 0.5 * self.decoder.square_error(trace.feat, rows)  # (B, T)
        kl_prior, kl_post = kl_sides(trace.post, trace.prior)  # (B, T), (B, T)
        forward = c.prior_scale * free(kl_prior, known, c.free_nats)  # (B, T)
        forward = forward + c.posterior_scale * free(kl_post, known, c.free_nats)  # (B, T)
        log_prob, prior_log_prob = reward_terms(self.reward, trace, reward, first, c.reward_std)  # (B, T), (B, T)
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

    def reward(self, feat: Tensor) -> Tensor:
        """Predict the standardised reward (...) from features (..., F)."""
        return self.reward_head(feat).squeeze(-1)
