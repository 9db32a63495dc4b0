"""Lower bounds on mutual information, by name: a critic, what is made of its scores, what holds it in its class.

`scores[i, j]` is the critic f(x_i, y_j); pairs on the diagonal are drawn from the joint, all others from the product of
the marginals. What is made of scores is one term per row, (K,), whose mean is the bound, in nats.

The Wasserstein forms are those of the Wasserstein dependency measure (Ozair et al. 2019, arXiv 1903.11780), where the
KL divergence in I(X; Y) gives way to the Wasserstein distance between the joint and the product of the marginals,

    sup_f  E_joint[f] - E_marginals[f]   over f that are 1-Lipschitz in (x, y).

Its practical form, Wasserstein predictive coding, is InfoNCE with such a critic, so it stays a lower bound on I(X; Y).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from world_models.nets import full_precision

Critic = Callable[[Tensor, Tensor], Tensor]  # (..., K, X), (..., K, Y) -> (..., K, K)

GRADIENT_PENALTY = 10.0  # weight, as in WGAN-GP (arXiv 1704.00028, section 4)
MIN_DISTANCE = 1e-6  # where a norm has no gradient


def infonce(scores: Tensor) -> Tensor:
    """InfoNCE (van den Oord et al. 2018, arXiv 1807.03748, eq. 4) of scores (..., K, K): never above ln K."""
    return F.log_softmax(scores, -1).diagonal(dim1=-2, dim2=-1) + math.log(scores.shape[-1])  # (..., K)


def nwj(scores: Tensor) -> Tensor:
    """NWJ (Nguyen, Wainwright, Jordan 2010): E_joint[f] - e^{-1} E_marginals[e^f]; the paper's main variant."""
    count = len(scores)
    assert count > 1, "the marginals need at least two rows"
    off_diagonal = ~torch.eye(count, dtype=torch.bool, device=scores.device)
    marginal = (scores.exp() * off_diagonal).sum(1) / (count - 1)  # (K,)
    return scores.diagonal() - marginal / math.e  # (K,)


def dependency(scores: Tensor) -> Tensor:
    """E_joint[f] - E_marginals[f], in units of f: for a 1-Lipschitz f below the Wasserstein dependency measure.

    Not below ln K, and not in nats.
    """
    joint = scores.diagonal()  # (K,)
    return joint - (scores.sum(1) - joint) / (len(scores) - 1)  # (K,)


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
        """Score latents (..., K, S) against embeddings (..., K, E): (..., K, K)."""
        scores = self.query(latent) @ self.key(embed).mT / math.sqrt(self.query.out_features)
        return self.cap * torch.tanh(scores / self.cap)


class DistanceCritic(nn.Module):
    """f(z, e) = -|q(z) - k(e)| / sqrt 2, q and k linear of spectral norm 1: 1-Lipschitz in (z, e) for all weights.

    For unit u, the gradient (q^T u, -k^T u) / sqrt 2 has at most length 1. A product of two such maps would not do: its
    slope in z grows with k(e). The distance is our choice; the paper is silent.
    """

    def __init__(self, latent_dim: int, embed_dim: int, hidden: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(latent_dim, hidden, bias=False), nn.Linear(embed_dim, hidden)
        for layer in (self.query, self.key):
            nn.init.orthogonal_(layer.weight)  # starts as an isometry
        spectrally_normed(self)

    def forward(self, latent: Tensor, embed: Tensor) -> Tensor:
        """Score latents (K, S) against embeddings (K, E): (K, K)."""
        query, key = self.query(latent), self.key(embed)  # (K, hidden), (K, hidden)
        square = query.square().sum(1, keepdim=True) - 2 * query @ key.T + key.square().sum(1)  # (K, K)
        return -(0.5 * square).clamp(min=MIN_DISTANCE**2).sqrt()


def spectrally_normed(module: nn.Module) -> nn.Module:
    """Divide every linear layer's weight by its largest singular value (Miyato et al. 2018, arXiv 1802.05957).

    By power iteration, one in every forward pass while training, from vectors that are buffers of the module.
    """
    for layer in module.modules():
        assert not isinstance(layer, nn.Conv2d), "a kernel's singular value is not its convolution's"
        if isinstance(layer, nn.Linear):
            parametrizations.spectral_norm(layer)
    return module


@torch.compiler.disable  # which differentiates once only
def gradient_penalty(critic: Critic, x: Tensor, y: Tensor) -> Tensor:
    """Return 10 (|grad f| - 1)^2 for each row (K,), between a joint and a marginal pair (arXiv 1704.00028, eq. 3).

    The points are constants: the critic's weights are what it moves.
    """
    x, y = x.detach(), y.detach()
    other = y[torch.randperm(len(y), device=y.device)]  # rows beside each other may be of one episode
    share = torch.rand(len(y), 1, device=y.device)  # (K, 1)
    points = x.requires_grad_(), y.lerp(other, share).requires_grad_()  # (K, X), (K, Y)
    with torch.enable_grad():
        scores = critic(*(point.unsqueeze(1) for point in points))  # (K, 1, 1), of each with its own alone
        slopes = torch.autograd.grad(scores.sum(), points, create_graph=True)
    norm = (torch.cat(slopes, 1).square().sum(1) + MIN_DISTANCE**2).sqrt()  # (K,)
    return GRADIENT_PENALTY * (norm - 1).square()


class Bound(NamedTuple):
    """A lower bound on I(X; Y): which critics it takes, what it makes of scores, and what else a critic must pay."""

    critic: Callable[[int, int, int], nn.Module]  # made for sizes X, Y and a width
    of_scores: Callable[[Tensor], Tensor]  # (K, K) -> (K,)
    penalty: Callable[[Critic, Tensor, Tensor], Tensor] | None = None  # (K,)

    def loss(self, critic: Critic, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return what to descend (K,), and the bound (K,) in nats, for pairs x (K, X), y (K, Y)."""
        with full_precision(x):
            x, y = x.float(), y.float()
            information = self.of_scores(critic(x, y))  # (K,)
            if self.penalty is None:
                return -information, information
            return self.penalty(critic, x, y) - information, information


BOUNDS: dict[str, Bound] = {
    "infonce": Bound(BilinearCritic, infonce),
    "nwj": Bound(BilinearCritic, nwj),
    "wasserstein-gp": Bound(BilinearCritic, infonce, gradient_penalty),
    "wasserstein-sn": Bound(DistanceCritic, infonce),
}
