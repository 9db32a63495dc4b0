"""Diffusion spectral entropy and mutual information (Liao et al. 2024, arXiv 2312.04823).

Rows are the nodes of a graph, joined by a Gaussian kernel. What a random walk on it forgets slowly are large
eigenvalues of its diffusion matrix: their entropy counts clusters and directions, and noise adds hardly any. Both
depend on the scale of the codes, which are therefore standardised.
"""

import torch
from torch import Tensor

from world_models.diagnostics import standardized

BANDWIDTH = 0.5  # of the kernel, in root mean square distances between two standardised rows: our choice
REPEATS = 5  # draws for the entropy without a label, as in the authors' code


def diffusion_eigenvalues(codes: Tensor, sigma: float) -> Tensor:
    """Return the eigenvalues (K,) of the diffusion matrix of codes (K, S), ascending; the largest is 1.

    G_ij = exp(-|x_i - x_j|^2 / (2 sigma^2)),  K = D_G^{-1/2} G D_G^{-1/2} (anisotropic, alpha = 1/2),  P = D_K^{-1} K.
    D_K^{-1/2} K D_K^{-1/2} is symmetric and has P's eigenvalues. (The authors' code stops at K.)
    """
    kernel = (-torch.cdist(codes, codes).square() / (2 * sigma**2)).exp()  # (K, K)
    for _ in range(2):
        degree = kernel.sum(1).sqrt()  # (K,)
        kernel = kernel / degree / degree.unsqueeze(1)
    return torch.linalg.eigvalsh(kernel)


def entropy_of(eigenvalues: Tensor, t: int = 1) -> Tensor:
    """Diffusion spectral entropy: of |eigenvalue|^t as shares of their sum, in bits."""
    weight = eigenvalues.abs() ** t
    return torch.special.entr(weight / weight.sum()).sum() / torch.log(weight.new_tensor(2))


def spectral_entropy(codes: Tensor, t: int = 1) -> Tensor:
    """Return the entropy in bits, at most log2 K, of codes (K, S)."""
    standard = standardized(codes)
    return entropy_of(diffusion_eigenvalues(standard, bandwidth(standard)), t)


def spectral_information(codes: Tensor, labels: Tensor, generator: torch.Generator, t: int = 1) -> Tensor:
    """Return the mutual information of codes (K, S) and classes (K,) int64, in bits.

    sum_c p(c) [ H(as many rows as c has, of all classes) - H(rows of class c) ], since only entropies of equally many
    rows compare. Classes of fewer than two rows are left out.
    """
    standard, total, counted = standardized(codes), torch.zeros((), dtype=torch.float64, device=codes.device), 0
    sigma = bandwidth(standard)
    for label in labels.unique():
        inside = (labels == label).nonzero().squeeze(1)  # (k,)
        if len(inside) < 2:
            continue
        draws = [torch.randperm(len(codes), generator=generator)[: len(inside)] for _ in range(REPEATS)]
        anywhere = [entropy_of(diffusion_eigenvalues(standard[draw.to(codes.device)], sigma), t) for draw in draws]
        within = entropy_of(diffusion_eigenvalues(standard[inside], sigma), t)
        total += len(inside) * (torch.stack(anywhere).mean() - within)
        counted += len(inside)
    return total / max(counted, 1)


def clusters(x: Tensor, count: int, generator: torch.Generator, rounds: int = 20) -> Tensor:
    """Cut rows (K, X), standardised, into `count` classes (K,) int64 by k-means; the authors cluster spectrally."""
    x = standardized(x)
    centres = x[torch.randperm(len(x), generator=generator)[:count].to(x.device)]  # (count, X)
    for _ in range(rounds):
        label = torch.cdist(x, centres).argmin(1)  # (K,)
        member = torch.nn.functional.one_hot(label, len(centres)).to(x.dtype)  # (K, count)
        filled = member.sum(0).unsqueeze(1)  # (count, 1)
        centres = torch.where(filled > 0, member.T @ x / filled.clamp(min=1), centres)
    return label


def bandwidth(standard: Tensor) -> float:
    """Return the kernel's width for standardised rows (K, S), whose squared distances are 2 S on average."""
    return BANDWIDTH * (2 * standard.shape[1]) ** 0.5
