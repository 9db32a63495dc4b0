"""Returns of reinforcement learning, as functions of tensors with time in front."""

import torch
from torch import Tensor


def lambda_return(reward: Tensor, value: Tensor, discount: float, lambda_: float) -> Tensor:
    """Compute lambda-returns (H, N) (Dreamer, arXiv 1912.01603, eq. 6).

    reward (H, N): reward[k] answers the step from state k to k + 1.
    value (H + 1, N): value of states 0..H.

        G_k = r_k + discount * ((1 - lambda) v_{k+1} + lambda G_{k+1}),   G_H = v_H
    """
    assert len(value) == len(reward) + 1, (reward.shape, value.shape)
    last, returns = value[-1], []
    for k in reversed(range(len(reward))):
        last = reward[k] + discount * ((1 - lambda_) * value[k + 1] + lambda_ * last)
        returns.append(last)
    return torch.stack(returns[::-1])
