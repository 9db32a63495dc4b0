"""Probes, geometry and spectral entropies by hand, on Gaussians, and against scikit-learn and NumPy."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from sklearn.cluster import KMeans
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import scale

from world_models.diagnostics import effective_rank, nearest, probe, r_squared, ridge, similarity, standardized
from world_models.spectral import clusters, diffusion_eigenvalues, entropy_of, spectral_entropy, spectral_information

N, T, S, Y = 5, 67, 7, 3


def test_ridge_and_r_squared_are_scikit_learns() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(101, S).double() * torch.arange(1, S + 1), torch.randn(101, Y).double()
    y[:, 0] += x[:, 2]
    new, truth = torch.randn(53, S).double(), torch.randn(53, Y).double()
    oracle = Ridge(alpha=0.1 * 101).fit(((x - x.mean(0)) / x.std(0)).numpy(), y.numpy())
    expected = oracle.predict(((new - x.mean(0)) / x.std(0)).numpy())
    predicted = ridge(x, y, 0.1)(new)
    np.testing.assert_allclose(predicted.numpy(), expected, rtol=1e-9)
    scores = r2_score(truth.numpy(), expected, multioutput="raw_values")
    np.testing.assert_allclose(r_squared(predicted, truth).numpy(), scores, rtol=1e-9)


def test_probes_find_what_codes_hold_and_nothing_else() -> None:
    """Of a linear target in noise of a third of its variance R^2 is 3/4; of an unrelated one it is below 0."""
    torch.manual_seed(0)
    codes = torch.randn(40, T, S)
    linear = codes @ torch.ones(S) / math.sqrt(S)
    targets = torch.stack([linear, linear + torch.randn(40, T) / math.sqrt(3), torch.randn(40, T)], -1)
    exact, noisy, unrelated = probe(codes, targets).tolist()
    assert exact == pytest.approx(1, abs=1e-5) and noisy == pytest.approx(0.75, abs=0.03)
    assert -0.05 < unrelated < 0.005


def test_probes_are_asked_about_other_episodes_than_they_were_fitted_on() -> None:
    """A code that names its episode tells a target that is constant in each episode, but not in new ones."""
    torch.manual_seed(0)
    codes = torch.eye(N).unsqueeze(1).expand(N, T, N) + 0.01 * torch.randn(N, T, N)
    target = torch.randn(N, 1, 1).expand(N, T, 1)
    assert probe(codes, target).item() < 0.5
    assert r_squared(ridge(codes.flatten(0, 1), target.flatten(0, 1))(codes.flatten(0, 1)), target.flatten(0, 1)) > 0.99


def test_a_constant_target_has_no_r_squared() -> None:
    targets = torch.randn(N, T, Y)
    targets[..., 1] = 3 + 1e-7 * torch.randn(N, T)
    found = probe(torch.randn(N, T, S), targets)
    assert found.isnan().tolist() == [False, True, False]


def test_a_code_that_rounding_alone_moves_tells_nothing() -> None:
    """Three units hold the target; a fourth, of another episode, differs from 1 by a bit."""
    torch.manual_seed(0)
    codes = torch.cat([torch.randn(4, 101, 3), torch.ones(4, 101, 1)], -1)
    codes[0, 7, 3] += 6e-8
    codes[3, ::20, 3] += 6e-8
    assert probe(codes, codes[..., :1]).item() > 0.99


def test_similarity_by_hand() -> None:
    """Edges of the points 0, 1, 3 are 1, 3, 2 twelfths times two, of 0, 1, 2 they are 1, 2, 1 twelfths times three."""
    codes, states = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.0], [1.0], [2.0]])
    assert similarity(codes, states).item() == pytest.approx(1 - 1 / 12)


def test_equal_geometry_is_most_similar_whatever_its_scale_place_and_turn() -> None:
    torch.manual_seed(0)
    states = standardized(torch.randn(61, 3))
    turn = torch.linalg.qr(torch.randn(3, 3).double())[0]
    codes = 17 * states @ turn + 5
    assert similarity(codes, states).item() == pytest.approx(1)
    noisy, shuffled = codes + 9 * torch.randn(61, 3), codes[torch.randperm(61)]
    assert 0.95 > similarity(noisy, states) > similarity(shuffled, states)
    a, b = (pdist(x.numpy()) for x in (noisy, states))
    assert similarity(noisy, states).item() == pytest.approx(1 - np.abs(a / a.sum() - b / b.sum()).sum() / 2)


def test_states_count_alike_whatever_their_units() -> None:
    torch.manual_seed(0)
    states = torch.randn(61, 3) * torch.tensor([1.0, 10.0, 100.0])
    assert similarity(7 * standardized(states), states).item() == pytest.approx(1)


def test_effective_rank_counts_directions() -> None:
    """Equal variances in k directions count k; variances 3/4 and 1/4 count e^{0.562} = 1.755."""
    directions = torch.linalg.qr(torch.randn(S, S, generator=torch.Generator().manual_seed(0)).double())[0]
    points = torch.cat([directions[:4], -directions[:4]])
    assert effective_rank(points).item() == pytest.approx(4)
    points = torch.cat([directions[:2], -directions[:2]]) * torch.tensor([3, 1, 3, 1]).sqrt().unsqueeze(1)
    assert effective_rank(points + 1).item() == pytest.approx(math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)))


def test_nearest_looks_among_what_is_allowed() -> None:
    codes = torch.tensor([[0.0], [1.0], [3.0], [7.0], [7.5]])
    queries = torch.tensor([0, 3])
    allowed = torch.tensor([[False, True, True, True, True], [True, True, True, False, False]])
    distances, rows = nearest(codes, queries, allowed, 2)
    assert rows.tolist() == [[1, 2], [2, 1]]
    torch.testing.assert_close(distances * codes.std().double(), torch.tensor([[1.0, 3.0], [4.0, 6.0]]).double())


def test_diffusion_eigenvalues_are_the_random_walks() -> None:
    """Against P of the definition, row by row, in NumPy."""
    x = np.random.default_rng(0).normal(size=(31, 3))
    kernel = np.exp(-np.square(x[:, None] - x[None]).sum(-1) / (2 * 0.7**2))
    degree = kernel.sum(1)
    anisotropic = kernel / np.sqrt(degree[:, None] * degree[None])
    walk = anisotropic / anisotropic.sum(1, keepdims=True)
    expected = np.sort(np.linalg.eigvals(walk).real)
    np.testing.assert_allclose(diffusion_eigenvalues(torch.from_numpy(x), 0.7).numpy(), expected, atol=1e-9)
    assert expected[-1] == pytest.approx(1)


def test_entropy_by_hand() -> None:
    """Shares 1/2, 1/4, 1/4 have 1.5 bits; their squares, 2/3, 1/6, 1/6, have fewer. Signs do not count."""
    eigenvalues = torch.tensor([1.0, -0.5, 0.5], dtype=torch.float64)
    assert entropy_of(eigenvalues).item() == pytest.approx(1.5)
    assert entropy_of(eigenvalues, 2).item() == pytest.approx(-(2 / 3) * math.log2(2 / 3) - math.log2(1 / 6) / 3)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_far_clusters_of_equal_points_have_log_2_of_their_number(count: int) -> None:
    """Such a graph falls apart: eigenvalue 1 once for each cluster, and 0."""
    places = 10 * torch.eye(S + 1)[:count]
    eigenvalues = diffusion_eigenvalues(places.repeat(13, 1).double(), 1.0)
    assert entropy_of(eigenvalues).item() == pytest.approx(math.log2(count), abs=1e-9)


def inertia(x: np.ndarray, label: np.ndarray) -> float:
    """Return the squared distances of rows (K, X) to the means of their classes (K,), summed."""
    return sum(((x[label == each] - x[label == each].mean(0)) ** 2).sum() for each in np.unique(label))


def test_classes_are_as_narrow_as_scikit_learns() -> None:
    """Columns count alike, whatever their units."""
    x = torch.rand(499, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 10.0, 100.0])
    label = clusters(x, 11, torch.Generator().manual_seed(1)).numpy()
    standard = scale(x.double().numpy())
    oracle = KMeans(11, n_init=1, random_state=0).fit(standard)
    assert len(np.unique(label)) == 11 and inertia(standard, label) < 1.02 * oracle.inertia_


def test_spectral_information_of_clusters() -> None:
    """About 3 bits of which of 8 clusters, none of a label drawn by lot, and as many with the codes enlarged."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(8, (307,), generator=generator)
    codes = 3 * torch.randn(8, S, generator=generator)[labels] + 0.1 * torch.randn(307, S, generator=generator)
    by_lot = labels[torch.randperm(307, generator=generator)]
    told, nothing, scaled = (
        spectral_information(*pair, torch.Generator().manual_seed(1)).item()
        for pair in ((codes, labels), (codes, by_lot), (100 * codes + 7, labels))
    )
    assert told == pytest.approx(3, abs=0.4) and abs(nothing) < 0.1 and scaled == pytest.approx(told, abs=1e-3)


def test_more_directions_and_less_noise_are_told_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(211, 5, generator=generator)
    flat = wide[:, :2] @ torch.randn(2, 5, generator=generator)
    assert spectral_entropy(wide) > spectral_entropy(flat) + 1
