"""Stochastic states: Gaussian and categorical, against torch's distributions and numbers worked by hand."""

import math

import pytest
import torch

from world_models.latents import Categorical, CategoricalLatent, Gaussian, GaussianLatent

B, S, G, K = 3, 5, 7, 4


def test_gaussian_kl_equals_torch() -> None:
    latent = GaussianLatent(S)
    p, q = latent(torch.randn(B, latent.outputs)), latent(torch.randn(B, latent.outputs))
    normals = [torch.distributions.Normal(*g) for g in (p, q)]
    torch.testing.assert_close(p.kl(q), torch.distributions.kl_divergence(*normals).sum(-1))
    assert latent.size == S and p.sample().shape == (B, S) and torch.equal(p.mode(), p.mean)


def test_gaussian_kl_by_hand() -> None:
    """KL(N(1, 1) || N(0, 2)) = ln 2 + (1 + 1) / 8 - 1/2."""
    p, q = Gaussian(torch.ones(1), torch.ones(1)), Gaussian(torch.zeros(1), torch.full((1,), 2.0))
    assert p.kl(q).item() == pytest.approx(0.6931472 + 0.25 - 0.5)


def test_categorical_kl_equals_torch() -> None:
    latent = CategoricalLatent(G, K)
    p, q = latent(torch.randn(B, latent.outputs)), latent(torch.randn(B, latent.outputs))
    theirs = [torch.distributions.Categorical(logits=c.log_probs) for c in (p, q)]
    torch.testing.assert_close(p.kl(q), torch.distributions.kl_divergence(*theirs).sum(-1))
    torch.testing.assert_close(p.spread()["entropy"], theirs[0].entropy().mean())
    assert latent.size == latent.outputs == G * K


def test_one_percent_is_uniform() -> None:
    """An infinitely sure network: .01 / 4 for each class, .99 more for the one."""
    probs = CategoricalLatent(1, 4)(torch.tensor([1e6, 0.0, 0.0, 0.0])).probs
    torch.testing.assert_close(probs, torch.tensor([[0.9925, 0.0025, 0.0025, 0.0025]]))


def test_categorical_samples_are_one_hot_with_the_frequencies_of_their_probabilities() -> None:
    torch.manual_seed(0)
    probs = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.1, 0.1, 0.1, 0.7]])
    sample = Categorical(probs.expand(20_000, 2, K)).sample().unflatten(-1, (2, K))
    assert ((sample == 0) | (sample == 1)).all() and (sample.sum(-1) == 1).all()
    torch.testing.assert_close(sample.mean(0), probs, atol=0.015, rtol=0)
    assert Categorical(probs).mode().tolist() == [1, 0, 0, 0, 0, 0, 0, 1]


def test_gradients_pass_straight_through() -> None:
    """d sample / d logits is d probs / d logits: of softmax, p_i (1 - p_i) and -p_i p_j, .99 of it after the mix."""
    logits = torch.tensor([math.log(3.0), 0.0], requires_grad=True)  # p = 3/4, 1/4
    (CategoricalLatent(1, 2)(logits).sample() * torch.tensor([1.0, 0.0])).sum().backward()
    torch.testing.assert_close(logits.grad, 0.99 * torch.tensor([3 / 16, -3 / 16]))


@pytest.mark.parametrize("latent", [GaussianLatent(S), CategoricalLatent(G, K)])
def test_stacked_in_time_and_cut_off(latent: GaussianLatent | CategoricalLatent) -> None:
    outputs = torch.randn(B, 6, latent.outputs, requires_grad=True)
    whole, parts = latent(outputs), latent.stack([latent(outputs[:, t]) for t in range(6)])
    torch.testing.assert_close(tuple(whole), tuple(parts))
    assert all(not x.requires_grad for x in whole.detach()) and whole.sample().requires_grad
