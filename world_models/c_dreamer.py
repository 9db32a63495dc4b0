"""C-Dreamer, the contrastive Dreamer of CVRL (Ma et al., CoRL 2020, arXiv 2008.02430): Dreamer without a decoder.

Dreamer's ln q(o_t | z_t) gives way to the contrastive bound on I(O; Z), with all other rows of the batch as negatives:

    ln f(z_t, o_t) - ln sum_{o'} f(z_t, o'),   ln f(z, o) = m(z)^T k(e(o)),

m and k perceptrons of one hidden layer on the features and on the encoded observation, as in its code. The rest, free
nats included, is Dreamer's. Its guided policy and soft actor-critic are not here: the behaviour is every agent's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tensordict import TensorDict
from torch import Tensor

from world_models.bounds import infonce
from world_models.nets import full_precision, mlp
from world_models.parts import Body, BodyConfig, free, kl_sides, post_metrics
from world_models.rssm import Trace
from world_models.slices import has_past


@dataclass(frozen=True)
class CDreamerModelConfig(BodyConfig):
    critic: int = 200
    """Width of the space in which features and observations are compared; k's hidden layer is twice as wide."""
    information_scale: float = 1.0
    forward_scale: float = 1.0
    prior_scale: float = 1.0
    """Weight of the KL's pull on the prior."""
    posterior_scale: float = 1.0
    """Weight of the KL's pull on the posterior."""
    free_nats: float = 3.0
    """Mean KL below which it is left alone."""
    reward_scale: float = 1.0


class CDreamerModel(Body):
    """Encoder, recurrent state-space model, contrastive heads and reward head."""

    config: CDreamerModelConfig

    def __init__(
        self, observation_shapes: Mapping[str, tuple[int, ...]], action_dim: int, config: CDreamerModelConfig
    ) -> None:
        super().__init__(observation_shapes, action_dim, config)
        self.query = mlp(self.core.feat, config.critic, config.critic, layers=1)
        self.key = mlp(config.embed, config.critic, 2 * config.critic, layers=1)

    def losses(self, rows: TensorDict, reward: Tensor) -> tuple[dict[str, Tensor], Trace, dict[str, Tensor]]:
        """Return unreduced losses (B, T), the trace, and metrics; `reward` (B, T) is standardised."""
        c, trace, first = self.config, self.observe(rows), rows["is_first"]
        known = has_past(first)  # (B, T)
        query, key = self.query(trace.feat).flatten(0, 1), self.key(trace.embed).flatten(0, 1)  # (B*T, critic)
        with full_precision(query):
            information = infonce(query @ key.T).view(first.shape)  # (B, T)
        kl_prior, kl_post = kl_sides(trace.post, trace.prior)  # (B, T), (B, T)
        forward = c.prior_scale * free(kl_prior, known, c.free_nats)  # (B, T)
        forward = forward + c.posterior_scale * free(kl_post, known, c.free_nats)  # (B, T)
        log_prob, prior_log_prob = self.reward_terms(trace, reward, first)  # (B, T), (B, T)
        losses = {
            "information": -information,
            "forward": forward,
            "reward": -log_prob,
            "prior_reward": -prior_log_prob,
        }
        metrics = {"model/information": information.detach().mean(), **post_metrics(trace, kl_post, known)}
        return losses, trace, metrics

    def scales(self) -> dict[str, float]:
        """Return the weight of each loss."""
        c = self.config
        return {
            "information": c.information_scale,
            "forward": c.forward_scale,
            "reward": c.reward_scale,
            "prior_reward": c.prior_reward_scale,
        }
