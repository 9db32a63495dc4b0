"""InfoPower+: information about the future, inverse models over several steps, a dual variable per constraint."""

import math
from dataclasses import replace

import pytest
import torch
from terms import FIRST, SHAPES, A, B, T, check_leak, make_rows, reached
from torch import Tensor, nn

from world_models.infopower_plus import InfoPowerPlusModel, InfoPowerPlusModelConfig

CONFIG = InfoPowerPlusModelConfig(embed=13, deter=11, stoch=3, hidden=17, critic=19, reward_std=1.0, inverse_scale=1.0)


def make_model(config: InfoPowerPlusModelConfig = CONFIG) -> InfoPowerPlusModel:
    torch.manual_seed(0)
    model = InfoPowerPlusModel(SHAPES, A, config)
    for head in model.inverse:  # zero at first, which would hide what reads it
        nn.init.normal_(head.net[-1].weight)
    return model


def same_episode(b: int, t: int, k: int) -> bool:
    return t + k < T and not FIRST[b, t + 1 : t + k + 1].any()


SEEING, PATH, PRIOR = {"encoder", "posterior"}, {"core.inputs", "core.gru"}, {"core.prior_net"}
LEARNERS = {
    "information": SEEING | PATH | PRIOR | {"critic"},
    "prior": SEEING | PATH | PRIOR,
    "forward": SEEING,
    "reward": SEEING | PATH | {"reward_head"},
    "prior_reward": SEEING | PATH | PRIOR | {"reward_head"},
    "inverse": SEEING | {"inverse"},
}


@pytest.mark.parametrize("term", LEARNERS)
def test_who_learns_from_each_term(term: str) -> None:
    """The KL cap moves the posterior alone, and the inverse model's codes hold no h."""
    model, rows = make_model(), make_rows()
    losses, _, _ = model.losses(rows, rows["reward"])
    assert reached(model, losses[term].sum()) == LEARNERS[term]


def test_information_rolls_the_prior_with_the_actions_taken() -> None:
    """Row by row with the same noise: from (h_t, z_t), k steps of the prior, scored against what the slice shows."""
    model, rows = make_model(replace(CONFIG, future=2)), make_rows()
    trace = model.observe(rows)
    torch.manual_seed(1)
    found = model.information(trace, rows["action"], FIRST)
    torch.manual_seed(1)
    noise = {k: torch.randn(B * (T - k), 3).view(B, T - k, 3) for k in (1, 2)}
    rolled: dict[int, dict[tuple[int, int], Tensor]] = {1: {}, 2: {}}
    for b in range(B):
        for t in range(T - 1):
            deter, stoch = trace.deter[b, t : t + 1], trace.stoch[b, t : t + 1]
            for k in range(1, min(2, T - 1 - t) + 1):
                deter = model.core.step(deter, stoch, rows["action"][b, t + k - 1 : t + k])
                mean, std = model.core.prior(deter)
                stoch = mean + std * noise[k][b, t]
                rolled[k][b, t] = torch.cat([deter, stoch], -1)
    for b in range(B):
        for t in range(T):
            expected = 0.0
            for k in (1, 2):
                if not same_episode(b, t, k):
                    continue
                keys = trace.embed[b, k:]  # all that was seen k steps after a row of this slice
                scores = model.critic(rolled[k][b, t], keys).squeeze(0)
                expected += (scores[t] - scores.logsumexp(0) + math.log(len(keys))).item() / 2
            assert found[b, t].item() == pytest.approx(expected, abs=1e-4)


def test_each_distance_has_an_inverse_model_that_sees_both_ends() -> None:
    model, rows = make_model(), make_rows()
    losses, trace, metrics = model.losses(rows, rows["reward"])
    total, count = 0.0, 0
    for b in range(B):
        for t in range(T):
            found = 0.0
            for k in (1, 2, 3):
                if same_episode(b, t, k):
                    codes = torch.cat([trace.stoch[b, t], trace.stoch[b, t + k]])
                    found += model.inverse[k - 1](codes, rows["action"][b, t]).sum().item()
                    count += 1
            assert losses["inverse"][b, t].item() == pytest.approx(-found / 3, abs=1e-4)
            total += found
    assert metrics["model/constraint_inverse"].item() == pytest.approx(total / count, abs=1e-4)
    over = total / count / A + math.log(2)
    assert metrics["model/inverse_over_uniform"].item() == pytest.approx(over, abs=1e-4)


