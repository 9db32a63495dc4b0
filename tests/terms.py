"""What tests of objectives share: rows to learn from, terms by torch's own distributions, who learns from a loss."""

import math
from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor, nn

B, T, A, OBS = 5, 7, 2, 3
SHAPES: dict[str, tuple[int, ...]] = {"state": (OBS,)}
FIRST = torch.zeros(B, T, dtype=torch.bool)
FIRST[1, 3] = FIRST[2, 0] = True
KNOWN = torch.ones(B, T)  # rows with a past in the slice
KNOWN[:, 0] = KNOWN[1, 3] = 0


def make_rows(seed: int = 0) -> TensorDict:
    g = torch.Generator().manual_seed(seed)
    values = {
        "state": torch.randn(B, T, OBS, generator=g),
        "action": torch.rand(B, T, A, generator=g) * 2 - 1,
        "reward": torch.randn(B, T, generator=g),
        "is_first": FIRST.clone(),
    }
    return TensorDict(values, batch_size=[B, T])


def check_leak(model: Any, rows: TensorDict, told: Callable[[Tensor], list[Tensor]]) -> None:
    """Compare a leak with what is `told` of actions by codes (B, T, S): its own, and those of the slice before."""
    torch.manual_seed(1)
    found = model.leak(rows)
    torch.manual_seed(1)
    stoch = model.observe(rows).stoch
    for name, codes in (("seen", stoch), ("shuffled", torch.cat([stoch[-1:], stoch[:-1]]))):
        torch.testing.assert_close(found[f"inverse/{name}"], torch.stack(told(codes)).mean() + math.log(2))


def kl(post: Any, prior: Any) -> Tensor:
    """KL(post || prior) (B, T) of Gaussian states, by torch."""
    normal = torch.distributions.Normal
    return torch.distributions.kl_divergence(normal(*post), normal(*prior)).sum(-1)


def reached(model: nn.Module, loss: Tensor) -> set[str]:
    """Names of the parts that receive a gradient from a loss."""
    model.zero_grad()
    loss.backward(retain_graph=True)
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    return {n.split(".")[0] if not n.startswith("core") else ".".join(n.split(".")[:2]) for n in grads}
