"""Lower bounds on mutual information from a square of scores.

`scores[i, j]` is the critic f(x_i, y_j); pairs on the diagonal are drawn from the joint, all others from the product of
the marginals. Every bound returns one term per row, (K,), in nats; its mean is the bound.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def infonce(scores: Tensor) -> Tensor:
    """InfoNCE (van den Oord et al. 2018, arXiv 1807.03748, eq. 4): never above ln K."""
    return F.log_softmax(scores, dim=1).diagonal() + math.log(len(scores))  # (K,)


def nwj(scores: Tensor) -> Tensor:
    """NWJ (Nguyen, Wainwright, Jordan 2010): E_joint[f] - e^{-1} E_marginals[e^f]; the paper's main variant."""
    count = len(scores)
    assert count > 1, "the marginals need at least two rows"
    off_diagonal = ~torch.eye(count, dtype=torch.bool, device=scores.device)
    marginal = (scores.exp() * off_diagonal).sum(1) / (count - 1)  # (K,)
    return scores.diagonal() - marginal / math.e  # (K,)


BOUNDS: dict[str, Callable[[Tensor], Tensor]] = {"infonce": infonce, "nwj": nwj}


class BilinearCritic(nn.Module):
    """f(z, e) = z^T W k(e), k a linear key; capped smoothly at +-`cap` nats so that e^f stays finite (our choice).

    Any bounded f keeps NWJ and InfoNCE valid lower bounds.
    """

    def __init__(self, latent_dim: int, embed_dim: int, hidden: int, cap: float = 10.0) -> None:
        super().__init__()
        self.query = nn.Linear(latent_dim, hidden, bias=False)
        self.key = nn.Linear(embed_dim, hidden)
        self.cap = cap

    def forward(self, latent: Tensor, embed: Tensor) -> Tensor:
        """Score latents (K, S) against embeddings (K, E): (K, K)."""
        scores = self.query(latent) @ self.key(embed).T / math.sqrt(self.query.out_features)
        return self.cap * torch.tanh(scores / self.cap)