def test_no_more_is_asked_of_codes_than_the_target() -> None:
    """Heads drawn at random know -0.66 nats of a dimension: too little where 0.3 are asked, enough where -9 are."""
    rows = make_rows()
    for nats, asked in ((0.3, True), (-9.0, False)):
        losses, _, _ = make_model(replace(CONFIG, action_nats=nats)).losses(rows, rows["reward"])
        assert losses["inverse"].any() == asked


def test_imagined_evidence_averages_over_the_steps_that_were_imagined() -> None:
    model, horizon, n = make_model(), 4, 11
    stoch, action = torch.randn(1 + horizon, n, 3), torch.rand(horizon, n, A) * 2 - 1
    found = model.action_evidence(torch.randn(1 + horizon, n, 11), stoch, action)
    for t in range(horizon):
        ages = [k for k in (1, 2, 3) if t + k <= horizon]
        told = []
        for k in ages:
            told.append(model.inverse[k - 1](torch.cat([stoch[t], stoch[t + k]], -1), action[t]).sum(-1))
        torch.testing.assert_close(found[t], torch.stack(told).mean(0))


def test_leak_by_hand() -> None:
    """What is known of an action from the codes around it, of the slice and of the one before it in the batch."""
    rows, model = make_rows(), make_model()
    places = [(b, t) for b in range(B) for t in range(T) if same_episode(b, t, 1)]

    def told(codes: Tensor) -> list[Tensor]:
        return [model.inverse[0](codes[b, t : t + 2].flatten(), rows["action"][b, t]) for b, t in places]

    check_leak(model, rows, told)


def test_targets_in_nats() -> None:
    """Unit variance: a squared error of 0.1 gives -.05 - ln(2 pi) / 2; 2 dimensions of 0.3 over -ln 2."""
    targets = make_model().targets
    assert targets["forward"] == -1.5
    assert targets["reward"] == pytest.approx(-0.05 - 0.9189385)
    assert targets["inverse"] == pytest.approx(2 * (0.3 - 0.6931472))


def test_scales_are_the_lagrangian_over_one_plus_the_sum() -> None:
    model = make_model(replace(CONFIG, prior_reward_scale=0.5))
    model.log_dual.data.copy_(torch.tensor([2.0, 4.0, 3.0]).log())  # forward, reward, inverse
    scales = {name: float(value) for name, value in model.scales().items()}
    expected = {"information": 0.1, "prior": 1, "forward": 0.2, "reward": 0.4, "prior_reward": 0.2, "inverse": 0.3}
    assert scales == pytest.approx(expected)
    model.config = replace(CONFIG, inverse_scale=0.0)
    scales = {name: float(value) for name, value in model.scales().items()}
    assert scales["inverse"] == 0 and scales["information"] == pytest.approx(1 / 7)


def test_each_dual_variable_follows_its_own_constraint() -> None:
    """KL 5 above its cap of 4; reward better than asked; actions exactly as asked."""
    model = make_model(replace(CONFIG, kl=4.0, dual_init=(1.0, 1.0, 1.0)))
    found = {"forward": -5.0, "reward": model.targets["reward"] + 0.2, "inverse": model.targets["inverse"]}
    metrics = {f"model/constraint_{name}": torch.tensor(value) for name, value in found.items()}
    optimizer = torch.optim.SGD(model.dual_parameters(), 0.1)
    optimizer.zero_grad()
    model.dual_loss(metrics).backward()
    optimizer.step()
    duals = {name: value.item() for name, value in model.duals().items()}
    assert duals["model/dual_forward"] == pytest.approx(math.exp(0.1))
    assert duals["model/dual_reward"] == pytest.approx(math.exp(-0.02), rel=1e-5)
    assert duals["model/dual_inverse"] == pytest.approx(1, abs=1e-6)


def test_a_target_out_of_reach_does_not_drive_its_variable_for_ever() -> None:
    model = make_model()
    metrics = {f"model/constraint_{name}": torch.tensor(-1e3) for name in model.targets}
    optimizer = torch.optim.SGD(model.dual_parameters(), 1.0)
    for _ in range(5):
        optimizer.zero_grad()
        loss = model.dual_loss(metrics)
        assert all(value <= 10.1 for value in model.duals().values())  # projected before use
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("option", ["future", "inverse_steps"])
def test_no_steps_ahead_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        make_model(replace(CONFIG, **{option: 0}))
