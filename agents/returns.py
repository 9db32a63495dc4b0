"""Returns of reinforcement learning, as functions of tensors with time in front."""

import torch
from torch import Tensor


def lambda_return(reward: Tensor, value: Tensor, discount: float | Tensor, lambda_: float) -> Tensor:
    """Compute lambda-returns (H, N) (Dreamer, arXiv 1912.01603, eq. 6).

    reward (H, N): reward[k] answers the step from state k to k + 1.
    value (H, N): value[k] is that of state k + 1.
    discount: of every step, or (H, N) of each.

        G_k = r_k + discount * ((1 - lambda) v_{k+1} + lambda G_{k+1}),   G_H = v_H

    One discount makes it a product with a triangular matrix: G_t = sum_{k>=t} (discount * lambda)^(k-t) p_k,
    where p_k are the terms of step k alone.
    """
    assert value.shape == reward.shape, (value.shape, reward.shape)
    if isinstance(discount, Tensor):
        after, returns = value[-1], []
        for k in reversed(range(len(reward))):
            after = reward[k] + discount[k] * torch.lerp(value[k], after, lambda_)
            returns.append(after)
        return torch.stack(returns[::-1])
    step = torch.arange(len(reward), device=reward.device, dtype=reward.dtype)  # (H,)
    share = torch.where(step < len(reward) - 1, 1 - lambda_, 1.0)  # (H,) of the next value
    payoff = reward + discount * share.unsqueeze(1) * value  # (H, N)
    decay = ((discount * lambda_) ** (step - step.unsqueeze(1)).clamp(min=0)).triu()  # (H, H)
    return decay @ payoff
