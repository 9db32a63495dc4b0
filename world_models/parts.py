"""What the objectives share: the body of a world model, and the terms that more than one of them has."""

import math
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from world_models.latents import LATENTS, Distribution
from world_models.nets import Encoder, mlp
from world_models.rssm import POSTERIORS, Core, ObservationPosterior, RecurrentPosterior, Trace
from world_models.slices import mean_where, shift, slice_resets, windows_inside

Shapes = Mapping[str, tuple[int, ...]]


class Sizes(Protocol):
    """The options that every objective's configuration has."""

    @property
    def convolutions(self) -> tuple[tuple[int, int, int], ...]: ...
    @property
    def embed(self) -> int: ...
    @property
    def deter(self) -> int: ...
    @property
    def stoch(self) -> int: ...
    @property
    def classes(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def latent(self) -> str: ...
    @property
    def posterior(self) -> str: ...


def body(
    observation_shapes: Shapes, action_dim: int, sizes: Sizes
) -> tuple[Encoder, Core, ObservationPosterior | RecurrentPosterior, nn.Sequential]:
    """Build encoder, core, posterior and reward head."""
    encoder = Encoder(observation_shapes, sizes.convolutions, sizes.embed, sizes.hidden)
    core = Core(action_dim, sizes.deter, LATENTS[sizes.latent](sizes.stoch, sizes.classes), sizes.hidden)
    posterior = POSTERIORS[sizes.posterior](sizes.embed, core)
    return encoder, core, posterior, mlp(core.feat, 1, sizes.hidden)


def observe(
    encoder: Encoder, core: Core, posterior: ObservationPosterior | RecurrentPosterior, rows: TensorDict
) -> Trace:
    """Filter rows (B, T) into posterior and prior states."""
    reset = slice_resets(rows["is_first"])  # (B, T)
    return posterior.observe(core, encoder(rows), shift(rows["action"]), reset)


def answered(is_first: Tensor) -> tuple[Tensor, Tensor]:
    """Mark (B, T) rows whose reward and action precede them, and those whose prior has a past in the slice too."""
    answers = (~is_first).float()  # (B, T)
    return answers, answers * windows_inside(is_first, 2)


def kl_sides(post: Distribution, prior: Distribution) -> tuple[Tensor, Tensor]:
    """Return KL(post || prior) (B, T) twice: as what fits the prior, and as what simplifies the posterior.

    The two sides of DreamerV2's KL balancing (arXiv 2010.02193, algorithm 2).
    """
    return post.detach().kl(prior), post.kl(prior.detach())


def free(kl: Tensor, known: Tensor, nats: float) -> Tensor:
    """Keep KL (B, T) where its mean over known rows is above `nats`, which stand in its place elsewhere (Dreamer)."""
    kl = kl * known  # (B, T)
    return torch.where(mean_where(kl, known) > nats, kl, nats * known)


def reward_terms(
    predict: Callable[[Tensor], Tensor], trace: Trace, reward: Tensor, is_first: Tensor, std: float
) -> tuple[Tensor, Tensor]:
    """Return log q(r_t | z_t) (B, T) of the posterior's sample and of the prior's, which imagination reads."""
    answers, known = answered(is_first)
    prior_feat = torch.cat([trace.deter, trace.prior.sample()], -1)  # (B, T, F)
    return (
        normal_log_prob(predict(trace.feat), reward, std) * answers,
        normal_log_prob(predict(prior_feat), reward, std) * known,
    )


def normal_log_prob(mean: Tensor, value: Tensor, std: float) -> Tensor:
    """Return the log-density (...) of a normal distribution, in nats."""
    return -0.5 * ((mean - value) / std).square() - math.log(std) - 0.5 * math.log(2 * math.pi)


def post_metrics(trace: Trace, kl: Tensor, known: Tensor) -> dict[str, Tensor]:
    """Return what every objective says of its posterior: its KL (B, T) from the prior in nats, and its spread."""
    spread = {f"model/post_{name}": value.detach() for name, value in trace.post.spread().items()}
    return {"model/kl": mean_where(kl * known, known).detach(), **spread}
