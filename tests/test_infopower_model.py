"""The InfoPower objective: each term by a second computation, who learns from it, the dual variable, the leak."""

import math
from dataclasses import replace

import pytest
import torch
from terms import FIRST, OBS, SHAPES, A, B, T, check_leak, make_rows, reached
from torch import Tensor, nn

from world_models.augment import random_shift
from world_models.bounds import infonce
from world_models.infopower import InfoPowerModel, InfoPowerModelConfig
from world_models.nets import Encoder, symlog
from world_models.slices import windows_inside
from world_models.world_model import primal_parameters

CONFIG = InfoPowerModelConfig(
    convolutions=((2, 6, 4), (3, 4, 2)), embed=13, deter=11, stoch=3, hidden=17, critic=19, bound="infonce"
)


def make_model(config: InfoPowerModelConfig = CONFIG, shapes: dict[str, tuple[int, ...]] = SHAPES) -> InfoPowerModel:
    torch.manual_seed(0)
    model = InfoPowerModel(shapes, A, config)
    nn.init.normal_(model.inverse.net[-1].weight)  # zero at first, which would hide what reads it
    return model


SEEING = {"encoder", "posterior"}
PATH = {"core.inputs", "core.gru"}
LEARNERS = {
    "information": SEEING | {"critic"},
    "forward": SEEING | PATH | {"core.prior_net"},
    "reward": SEEING | PATH | {"reward_head"},
    "prior_reward": SEEING | PATH | {"reward_head", "core.prior_net"},
    "inverse": SEEING | {"inverse"},
}


@pytest.mark.parametrize("term", LEARNERS)
def test_who_learns_from_each_term(term: str) -> None:
    model, rows = make_model(), make_rows()
    losses, _, _ = model.losses(rows, rows["reward"])
    assert losses.keys() == LEARNERS.keys() == model.scales().keys()
    assert losses[term].shape == (B, T)
    assert reached(model, losses[term].sum()) == LEARNERS[term]


def test_the_negative_control_reaches_the_path() -> None:
    model, rows = make_model(replace(CONFIG, inverse_codes="feat")), make_rows()
    losses, _, _ = model.losses(rows, rows["reward"])
    assert reached(model, losses["inverse"].sum()) == SEEING | PATH | {"inverse"}


def test_terms_by_torch_distributions() -> None:
    """Recompute the terms from the trace, row by row, with torch's own distributions."""
    config = replace(CONFIG, posterior_scale=0.5, free_nats=0.7, reward_std=0.3)
    model, rows = make_model(config), make_rows()
    torch.manual_seed(1)
    losses, trace, metrics = model.losses(rows, rows["reward"])
    normal = torch.distributions.Normal
    scores = model.critic(trace.stoch.flatten(0, 1), trace.embed.flatten(0, 1))
    for b in range(B):
        for t in range(T):
            i = b * T + t
            positive = scores[i, i] - scores[i].logsumexp(0) + math.log(B * T)
            assert losses["information"][b, t].item() == pytest.approx(-positive.item(), abs=1e-5)
            kl = torch.distributions.kl_divergence(
                normal(trace.post.mean[b, t], trace.post.std[b, t]),
                normal(trace.prior.mean[b, t], trace.prior.std[b, t]),
            )
            known = t > 0 and not rows["is_first"][b, t]
            expected = (kl.sum() + 0.5 * kl.sum().clamp(min=0.7)) * known
            assert losses["forward"][b, t].item() == pytest.approx(expected.item(), abs=1e-4)
            prediction = model.reward_head(torch.cat([trace.deter[b, t], trace.stoch[b, t]])).squeeze()
            log_prob = normal(prediction, 0.3).log_prob(rows["reward"][b, t])
            expected = -log_prob * ~rows["is_first"][b, t]
            assert losses["reward"][b, t].item() == pytest.approx(expected.item(), abs=1e-4)
            inside = t >= 2 and not rows["is_first"][b, t - 1 : t + 1].any()
            expected = torch.zeros(())
            if inside:
                codes = trace.stoch[b, t - 2 : t + 1].flatten()
                expected = -model.inverse(codes, rows["action"][b, t - 1]).sum()
            assert losses["inverse"][b, t].item() == pytest.approx(expected.item(), abs=1e-4)
    inside, known = windows_inside(rows["is_first"], 3), windows_inside(rows["is_first"], 2)
    kl = (losses["forward"].sum() / known.sum()).item()
    assert metrics["model/kl"].item() <= kl
    reward = losses["reward"].sum() / (~rows["is_first"]).sum()  # of rows that have one
    expected = -(losses["inverse"].sum() / inside.sum()) + A * math.log(2) - reward - metrics["model/kl"]
    assert metrics["model/constraint"].item() == pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.parametrize("more, wanting", [(-0.1, False), (0.1, True)])
