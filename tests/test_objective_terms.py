"""Every objective's KL and reward terms by torch's own distributions: value, sign, and which side a gradient pulls."""

from typing import Any

import pytest
import torch
from terms import FIRST, KNOWN, SHAPES, A, kl, make_rows
from torch import Tensor

from world_models.c_dreamer import CDreamerModelConfig
from world_models.dreamer import DreamerModelConfig
from world_models.infopower import InfoPowerModelConfig
from world_models.infopower_plus import InfoPowerPlusModelConfig
from world_models.objectives import OBJECTIVES, ModelConfig, make_model
from world_models.r2 import R2ModelConfig
from world_models.repo import RePoModelConfig

SIZES: dict[str, Any] = {
    "embed": 13,
    "deter": 11,
    "stoch": 3,
    "hidden": 17,
    "reward_std": 0.6,
    "prior_reward_scale": 0.5,
}
BALANCED: dict[str, Any] = {"critic": 19, "free_nats": 0, "prior_scale": 0.7, "posterior_scale": 0.2}
MODELS: list[ModelConfig] = [
    InfoPowerModelConfig(**SIZES, critic=19, free_nats=0, posterior_scale=0.3),
    InfoPowerPlusModelConfig(**SIZES, critic=19),
    DreamerModelConfig(**SIZES, **{name: value for name, value in BALANCED.items() if name != "critic"}),
    CDreamerModelConfig(**SIZES, **BALANCED),
    RePoModelConfig(**SIZES, target=0.0, prior_share=0.8),
    R2ModelConfig(**SIZES, free_nats=0),
]
# loss: how much it fits the prior to the posterior, and how much it pulls the posterior to the prior
SIDES: dict[type[ModelConfig], dict[str, tuple[float, float]]] = {
    InfoPowerModelConfig: {"forward": (1, 0.3)},
    InfoPowerPlusModelConfig: {"prior": (1, 0), "forward": (0, 1)},
    DreamerModelConfig: {"forward": (0.7, 0.2)},
    CDreamerModelConfig: {"forward": (0.7, 0.2)},
    RePoModelConfig: {"forward": (0.8, 0.2)},
    R2ModelConfig: {"dynamics": (1, 0), "representation": (0, 1)},
}
every_model = pytest.mark.parametrize("config", MODELS, ids=lambda config: type(config).__name__)


def made(config: ModelConfig) -> Any:
    torch.manual_seed(0)
    return make_model(SHAPES, A, config)


def test_these_are_all() -> None:
    assert {type(config) for config in MODELS} == set(OBJECTIVES) == set(SIDES)


@every_model
def test_the_kl_pulls_on_each_side_with_its_own_weight(config: ModelConfig) -> None:
    model, rows = made(config), make_rows()
    losses, trace, metrics = model.losses(rows, rows["reward"])
    torch.testing.assert_close(metrics["model/kl"], (kl(trace.post, trace.prior) * KNOWN).sum() / KNOWN.sum())
    parameters = [*model.core.parameters(), *model.posterior.parameters(), *model.encoder.parameters()]
    for name, (prior, posterior) in SIDES[type(config)].items():
        fit, simplify = kl(trace.post.detach(), trace.prior), kl(trace.post, trace.prior.detach())
        expected = (prior * fit + posterior * simplify) * KNOWN
        torch.testing.assert_close(losses[name], expected)
        found, wanted = (
            torch.autograd.grad(loss.sum(), parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
            for loss in (losses[name], expected)
        )
        torch.testing.assert_close(found, wanted)


@every_model
def test_rewards_are_predicted_from_what_was_seen_and_from_what_was_foreseen(config: ModelConfig) -> None:
    """Both losses fall with the likelihood; they count where an action went before, the second where a state did."""
    model, rows = made(config), make_rows()
    read: list[Tensor] = []
    reward = model.reward
    model.reward = lambda feat: read.append(feat) or reward(feat)
    losses, trace, _ = model.losses(rows, rows["reward"])
    posterior, prior = read
    assert torch.equal(posterior, trace.feat) and torch.equal(prior[..., :11], trace.deter)
    noise = (prior[..., 11:] - trace.prior.mean) / trace.prior.std
    assert noise.abs().max() < 4 and noise.std().item() == pytest.approx(1, abs=0.2)
    for name, feat, counts in (("reward", posterior, ~FIRST), ("prior_reward", prior, KNOWN)):
        log_prob = torch.distributions.Normal(reward(feat), 0.6).log_prob(rows["reward"])
        torch.testing.assert_close(losses[name], -log_prob * counts)


def test_what_infopower_plus_holds_is_that_of_its_terms() -> None:
    model, rows = made(MODELS[1]), make_rows()
    _, trace, metrics = model.losses(rows, rows["reward"])
    divergence = (kl(trace.post, trace.prior) * KNOWN).sum() / KNOWN.sum()
    log_prob = torch.distributions.Normal(model.reward(trace.feat), 0.6).log_prob(rows["reward"])
    assert metrics["model/constraint_forward"].item() == pytest.approx(-divergence.item(), rel=1e-5)
    assert metrics["model/constraint_reward"].item() == pytest.approx(log_prob[~FIRST].mean().item(), rel=1e-5)
