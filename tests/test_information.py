"""Held-out information of latent states against Gaussian channels of known capacity, and against torch's densities."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal, OneHotCategorical

from world_models import information
from world_models.latents import Categorical, Gaussian

K, S = 1021, 3


def test_cross_log_prob_is_torchs() -> None:
    torch.manual_seed(0)
    post = Gaussian(torch.randn(7, S), 0.1 + torch.rand(7, S))
    latent = torch.randn(5, S)
    expected = Independent(Normal(*(x.double() for x in post)), 1).log_prob(latent.double().unsqueeze(1))  # (5, 7)
    found = information.cross_log_prob(latent.double(), post) - S / 2 * math.log(2 * math.pi)
    torch.testing.assert_close(found, expected)


def test_cross_log_prob_of_one_hot_variables_is_torchs() -> None:
    torch.manual_seed(0)
    post = Categorical(torch.randn(7, 2, 3).softmax(-1))
    latent = Categorical(torch.randn(5, 2, 3).softmax(-1)).sample()  # (5, 6)
    expected = Independent(OneHotCategorical(logits=post.log_probs), 1).log_prob(latent.view(5, 1, 2, 3))  # (5, 7)
    torch.testing.assert_close(information.cross_log_prob(latent.double(), post), expected.double())


@pytest.mark.parametrize("signal", [0.0, 0.5, 2.0, 300.0])
def test_of_observation_is_a_gaussian_channels_capacity_up_to_ln_k(signal: float) -> None:
    """z = o + noise, o of deviation `signal`: I(O; Z) = S/2 ln(1 + signal^2)."""
    torch.manual_seed(0)
    post = Gaussian(signal * torch.randn(K, S), torch.ones(K, S))
    truth = S / 2 * math.log(1 + signal**2)
    found = information.of_observation(post.sample(), post).item()
    if truth < 0.5 * math.log(K):
        assert found == pytest.approx(truth, abs=0.1)
    else:
        assert math.log(K) - 0.05 < found <= math.log(K) + 1e-9


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.95])
def test_of_reward_is_the_information_of_gaussians(rho: float) -> None:
    torch.manual_seed(0)
    z = torch.randn(K).double()
    reward = rho * z + math.sqrt(1 - rho**2) * torch.randn(K).double()
    truth = -0.5 * math.log(1 - rho**2)
    assert information.of_reward(rho * z, reward).item() == pytest.approx(truth, abs=0.06)


def test_of_reward_is_no_more_than_ln_k_and_survives_perfect_predictions() -> None:
    reward = torch.randn(13)
    assert information.of_reward(reward, reward).item() == pytest.approx(math.log(13))


def test_of_action_by_hand() -> None:
    """Actions are alike for the policy. Odds of 6 : 1 : 1 for the one taken let q count, and 3 : 1 : 1 give ln 9/5.

    After odds of 0 : 6 : 1 it does not count at all.
    """
    actions = torch.full((2, 3, 5), 0.3)
    sure, later, wrong = torch.tensor([[6.0, 1.0, 1.0], [3.0, 1.0, 1.0], [0.0, 6.0, 1.0]]).log()
    assert information.of_action(torch.stack([sure, later]), actions).item() == pytest.approx(math.log(9 / 5))
    assert information.of_action(torch.stack([wrong, sure]), actions).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("often", [0.5, 0.9])
def test_of_action_does_not_count_what_the_policy_prefers(often: float) -> None:
    """a is 1 with probability `often`, else -1; z' shows it, but lies once in ten times: I = H(z') - H(1/10)."""
    torch.manual_seed(0)
    action = 2.0 * (torch.rand(9001, 101, 1) < often) - 1
    shown = torch.where(torch.rand(9001, 1) < 0.1, -action[:, 0], action[:, 0])  # (rows, 1)
    prior = torch.where(action > 0, often, 1 - often).squeeze(-1)  # (rows, 101)
    likelihood = torch.where(action.squeeze(-1) == shown, 0.9, 0.1)
    certain = torch.where(shown > 0, often * 0.9 + (1 - often) * 0.1, often * 0.1 + (1 - often) * 0.9)  # p(z')
    evidence = (likelihood * prior / certain).log()  # log p(a | z')
    plus = often * 0.9 + (1 - often) * 0.1
    entropies = (sum(-p * math.log(p) for p in (q, 1 - q)) for q in (plus, 0.1))
    truth = next(entropies) - next(entropies)
    assert information.of_action(evidence, action).item() == pytest.approx(truth, abs=0.03)


def test_the_spread_of_actions_is_a_density_on_the_square() -> None:
    """Of uniform actions 1/4 in two dimensions; of one atom at a border the height of half a hat."""
    torch.manual_seed(0)
    uniform = information.spread(torch.rand(3, 20_011, 2) * 2 - 1, 5)
    torch.testing.assert_close(uniform.exp(), torch.full_like(uniform, 0.25), atol=0.01, rtol=0)
    atom = information.spread(torch.ones(1, 7, 1), 5)
    torch.testing.assert_close(atom, torch.full_like(atom, 4.0).log())