def test_what_is_known_of_actions_can_be_enough(more: float, wanting: bool) -> None:
    """Of each of its dimensions."""
    rows = make_rows()
    known = make_model().losses(rows, rows["reward"])[2]["model/inverse_over_uniform"].item()
    asked = replace(CONFIG, action_nats=known + more)
    assert make_model(asked).losses(rows, rows["reward"])[0]["inverse"].any() == wanting


def test_the_bound_teaches_the_encoder_on_both_its_sides_and_is_told() -> None:
    rows, model = make_rows(), make_model()
    losses, trace, metrics = model.losses(rows, rows["reward"])
    bound = infonce(model.critic(trace.stoch.flatten(0, 1), trace.embed.flatten(0, 1)))
    assert metrics["model/information"].item() == pytest.approx(bound.mean().item(), rel=1e-4)
    parameters = list(model.encoder.parameters())
    found = torch.autograd.grad(-losses["information"].sum(), parameters, retain_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad(bound.sum(), parameters))


def test_scales_are_the_lagrangian_over_one_plus_lambda() -> None:
    """lambda = 3: I(O; Z) weighs 1/4 and each term of C 3/4, times its own weight."""
    own = {"information": 5.0, "forward": 2.0, "reward": 7.0, "prior_reward": 0.5, "inverse": 0.1}
    weights = {f"{name}_scale": value for name, value in own.items()}
    scales = make_model(replace(CONFIG, dual_init=3.0, **weights)).scales()
    share = {name: 1 / 4 if name == "information" else 3 / 4 for name in own}
    assert {name: float(scale) for name, scale in scales.items()} == pytest.approx(
        {name: own[name] * share[name] for name in own}
    )


@pytest.mark.parametrize("constraint, grows", [(-11.0, True), (-9.0, False)])
def test_dual_variable_moves_the_right_way(constraint: float, grows: bool) -> None:
    """lambda grows while C < c0 = -10 and shrinks while C > c0, and never turns negative."""
    model = make_model(replace(CONFIG, constraint=-10.0))
    optimizer = torch.optim.Adam([model.log_dual], 0.1)
    before = model.log_dual.item()
    for _ in range(50):
        optimizer.zero_grad()
        model.dual_loss({"model/constraint": torch.tensor(constraint)}).backward()
        optimizer.step()
    assert (model.log_dual.item() > before) == grows
    assert model.log_dual.exp().item() >= 0
    assert "log_dual" not in {n for n, p in model.named_parameters() if any(p is q for q in primal_parameters(model))}


def test_dual_ascent_solves_a_known_problem() -> None:
    """max -x^2/2 subject to x >= 1: x = 1 and lambda = 1."""
    model = make_model(replace(CONFIG, constraint=1.0, dual_init=0.1))
    x = torch.zeros((), requires_grad=True)
    dual = torch.optim.SGD([model.log_dual], 0.05)
    primal = torch.optim.SGD([x], 0.1)
    for _ in range(3000):
        weight = model.log_dual.detach().exp()
        loss = (x.square() / 2 - weight * x) / (1 + weight)
        primal.zero_grad()
        loss.backward()
        primal.step()
        dual.zero_grad()
        model.dual_loss({"model/constraint": x.detach()}).backward()
        dual.step()
    assert x.item() == pytest.approx(1, abs=0.02)
    assert model.log_dual.exp().item() == pytest.approx(1, abs=0.05)


def test_the_dual_variable_turns_back_after_a_target_out_of_reach() -> None:
    """Unbounded, lambda and its gradient grow for ever, and Adam remembers them for as long."""
    model = make_model(replace(CONFIG, dual_init=50.0))
    dual = torch.optim.Adam(model.dual_parameters(), 1e-2)

    def update(above: float, count: int) -> float:
        for _ in range(count):
            dual.zero_grad()
            model.dual_loss({"model/constraint": torch.tensor(CONFIG.constraint + above)}).backward()
            dual.step()
        return model.duals()["model/dual"].item()

    assert update(-1.2, 2000) == pytest.approx(1000, rel=0.02)
    assert update(1.2, 300) < 700


