"""What every world model is, whichever its objective, latent and posterior; and that an agent learns in it."""

import copy
import dataclasses
from dataclasses import replace
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from agents.infopower import InfoPower, InfoPowerConfig
from agents.presets.infopower import IMAGINATION
from agents.replay import ReplayBuffer
from agents.spaces import Spaces
from world_models.c_dreamer import CDreamerModelConfig
from world_models.dreamer import DreamerModelConfig
from world_models.infopower import InfoPowerModelConfig
from world_models.infopower_plus import InfoPowerPlusModelConfig
from world_models.objectives import OBJECTIVES, ModelConfig, make_model
from world_models.parts import BodyConfig
from world_models.r2 import R2ModelConfig
from world_models.repo import RePoModelConfig
from world_models.world_model import Constrained, Empowering, primal_parameters

B, T, A, OBS, N = 5, 7, 2, 3, 3
SIZES: dict[str, Any] = {
    "convolutions": ((2, 6, 4), (3, 4, 2)),
    "embed": 13,
    "deter": 11,
    "stoch": 7,
    "classes": 5,
    "hidden": 17,
}
SHAPES: dict[str, tuple[int, ...]] = {"state": (OBS,), "pixels": (8, 16, 3)}
MODELS: dict[str, ModelConfig] = {
    "infopower": InfoPowerModelConfig(**SIZES, critic=19),
    "infopower-plus": InfoPowerPlusModelConfig(**SIZES, critic=19, prior_reward_scale=0.5),
    "dreamer": DreamerModelConfig(**SIZES, free_nats=0),
    "c-dreamer": CDreamerModelConfig(**SIZES, critic=19, free_nats=0),
    "repo": RePoModelConfig(**SIZES),
    "r2": R2ModelConfig(**SIZES, free_nats=0),
}
# of each loss, where dual variables take no share of it: other objectives' shares are worked out in their own tests
WEIGHTS: dict[str, dict[str, float]] = {
    "dreamer": {"reconstruction": 3.0, "forward": 5.0, "reward": 7.0, "prior_reward": 11.0},
    "c-dreamer": {"information": 3.0, "forward": 5.0, "reward": 7.0, "prior_reward": 11.0},
    "repo": {"reward": 7.0, "prior_reward": 11.0},
    "r2": {"redundancy": 3.0, "dynamics": 5.0, "representation": 13.0, "reward": 7.0, "prior_reward": 11.0},
}
every_model = pytest.mark.parametrize("name", MODELS)
every_latent = pytest.mark.parametrize("latent", ["gaussian", "categorical"])
every_posterior = pytest.mark.parametrize("posterior", ["observation", "recurrent"])


def rows(batch: tuple[int, ...], first: torch.Tensor) -> TensorDict:
    values = {
        "state": torch.randn(*batch, OBS),
        "pixels": torch.randint(256, (*batch, *SHAPES["pixels"]), dtype=torch.uint8),
        "action": torch.rand(*batch, A) * 2 - 1,
        "reward": torch.randn(batch),
        "is_first": first,
        "is_last": torch.zeros(batch, dtype=torch.bool),
        "is_terminal": torch.zeros(batch, dtype=torch.bool),
    }
    return TensorDict(values, batch_size=batch)


def make_agent(name: str, device: str = "cpu", **changes: Any) -> InfoPower:
    torch.manual_seed(0)
    model = replace(MODELS[name], **changes)
    empowerment = float(name.startswith("infopower"))
    options = {"batch": B, "length": T, "horizon": 4, "starts": 23, "hidden": 17, "entropy": 0.01}
    return InfoPower(Spaces(SHAPES, A), InfoPowerConfig(model=model, empowerment=empowerment, **options), device)


def make_replay(device: str = "cpu") -> ReplayBuffer:
    replay = ReplayBuffer(31 * N, N, device)
    for t in range(31):
        replay.add(rows((N,), torch.full((N,), t % 10 == 0)).to(device))
    return replay


def test_these_are_all() -> None:
    assert {type(config) for config in MODELS.values()} == set(OBJECTIVES)


@every_model
@every_latent
@every_posterior
def test_losses_are_unreduced_scaled_by_name_and_finite(name: str, latent: str, posterior: str) -> None:
    model = make_agent(name, latent=latent, posterior=posterior).model
    first = torch.zeros(B, T, dtype=torch.bool)
    first[1, 3] = first[2, 0] = True
    batch = rows((B, T), first)
    losses, trace, metrics = model.losses(batch, batch["reward"])
    assert losses.keys() == model.scales().keys()
    assert all(loss.shape == (B, T) and loss.isfinite().all() for loss in losses.values())
    assert all(m.shape == () and m.isfinite() and not m.requires_grad for m in metrics.values())
    stoch = SIZES["stoch"] * (SIZES["classes"] if latent == "categorical" else 1)
    assert model.core.stoch == stoch and trace.feat.shape == (B, T, SIZES["deter"] + stoch) and metrics["model/kl"] > 0
    assert model.reward(trace.feat).shape == (B, T)


@pytest.mark.parametrize("name", WEIGHTS)
def test_each_loss_has_the_weight_of_its_name(name: str) -> None:
    weights = WEIGHTS[name]
    own = {f"{loss}_scale": weight for loss, weight in weights.items()}
    scales = make_model(SHAPES, A, replace(MODELS[name], **own)).scales()
    assert {loss: float(scale) for loss, scale in scales.items() if loss in weights} == weights


