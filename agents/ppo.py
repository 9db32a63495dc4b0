"""Proximal policy optimisation (arXiv 1707.06347) with several rewards, as functions of tensors.

Each of R rewards has a value of its own. Their advantages are normalised one by one, weighted and summed; the sum is
what one clipped surrogate improves.
"""

import math

import torch
from torch import Tensor

LEAST_RATE, MOST_RATE, RATE_STEP = 1e-5, 1e-2, 1.5  # of the adaptive learning rate, as in rsl_rl


def advantages(
    reward: Tensor,
    value: Tensor,
    after: Tensor,
    is_terminal: Tensor,
    is_cut: Tensor,
    discount: float,
    lambda_: float,
) -> Tensor:
    """Compute generalised advantages (T, N, R) (GAE, arXiv 1506.02438, eq. 16), each reward's from its own value.

    reward, value, after (T, N, R): what the step from row t earned; values of row t and of where the step led.
    is_terminal, is_cut (T, N) bool: whether no value lies beyond the step; whether the next row is not its successor.

        delta_t = r_t + discount V(s_{t+1}) - V(s_t),   A_t = delta_t + discount lambda A_{t+1}
    """
    assert reward.shape == value.shape == after.shape and reward.shape[:2] == is_cut.shape, (reward.shape, is_cut.shape)
    delta = reward + discount * after * ~is_terminal.unsqueeze(-1) - value  # (T, N, R)
    keep = discount * lambda_ * ~(is_terminal | is_cut).unsqueeze(-1)  # (T, N, 1)
    for t in reversed(range(len(delta) - 1)):
        delta[t] += keep[t] * delta[t + 1]
    return delta


def normalized(advantage: Tensor) -> Tensor:
    """Give each reward's advantages (K, R) mean 0 and deviation 1, whatever the size of the reward."""
    std, mean = torch.std_mean(advantage, 0, correction=0)
    return (advantage - mean) / (std + 1e-8)


def surrogate_loss(log_ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """Return the clipped surrogate (arXiv 1707.06347, eq. 7) of actions (K,), as a loss (K,).

    log_ratio: ln of the policy's density over that of the policy which acted.
    """
    ratio = log_ratio.exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def divergence(log_ratio: Tensor) -> Tensor:
    """Estimate KL(acted || policy) 0-dim from actions (K,) of the policy that acted: r - 1 - ln r, never negative."""
    return (log_ratio.expm1() - log_ratio).mean()


def adapted(rate: Tensor, kl: Tensor, target: float) -> Tensor:
    """Return the next learning rate, 0-dim: lower where the policy moved twice the target, higher below half of it."""
    factor = torch.where(kl > 2 * target, 1 / RATE_STEP, torch.where(kl < target / 2, RATE_STEP, 1.0))
    return (rate * factor).clamp(LEAST_RATE, MOST_RATE)


def log_density(raw: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the logarithm (...) of a normal density with mean (..., A) and deviations exp(log_std) (A,) at `raw`."""
    scaled = (raw - mean) * (-log_std).exp()
    constant = log_std.sum() + 0.5 * len(log_std) * math.log(2 * math.pi)
    return -0.5 * scaled.square().sum(-1) - constant


def entropy(log_std: Tensor) -> Tensor:
    """Return the entropy of a normal density with deviations exp(log_std) (A,), 0-dim, in nats."""
    return log_std.sum() + 0.5 * len(log_std) * (1 + math.log(2 * math.pi))