def test_the_dual_variable_does_not_fall_for_ever() -> None:
    model = make_model(replace(CONFIG, dual_init=1 / 999))
    optimizer = torch.optim.SGD(model.dual_parameters(), 1e3)
    for _ in range(3):
        optimizer.zero_grad()
        loss = model.dual_loss({"model/constraint": torch.tensor(100.0)})
        assert model.duals()["model/dual"].item() >= 0.999e-3  # projected before use
        loss.backward()
        optimizer.step()


def test_leak_by_hand() -> None:
    """What is known of a_{t-1} from codes of rows t-2 to t, of the slice and of the one before it in the batch."""
    rows, model = make_rows(), make_model()
    places = [(b, t) for b in range(B) for t in range(2, T) if not FIRST[b, t - 1 : t + 1].any()]

    def told(codes: Tensor) -> list[Tensor]:
        return [model.inverse(codes[b, t - 2 : t + 1].flatten(), rows["action"][b, t - 1]) for b, t in places]

    check_leak(model, rows, told)


def test_leak_shows_who_answers_without_looking() -> None:
    """Where observations hold nothing of the action, only a model that reads h knows it, shuffled or not."""
    found = {}
    for codes in ("stoch", "feat"):
        torch.manual_seed(0)
        model = InfoPowerModel(SHAPES, A, replace(CONFIG, inverse_codes=codes, inverse_window=2, action_nats=9.0))
        optimizer = torch.optim.Adam(primal_parameters(model), 1e-2)
        for seed in range(400):
            rows = make_rows(seed)
            rows["action"] = rows["action"].sign()
            loss = model.losses(rows, rows["reward"])[0]["inverse"].mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        rows = make_rows(1000)
        rows["action"] = rows["action"].sign()
        found[codes] = {name: value.item() for name, value in model.leak(rows).items()}
    assert found["feat"]["inverse/seen"] > found["stoch"]["inverse/seen"] + 0.2
    assert found["feat"]["inverse/shuffled"] > found["stoch"]["inverse/shuffled"] + 0.2


@pytest.mark.parametrize("shapes", [{"pixels": (64, 64, 3)}, {"pixels": (32, 48, 3), "state": (OBS,)}])
def test_pixels_reach_the_encoder(shapes: dict[str, tuple[int, ...]]) -> None:
    model, rows = make_model(shapes=shapes), make_rows()
    height, width, _ = shapes["pixels"]
    rows["pixels"] = torch.randint(256, (B, T, height, width, 3), dtype=torch.uint8)
    losses, trace, _ = model.losses(rows, rows["reward"])
    assert trace.feat.shape == (B, T, 14)
    assert "encoder" in reached(model, losses["reward"].sum())


def test_states_are_read_by_a_perceptron_of_their_symlog() -> None:
    states = torch.tensor([0.0, math.e - 1, 1 - math.e**3])
    assert torch.allclose(symlog(states), torch.tensor([0.0, 1.0, -3.0]))
    encoder, rows = Encoder({"state": (3,)}, (), 7, 5), states.expand(2, 11, 3)
    one, activation, two = encoder.state[0][0], nn.ELU(), encoder.state[0][2]
    hidden = activation(two(activation(one(torch.tensor([0.0, 1.0, -3.0])))))  # (5,)
    assert one.weight.shape == (5, 3) and torch.allclose(encoder({"state": rows}), encoder.out(hidden).expand(2, 11, 7))


def test_pictures_are_read_around_zero() -> None:
    encoder, seen = Encoder({"pixels": (8, 8, 3)}, ((2, 4, 2),), 5, 7), list[list[float]]()
    encoder.conv.register_forward_pre_hook(lambda net, given: seen.append(given[0].unique().tolist()))
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    encoder({"pixels": black_and_white.expand(2, 8, 8, 3)})
    assert seen == [[-0.5, 0.5]]


def test_random_shift_moves_whole_sequences() -> None:
    torch.manual_seed(0)
    frames = torch.zeros(31, 2, 7, 9, 3, dtype=torch.uint8)
    frames[:, :, 3, 4] = 255
    shifted = random_shift(frames, 2)
    places = (shifted[..., 0] == 255).nonzero()
    assert len(places) == 62 and (places[::2, 2:] == places[1::2, 2:]).all()
    offsets = places[::2, 2:] - torch.tensor([3, 4])
    assert offsets.abs().max() == 2 and len(offsets.unique(dim=0)) > 10
    y, x = offsets[0].tolist()
    assert (shifted[0, 0] == 127).any(-1).sum() == 63 - (7 - abs(y)) * (9 - abs(x))
