"""What the objectives share: the body of a world model, and the terms that more than one of them has."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from world_models.latents import LATENTS, Distribution
from world_models.nets import Encoder, mlp
from world_models.rssm import POSTERIORS, Core, Trace
from world_models.slices import has_past, has_reward, mean_where, shift, slice_resets


@dataclass(frozen=True)
class BodyConfig:
    """The options that every objective has."""

    convolutions: tuple[tuple[int, int, int], ...] = ((32, 4, 2), (64, 4, 2), (128, 4, 2), (256, 4, 2))
    """The encoder's (channels, kernel, stride)."""
    embed: int = 1024
    """Size of the encoder's output."""
    deter: int = 200  # Size of the recurrent state h.
    stoch: int = 30
    """Gaussian variables, or categorical ones of `classes` each."""
    classes: int = 32  # Of each categorical variable.
    latent: Literal["gaussian", "categorical"] = "gaussian"
    """What z is: Dreamer's normal variables, or DreamerV2's one-hot ones."""
    hidden: int = 400  # Units of layers between.
    posterior: Literal["observation", "recurrent"] = "recurrent"
    """Whether the posterior reads the two latest observations, or the latest and the recurrent state."""
    reward_std: float = 1.0
    """Standard deviation of q(r | z), in standard deviations of the reward."""
    prior_reward_scale: float = 0.0
    """Weight of predicting the reward from the prior's sample too, as imagination does."""


class Body(nn.Module):
    """Encoder, recurrent state-space model, posterior and reward head: what every objective trains."""

    def __init__(self, observation_shapes: Mapping[str, tuple[int, ...]], action_dim: int, config: BodyConfig) -> None:
        super().__init__()
        c = self.config = config
        self.encoder = Encoder(observation_shapes, c.convolutions, c.embed, c.hidden)
        self.core = Core(action_dim, c.deter, LATENTS[c.latent](c.stoch, c.classes), c.hidden)
        self.posterior = POSTERIORS[c.posterior](c.embed, self.core)
        self.reward_head = mlp(self.core.feat, 1, c.hidden)

    def observe(self, rows: TensorDict) -> Trace:
        """Filter rows (B, T) into posterior and prior states."""
        reset = slice_resets(rows["is_first"])  # (B, T)
        return self.posterior.observe(self.core, self.encoder(rows), shift(rows["action"]), reset)

    def reward(self, feat: Tensor) -> Tensor:
        """Predict the standardised reward (...) from features (..., F)."""
        return self.reward_head(feat).squeeze(-1)

    def reward_terms(self, trace: Trace, reward: Tensor, is_first: Tensor) -> tuple[Tensor, Tensor]:
        """Return log q(r_t | z_t) (B, T) of the posterior's sample and of the prior's, which imagination reads."""
        c = self.config
        seen = normal_log_prob(self.reward(trace.feat), reward, c.reward_std) * has_reward(is_first)
        learns = torch.is_grad_enabled() and c.prior_reward_scale > 0  # what weighs nothing is a metric
        with torch.set_grad_enabled(learns):
            prior_feat = torch.cat([trace.deter, trace.prior.sample()], -1)  # (B, T, F)
            foreseen = normal_log_prob(self.reward(prior_feat), reward, c.reward_std) * has_past(is_first)
        return seen, foreseen


def kl_sides(post: Distribution, prior: Distribution) -> tuple[Tensor, Tensor]:
    """Return KL(post || prior) (B, T) twice: as what fits the prior, and as what simplifies the posterior.

    The two sides of DreamerV2's KL balancing (arXiv 2010.02193, algorithm 2).
    """
    return post.detach().kl(prior), post.kl(prior.detach())


def free(kl: Tensor, known: Tensor, nats: float) -> Tensor:
    """Keep KL (B, T) where its mean over known rows is above `nats`, which stand in its place elsewhere (Dreamer)."""
    kl = kl * known  # (B, T)
    return torch.where(mean_where(kl, known) > nats, kl, nats * known)


def log_dual(first: float | tuple[float, ...], most: float) -> nn.Parameter:
    """Return ln lambda, to be learned; raise ValueError for a first lambda outside of 1 / most to most."""
    dual = torch.tensor(first)
    if not 1 / most <= dual.min() <= dual.max() <= most:
        told = " ".join(f"{value:g}" for value in dual.flatten().tolist())
        raise ValueError(f"--agent.model.dual-init {told} must lie from 1 / dual-max to dual-max, {most:g}")
    return nn.Parameter(dual.log())


def bounded_dual(log_dual: nn.Parameter, most: float) -> Tensor:
    """Project ln lambda so that lambda lies from 1 / most to most, in place, and return lambda.

    A target out of reach would drive it up for ever, and what has risen for long takes longer to fall.
    """
    with torch.no_grad():
        log_dual.clamp_(-math.log(most), math.log(most))
    return log_dual.exp()


def normal_log_prob(mean: Tensor, value: Tensor, std: float) -> Tensor:
    """Return the log-density (...) of a normal distribution, in nats."""
    return -0.5 * ((mean - value) / std).square() - math.log(std) - 0.5 * math.log(2 * math.pi)


def post_metrics(trace: Trace, kl: Tensor, known: Tensor) -> dict[str, Tensor]:
    """Return what every objective says of its posterior: its KL (B, T) from the prior in nats, and its spread."""
    spread = {f"model/post_{name}": value.detach() for name, value in trace.post.spread().items()}
    return {"model/kl": mean_where(kl * known, known).detach(), **spread}