@every_model
@every_latent
@every_posterior
def test_an_update_moves_every_parameter(name: str, latent: str, posterior: str) -> None:
    """Model, dual variables, actor, critic and running statistics."""
    agent = make_agent(name, latent=latent, posterior=posterior)
    before = copy.deepcopy(agent.nets.state_dict())
    replay = make_replay()
    for _ in range(2):  # the inverse model's last layer begins at zero and hides the first
        agent.update(replay)
    still = [key for key, value in agent.nets.state_dict().items() if torch.equal(value, before[key])]
    constants = ("log_area", "levels")
    assert [key for key in still if not key.endswith(constants)] == []


@every_model
@every_latent
def test_a_restored_agent_learns_the_same(name: str, latent: str) -> None:
    replay = make_replay()
    first, second = make_agent(name, latent=latent), make_agent(name, latent=latent)
    for _ in range(2):
        first.update(replay)
    saved, state = copy.deepcopy(first.state_dict()), torch.get_rng_state()
    expected = first.update(replay)
    second.load_state_dict(saved)
    torch.set_rng_state(state)
    found = second.update(replay)
    assert found.keys() == expected.keys() and all(torch.equal(found[k], expected[k]) for k in found)
    for a, b in zip(first.nets.state_dict().values(), second.nets.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@every_model
@every_latent
@every_posterior
@pytest.mark.usefixtures("few_rows")
def test_acts_and_is_examined(name: str, latent: str, posterior: str) -> None:
    agent = make_agent(name, latent=latent, posterior=posterior)
    carry = agent.initial_carry(N)
    for t in range(3):
        for explore in (True, False):
            out, after = agent.act(rows((N,), torch.full((N,), t == 0)), carry, explore)
            assert out["action"].shape == (N, A) and out["action"].abs().max() <= 1
            assert {k: v.shape for k, v in after.items()} == {k: v.shape for k, v in carry.items()}
        carry = after
    found = agent.examine(make_replay())
    told = {"observation", "reward"} | ({"action"} if isinstance(agent.model, Empowering) else set())
    expected = {f"information/{name}{ceiling}" for name in told for ceiling in ("", "_ceiling")} | {"foretold/reward"}
    if isinstance(agent.model, Empowering):
        expected |= {"inverse/seen", "inverse/shuffled"}
    assert set(found) == expected
    assert all(value.isfinite() for value in found.values())


@every_model
def test_dual_variables_have_an_optimiser_of_their_own(name: str) -> None:
    agent = make_agent(name)
    duals = agent.model.dual_parameters() if isinstance(agent.model, Constrained) else []
    assert len(duals) == (name in {"infopower", "infopower-plus", "repo"})
    assert ("dual" in agent.optimizers) == bool(duals)
    both = {id(p) for p in duals} | {id(p) for p in primal_parameters(agent.model)}
    assert both == {id(p) for p in agent.model.parameters()}
    assert len(duals) + len(primal_parameters(agent.model)) == len(both)
    if isinstance(agent.model, Constrained):
        assert agent.model.duals().keys() <= agent.update(make_replay()).keys()


def test_empowerment_without_an_inverse_model_is_refused() -> None:
    config = InfoPowerConfig(model=MODELS["dreamer"], empowerment=0.5)
    with pytest.raises(ValueError, match=r"--agent.empowerment 0.5: this world model has no inverse model; take 0"):
        InfoPower(Spaces(SHAPES, A), config)


def test_small_presets_differ_in_the_objective_alone() -> None:
    shared = {field.name for field in dataclasses.fields(BodyConfig)}
    small = {name: config for name, config in IMAGINATION.items() if name.endswith("-small")}
    assert set(small) == {f"{name}-small" for name in MODELS} and set(IMAGINATION) == set(MODELS) | set(small)
    reference = small["infopower-small"]
    for name, config in small.items():
        model, agent = config.agent.model, config.agent
        assert {k: getattr(model, k) for k in shared} == {k: getattr(reference.agent.model, k) for k in shared}
        same = replace(agent, model=reference.agent.model, empowerment=reference.agent.empowerment)
        assert replace(config, name=reference.name, agent=same) == reference
        assert config.name == name and (agent.empowerment > 0) == ("infopower" in name)


@every_model
def test_a_model_is_built_for_pixels_alone(name: str) -> None:
    model = make_model({"pixels": (32, 32, 3)}, A, MODELS[name])
    batch = rows((B, T), torch.zeros(B, T, dtype=torch.bool))
    batch["pixels"] = torch.randint(256, (B, T, 32, 32, 3), dtype=torch.uint8)
    assert all(loss.isfinite().all() for loss in model.losses(batch, batch["reward"])[0].values())


@every_model
def test_imagination_begins_where_a_row_stands_before(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, weights, draw = make_agent(name), list[torch.Tensor](), torch.multinomial

    def spy(weight: torch.Tensor, count: int, replacement: bool) -> torch.Tensor:
        weights.append(weight.view(B, T))
        return draw(weight, count, replacement=replacement)

    monkeypatch.setattr(torch, "multinomial", spy)
    batch, _ = make_replay().sample(B, T)
    agent.imagine(agent.model.observe(batch), batch)
    expected = ~batch["is_first"]
    expected[:, 0] = False
    assert torch.equal(weights[0], expected.float()) and batch["is_first"][:, 1:].any()
