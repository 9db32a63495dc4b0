"""Dreamer, C-Dreamer, RePo and R2: each equation by a second computation, and who learns from it."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from terms import KNOWN, OBS, SHAPES, A, B, T, kl, make_rows, reached

from world_models.c_dreamer import CDreamerModel, CDreamerModelConfig
from world_models.dreamer import DreamerModel, DreamerModelConfig
from world_models.nets import Decoder
from world_models.parts import free
from world_models.r2 import R2Model, R2ModelConfig, barlow_twins
from world_models.repo import RePoModel, RePoModelConfig

SIZES: dict[str, Any] = {"embed": 13, "deter": 11, "stoch": 3, "hidden": 17, "prior_reward_scale": 0.5}
DREAMER, REPO = DreamerModelConfig(**SIZES), RePoModelConfig(**SIZES)
C_DREAMER, R2 = CDreamerModelConfig(**SIZES, critic=19), R2ModelConfig(**SIZES)


PATH = {"core.inputs", "core.gru"}
SEEING = {"encoder", "posterior"}
STATE = SEEING | PATH
REWARDS = {"reward": STATE | {"reward_head"}, "prior_reward": STATE | {"reward_head", "core.prior_net"}}
LEARNERS: list[tuple[Any, Any, dict[str, set[str]]]] = [
    (
        DreamerModel,
        replace(DREAMER, free_nats=0),
        {"reconstruction": STATE | {"decoder"}, "forward": STATE | {"prior"}},
    ),
    (CDreamerModel, replace(C_DREAMER, free_nats=0), {"information": STATE | {"query", "key"}}),
    (RePoModel, REPO, {"forward": STATE | {"prior"}}),
    (R2Model, replace(R2, free_nats=0), {"redundancy": STATE | {"projection"}, "representation": STATE}),
    (R2Model, replace(R2, free_nats=0), {"dynamics": STATE | {"prior"}}),
]


@pytest.mark.parametrize(("make", "config", "learners"), LEARNERS)
def test_who_learns_from_each_term(make: Any, config: Any, learners: dict[str, set[str]]) -> None:
    torch.manual_seed(0)
    model, rows = make(SHAPES, A, config), make_rows()
    losses, _, _ = model.losses(rows, rows["reward"])
    for term, parts in (learners | REWARDS).items():
        expected = {"core.prior_net" if part == "prior" else part for part in parts}
        assert reached(model, losses[term].sum()) == expected, term


def test_repo_encodes_for_reward_and_kl_alone() -> None:
    torch.manual_seed(0)
    model, rows = RePoModel(SHAPES, A, REPO), make_rows()
    assert set(model.losses(rows, rows["reward"])[0]) == {"forward", "reward", "prior_reward"}
    parts = {name.split(".")[0] for name, _ in model.named_parameters()}
    assert parts == {"encoder", "core", "posterior", "reward_head", "log_dual"}


def test_dreamers_terms_by_torch_distributions() -> None:
    torch.manual_seed(0)
    model, rows = DreamerModel(SHAPES, A, replace(DREAMER, free_nats=0.0)), make_rows()
    losses, trace, metrics = model.losses(rows, rows["reward"])
    seen = torch.distributions.Normal(model.decoder.state(trace.feat), 1).log_prob(rows["state"]).sum(-1)
    torch.testing.assert_close(losses["reconstruction"], -seen - OBS * 0.5 * math.log(2 * math.pi))
    reward = torch.distributions.Normal(model.reward(trace.feat), 1).log_prob(rows["reward"])
    torch.testing.assert_close(losses["reward"], -reward * ~rows["is_first"])
    torch.testing.assert_close(losses["forward"], 2 * kl(trace.post, trace.prior) * KNOWN)
    torch.testing.assert_close(metrics["model/kl"], (kl(trace.post, trace.prior) * KNOWN).sum() / KNOWN.sum())


@pytest.mark.parametrize(("make", "config"), [(DreamerModel, DREAMER), (CDreamerModel, C_DREAMER)])
def test_dreamers_kl_is_left_alone_below_the_free_nats(make: Any, config: Any) -> None:
    torch.manual_seed(0)
    model, rows = make(SHAPES, A, replace(config, free_nats=1e6)), make_rows()
    losses, _, _ = model.losses(rows, rows["reward"])
    torch.testing.assert_close(losses["forward"], 2e6 * KNOWN)
    assert reached(model, losses["forward"].sum()) == set()


def test_free_nats_by_hand() -> None:
    """Known rows 1 and 5, mean 3: above 2 free nats all count, above 4 none does."""
    values, mask = torch.tensor([[9.0, 1.0, 5.0]]), torch.tensor([[0.0, 1.0, 1.0]])
    assert free(values, mask, 2.0).tolist() == [[0, 1, 5]] and free(values, mask, 4.0).tolist() == [[0, 4, 4]]


def test_the_decoder_mirrors_the_encoder() -> None:
    decoder = Decoder({"pixels": (24, 40, 3), "state": (OBS,)}, ((2, 6, 4), (5, 4, 2)), 7, 11)
    feat = torch.randn(2, 3, 7)
    observation = decoder(feat)
    assert observation["pixels"].shape == (2, 3, 24, 40, 3) and observation["state"].shape == (2, 3, OBS)
    black = {"pixels": torch.zeros(2, 3, 24, 40, 3, dtype=torch.uint8), "state": torch.ones(2, 3, OBS)}
    expected = (observation["pixels"] + 0.5).square().sum((2, 3, 4)) + (observation["state"] - 1).square().sum(-1)
    torch.testing.assert_close(decoder.square_error(feat, black), expected)


def test_the_decoder_learns_a_picture() -> None:
    torch.manual_seed(0)
    decoder, feat = Decoder({"pixels": (8, 8, 3)}, ((13, 4, 2),), 7, 11), torch.randn(1, 2, 7)
    seen = {"pixels": torch.randint(256, (1, 2, 8, 8, 3), dtype=torch.uint8)}
    optimizer = torch.optim.Adam(decoder.parameters(), 1e-2)
    before = decoder.square_error(feat, seen).sum().item()
    for _ in range(300):
        optimizer.zero_grad()
        loss = decoder.square_error(feat, seen).sum()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01 * before


def test_c_dreamer_tells_each_row_from_all_others() -> None:
    torch.manual_seed(0)
    model, rows = CDreamerModel(SHAPES, A, C_DREAMER), make_rows()
    losses, trace, metrics = model.losses(rows, rows["reward"])
    for b in range(B):
        for t in range(T):
            query = model.query(trace.feat[b, t])
            scores = torch.stack([query @ model.key(e) for e in trace.embed.flatten(0, 1)])
            expected = scores[b * T + t] - scores.logsumexp(0) + math.log(B * T)
            assert losses["information"][b, t].item() == pytest.approx(-expected.item(), abs=1e-4)
    torch.testing.assert_close(metrics["model/information"], -losses["information"].mean())
    assert metrics["model/information"].item() <= math.log(B * T)


def test_repos_kl_is_counted_from_its_target() -> None:
    torch.manual_seed(0)
    model, rows = RePoModel(SHAPES, A, replace(REPO, target=2.5)), make_rows()
    losses, trace, _ = model.losses(rows, rows["reward"])
    torch.testing.assert_close(losses["forward"], (kl(trace.post, trace.prior) - 2.5) * KNOWN)
    assert REPO.prior_share == pytest.approx(5 / 6)


@pytest.mark.parametrize(("found", "grows"), [(3.5, True), (2.5, False)])
def test_repos_dual_variable_holds_the_target(found: float, grows: bool) -> None:
    """ln beta moves by lr * (KL - 3) under plain descent, and weighs the KL."""
    model = RePoModel(SHAPES, A, replace(REPO, dual_init=0.1))
    optimizer = torch.optim.SGD(model.dual_parameters(), 0.01)
    model.dual_loss({"model/kl": torch.tensor(found)}).backward()
    optimizer.step()
    beta = 0.1 * math.exp(0.01 * (found - 3))
    assert (beta > 0.1) == grows and model.duals()["model/dual"].item() == pytest.approx(beta)
    assert float(model.scales()["forward"]) == pytest.approx(beta)


def test_barlow_twins_by_hand() -> None:
    """x = (1, -1), y = (a, a; -a, -a): correlations of the standardised are (K - 1) / K = 1/2 everywhere."""
    x = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    assert barlow_twins(x, 3 * x, 0.1).item() == pytest.approx(2 * 0.25 + 0.1 * 2 * 0.25)


def test_barlow_twins_by_numpys_correlation() -> None:
    import numpy as np

    torch.manual_seed(0)
    x, y = torch.randn(11, 5, dtype=torch.float64), torch.randn(11, 5, dtype=torch.float64)
    c = np.corrcoef(x.numpy().T, y.numpy().T)[:5, 5:] * 10 / 11
    off = c - np.diag(np.diag(c))
    expected = ((np.diag(c) - 1) ** 2).sum() + 5e-4 * (off**2).sum()
    assert barlow_twins(x, y, 5e-4).item() == pytest.approx(expected)


def test_r2_stops_the_gradient_at_the_observation() -> None:
    """What the encoder learns from the redundancy, it learns through the features alone."""
    torch.manual_seed(0)
    model, rows = R2Model(SHAPES, A, R2), make_rows()
    losses, trace, _ = model.losses(rows, rows["reward"])
    assert losses["redundancy"].unique().numel() == 1
    target = trace.embed.detach().flatten(0, 1)
    again = barlow_twins(model.projection(trace.feat).flatten(0, 1), target, 5e-4)
    parameters = list(model.encoder.parameters())
    ours = torch.autograd.grad(losses["redundancy"].mean(), parameters, retain_graph=True)
    torch.testing.assert_close(ours, torch.autograd.grad(again, parameters, retain_graph=True))
    both = barlow_twins(model.projection(trace.feat).flatten(0, 1), trace.embed.flatten(0, 1), 5e-4)
    assert not torch.allclose(ours[0], torch.autograd.grad(both, parameters)[0])


def test_r2s_kl_terms_have_a_free_nat_in_every_row() -> None:
    torch.manual_seed(0)
    model, rows = R2Model(SHAPES, A, replace(R2, free_nats=0.9)), make_rows()
    losses, trace, _ = model.losses(rows, rows["reward"])
    expected = kl(trace.post, trace.prior).clamp(min=0.9) * KNOWN
    torch.testing.assert_close(losses["dynamics"], expected)
    torch.testing.assert_close(losses["representation"], expected)
    assert model.scales()["dynamics"] == 1 and model.scales()["representation"] == 0.1
