"""What latent states tell, held out: InfoNCE with the densities that a model already has for critics, in nats.

None of them trains anything, so models of every objective compare. Each stays below the logarithm of the rows, or of
the actions, that it chooses among: report it beside its ceiling.
"""

import math

import torch
from torch import Tensor

from world_models.bounds import infonce
from world_models.latents import Categorical, Gaussian

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
IMPOSSIBLE = -1e4  # stands for the logarithm of a density that has become 0, so that a weight of 0 undoes it


def of_observation(latent: Tensor, post: Gaussian | Categorical) -> Tensor:
    """I(O; Z) >= 0-dim, from z_i (K, S) drawn from posteriors q(z | o_i) over (K, S).

    f(z_i, o_j) = log q(z_i | o_j), InfoNCE's best critic (Poole et al. 2019, arXiv 1905.06922, section 2.4): what is
    lacking is due to the number of rows alone, ln K at most. Where posteriors read h, too, it is I(H, O; Z), which h
    alone may make large.
    """
    return infonce(cross_log_prob(latent.double(), post)).mean()


def cross_log_prob(latent: Tensor, post: Gaussian | Categorical) -> Tensor:
    """Return log q(z_i | o_j) (K, K) up to a constant, z_i in rows, by matrix products."""
    if isinstance(post, Categorical):
        return latent @ post.log_probs.double().flatten(1).T
    mean, precision = post.mean.double(), post.std.double().pow(-2)  # (K, S), (K, S)
    square = latent.square() @ precision.T - 2 * latent @ (mean * precision).T + (mean.square() * precision).sum(1)
    return -0.5 * square - post.std.double().log().sum(1)


def of_reward(predicted: Tensor, reward: Tensor) -> Tensor:
    """I(R; Z) >= 0-dim, from what z_i predicts (K,), in any units, of rewards r_i (K,); at most ln K.

    f(r_i, z_j) is a normal log-density about the line that fits rewards best, as wide as it is wrong (our choice): each
    reward chooses among latents, so that no density of rewards is needed.
    """
    predicted, reward = predicted.double(), reward.double()
    centred = predicted - predicted.mean()  # (K,)
    slope = (centred * reward).sum() / centred.square().sum().clamp(min=1e-12)
    line = reward.mean() + slope * centred  # (K,)
    variance = (line - reward).square().mean().clamp(min=1e-12)
    return infonce(-0.5 * (reward.unsqueeze(1) - line).square() / variance).mean()


def of_action(evidence: Tensor, actions: Tensor, bins: int = 11) -> Tensor:
    """I(A; Z' | past) >= 0-dim, from log q(a | z', z) (K, J) of actions (K, J, A): the one taken, first, and others.

    The others were drawn from the policy given the same past, as the one taken was, so that what the past tells of the
    action does not count. At most ln J.

    f(z', a) = u log q(a | z', z) - v log pi(a | past), pi as the J actions show it. An exact q has u = v = 1; one
    that is too sure, or learned from other policies, loses by it, so the weights from WEIGHTS that are best for the
    first half of the rows are asked about the second (our choice).
    """
    evidence, prior = evidence.clamp(min=IMPOSSIBLE), spread(actions, bins)  # (K, J), (K, J)
    pairs = torch.cartesian_prod(*2 * [evidence.new_tensor(WEIGHTS)]).T.view(2, -1, 1, 1)  # (2, pairs, 1, 1)
    scores = pairs[0] * evidence - pairs[1] * prior  # (pairs, K, J)
    told = scores.log_softmax(-1)[..., 0] + math.log(actions.shape[1])  # (pairs, K)
    half = len(evidence) // 2
    best = told[:, :half].mean(1).argmax()
    return told[:, half:].mean(1)[best]


def spread(actions: Tensor, bins: int) -> Tensor:
    """Return the log-density (K, J) of each of J actions (K, J, A) on [-1, 1] among all J, dimension by dimension.

    In hats on a grid of `bins` knots, the family of the inverse model's densities (`nets.InverseModel`).
    """
    position = (actions.clamp(-1, 1).unsqueeze(-1) + 1) * (bins - 1) / 2  # (K, J, A, 1) in knots
    hats = (1 - (position - torch.arange(bins, device=actions.device)).abs()).clamp(min=0)  # (K, J, A, bins)
    area = torch.full((bins,), 2 / (bins - 1), device=actions.device)
    area[[0, -1]] /= 2  # border hats are halves
    height = hats.mean(1, keepdim=True) / area  # (K, 1, A, bins)
    return (hats * height).sum(-1).log().sum(-1)
