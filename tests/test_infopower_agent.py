"""InfoPower's behaviour: who learns from which loss, imagination against the model, acting, state."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from tensordict import TensorDict

from agents import infopower
from agents.infopower import InfoPower, InfoPowerConfig
from agents.nets import Actor
from agents.optimization import frozen
from agents.replay import ReplayBuffer
from agents.spaces import Spaces
from world_models.infopower import InfoPowerModelConfig

N, A, OBS = 3, 2, 5
MODEL = InfoPowerModelConfig(convolutions=((2, 6, 4), (3, 4, 2)), embed=13, deter=11, stoch=7, hidden=17, critic=19)
CONFIG = InfoPowerConfig(model=MODEL, batch=5, length=7, horizon=4, starts=23, hidden=17, entropy=0.01)


def make_agent(config: InfoPowerConfig = CONFIG, ends: bool = False) -> InfoPower:
    torch.manual_seed(0)
    return InfoPower(Spaces({"state": (OBS,)}, A, terminates=ends), config)


def timestep(first: bool = False) -> TensorDict:
    values = {"state": torch.randn(N, OBS), "reward": torch.rand(N), "is_first": torch.full((N,), first)}
    flags = {"is_last": torch.zeros(N, dtype=torch.bool), "is_terminal": torch.zeros(N, dtype=torch.bool)}
    return TensorDict(values | flags, batch_size=[N])


def make_replay(rows: int = 31) -> ReplayBuffer:
    torch.manual_seed(0)
    replay = ReplayBuffer(rows * N, N, "cpu")
    for t in range(rows):
        replay.add(timestep(first=t % 10 == 0).update({"action": torch.rand(N, A) * 2 - 1}))
    return replay


def moved(agent: InfoPower, before: dict[str, torch.Tensor]) -> set[str]:
    after = agent.nets.state_dict()
    return {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}


@pytest.mark.parametrize("posterior", ["observation", "recurrent"])
@pytest.mark.parametrize("codes", ["stoch", "feat"])
@pytest.mark.parametrize("gradient", ["dynamics", "reinforce"])
def test_each_update_moves_its_own_nets(posterior: str, codes: str, gradient: str) -> None:
    model = replace(MODEL, posterior=posterior, inverse_codes=codes)
    agent, replay = make_agent(replace(CONFIG, model=model, actor_gradient=gradient)), make_replay()
    rows, _ = replay.sample(5, 7)
    before = copy.deepcopy(agent.nets.state_dict())
    trace, metrics = agent.update_model(rows)
    assert moved(agent, before) == {"model", "reward_moments"}
    before = copy.deepcopy(agent.nets.state_dict())
    metrics |= agent.update_behaviour(trace, rows)
    assert moved(agent, before) == {"actor", "critic", "target", "return_range"}
    assert all(value.shape == () and value.isfinite() and not value.requires_grad for value in metrics.values())
    assert all(p.requires_grad for p in agent.model.parameters())


def test_imagination_follows_prior_policy_and_heads() -> None:
    """Replay the imagined actions through the model by hand, with the same noise."""
    agent, replay = make_agent(), make_replay()
    torch.nn.init.normal_(agent.model.inverse.net[-1].weight)
    rows, _ = replay.sample(5, 7)
    trace = agent.model.observe(rows)
    torch.manual_seed(1)
    before, after, reward, drawn, evidence = agent.imagine(trace, rows)
    assert evidence is not None and reward.shape == evidence.shape == drawn.entropy().shape == (4, 23)
    assert before.shape == after.shape == (4, 23, 18) and after.requires_grad and not before.requires_grad
    torch.testing.assert_close(before[1:], after[:-1])
    torch.manual_seed(1)
    model = agent.model
    inside = torch.zeros(5, 7)
    for b in range(5):
        for t in range(1, 7):  # two codes of an episode, and the first that is imagined
            inside[b, t] = float(not rows["is_first"][b, t])
    chosen = torch.multinomial(inside.flatten(), 23, replacement=True)
    deter, stoch = trace.deter.flatten(0, 1)[chosen], trace.stoch.flatten(0, 1)[chosen]
    codes = [trace.stoch[:, :-1].reshape(-1, 7)[(chosen // 7) * 6 + chosen % 7 - 1], stoch]
    for k in range(4):
        torch.testing.assert_close(before[k], torch.cat([deter, stoch], -1))
        action = agent.actor(before[k]).action()
        torch.testing.assert_close(drawn.action()[k], action)
        deter = model.core.step(deter, stoch, action)
        stoch = model.core.prior(deter).sample()
        codes.append(stoch)
        torch.testing.assert_close(reward[k], model.reward(torch.cat([deter, stoch], -1)))
        torch.testing.assert_close(evidence[k], model.inverse(torch.cat(codes[-3:], -1), action).sum(-1))


def test_entropy_is_the_tanh_normals() -> None:
    """Against torch's transformed distribution, at the sampled actions."""
    torch.manual_seed(0)
    actor, feat = Actor(5, A, 7).double(), torch.randn(11, 5, dtype=torch.float64)
    drawn = actor(feat)
    action, entropy = drawn.action(), drawn.entropy()
    normal = torch.distributions.Normal(*actor.parameters_of(feat))
    squashed = torch.distributions.TransformedDistribution(normal, torch.distributions.TanhTransform(cache_size=1))
    torch.testing.assert_close(entropy, -squashed.log_prob(action).sum(-1))
    assert action.abs().max() < 1
    torch.testing.assert_close(actor.mode(feat), torch.tanh(normal.mean))


def test_log_probability_is_of_an_action_that_stays() -> None:
    """Against torch's transformed distribution at an action that is no function of the policy."""
    torch.manual_seed(0)
    actor, feat = Actor(5, A, 7).double(), torch.randn(11, 5, dtype=torch.float64)
    drawn = actor(feat)
    normal = torch.distributions.Normal(*actor.parameters_of(feat))
    squashed = torch.distributions.TransformedDistribution(normal, torch.distributions.TanhTransform())
    expected, weight = squashed.log_prob(drawn.action().detach()).sum(-1), torch.randn(11, dtype=torch.float64)
    torch.testing.assert_close(drawn.log_prob(), expected)
    found = torch.autograd.grad((weight * drawn.log_prob()).sum(), list(actor.parameters()))
    torch.testing.assert_close(found, torch.autograd.grad((weight * expected).sum(), list(actor.parameters())))


def test_means_of_actions_do_not_run_away() -> None:
    actor = Actor(5, A, 7)
    torch.nn.init.constant_(actor.net[-1].bias, 1e3)
    assert actor.mode(torch.randn(3, 5)).flatten().tolist() == pytest.approx([math.tanh(2)] * 3 * A)


def test_both_gradients_of_the_policy_agree_over_one_imagined_step() -> None:
    """Where a step pays -|a - 1/2|^2, gradients through it and REINFORCE are two estimates of one direction."""
    rows, found = make_replay().sample(5, 7)[0], {}
    feat = torch.randn(2, 100_000, 18)
    for gradient in ("dynamics", "reinforce"):
        agent = make_agent(replace(CONFIG, actor_gradient=gradient, discount=0.0, entropy=0.0, behaviour_clip=1e9))
        trace, drawn = agent.model.observe(rows), agent.actor(feat[:1])
        with frozen(agent.model):
            assert agent.imagine(trace, rows)[1].requires_grad == (gradient == "dynamics")
        action = drawn.action() if gradient == "dynamics" else drawn.action().detach()
        paid = -(action - 0.5).square().sum(-1)  # (1, N)
        agent.imagined = lambda *_, paid=paid, drawn=drawn: (feat[:1], feat[1:], paid, drawn, None)
        agent.optimizers["actor"] = torch.optim.SGD(agent.actor.parameters(), 0.0)  # which leaves gradients to be seen
        agent.update_behaviour(trace, rows)
        found[gradient] = torch.cat([p.grad.flatten() for p in agent.actor.parameters() if p.grad is not None])
    assert torch.cosine_similarity(found["dynamics"], found["reinforce"], 0) > 0.98
    assert found["reinforce"].norm().item() == pytest.approx(found["dynamics"].norm().item(), rel=0.1)


def test_acting_filters_as_the_model_observes() -> None:
    agent = make_agent()
    carry, steps = agent.initial_carry(N), [timestep(first=t == 0) for t in range(4)]
    rows = []
    for step in steps:
        out, carry = agent.act(step, carry, explore=False)
        rows.append(step.clone().update(out))
        assert out["action"].shape == (N, A) and out["action"].abs().max() <= 1
    slices = torch.stack(rows, 1)
    embed = agent.model.encoder(slices)  # (N, T, E)
    torch.testing.assert_close(agent.model.posterior(embed[:, -1], embed[:, -2], carry["deter"]).mean, carry["stoch"])
    again, _ = agent.act(steps[0], agent.initial_carry(N), explore=False)
    torch.testing.assert_close(again["action"], rows[0]["action"])


@pytest.mark.parametrize("posterior", ["observation", "recurrent"])
def test_features_of_rows_are_those_by_which_it_acts(posterior: str) -> None:
    agent = make_agent(replace(CONFIG, model=replace(MODEL, posterior=posterior)))
    carry, rows, feats = agent.initial_carry(N), [], []
    for t in range(8):
        step = timestep(first=t in (0, 5))
        _, carry = agent.act(step, carry, explore=False)
        carry["action"] = torch.rand(N, A) * 2 - 1  # another's
        rows.append(step.set("action", carry["action"]))
        feats.append(torch.cat([carry["deter"], carry["stoch"]], 1))
    found = agent.filtered(torch.stack(rows, 1))  # (N, T, F)
    assert found.shape == (N, 8, 18) and not found.requires_grad
    torch.testing.assert_close(found, torch.stack(feats, 1))
    later = agent.filtered(torch.stack(rows[2:], 1))  # a slice begins as an episode does
    assert not torch.allclose(later[:, 1], found[:, 3])
    torch.testing.assert_close(later[:, 3:], found[:, 5:])


def test_codes_of_rows_are_the_modes_of_what_was_seen() -> None:
    agent = make_agent()
    rows, _ = make_replay().sample(6, 7)  # more than are read at a time
    codes = agent.represent(rows)
    torch.testing.assert_close(codes["stoch"], agent.model.observe(rows).post.mean)
    assert codes["feat"].shape == (6, 7, 18)


@pytest.mark.parametrize("gradient", ["dynamics", "reinforce"])
@pytest.mark.parametrize(("empowered", "ends"), [(True, False), (False, False), (True, True)])
def test_losses_of_actor_and_critic_by_hand(empowered: bool, ends: bool, gradient: str) -> None:
    """From an imagined stretch of given states: discount 1/2, lambda 0.7, empowerment 0.3, entropy 0.2.

    Where an episode can end, discounts and weights are the continuation's, and rewards of mean 2 and deviation 1 are
    counted from 0.
    """
    config = replace(CONFIG, discount=0.5, lambda_=0.7, empowerment=0.3, entropy=0.2, target_rate=0.25)
    agent = make_agent(replace(config, actor_gradient=gradient), ends)
    agent.reward_moments.update(torch.tensor([1.0, 3.0]), torch.ones(2))
    torch.nn.init.normal_(agent.target[-1].weight)
    feat, (reward, evidence) = torch.randn(5, 23, 18), torch.randn(2, 4, 23)
    drawn = agent.actor(feat[:-1])
    entropy, log_prob = drawn.entropy().detach(), drawn.log_prob().detach()
    agent.imagined = lambda *_: (feat[:-1], feat[1:], reward, drawn, evidence if empowered else None)
    before = {name: copy.deepcopy(net) for name, net in agent.nets.items()}
    rows, _ = make_replay().sample(5, 7)
    found = agent.update_behaviour(agent.model.observe(rows), rows)
    value = before["target"](feat).squeeze(-1)
    going_on = before["continuation"](feat[1:]) if ends else torch.ones(4, 23)
    weight = torch.stack([going_on[:k].prod(0) for k in range(4)])
    returns = [value[4]]
    for k in (3, 2, 1, 0):
        paid = (reward[k] + 2) / 5**0.5 if ends else reward[k]
        wanted = paid + (0.3 * (evidence[k] + entropy[k]) if empowered else 0)
        returns.insert(0, 0.5 * wanted + 0.5 * going_on[k] * (0.3 * value[k + 1] + 0.7 * returns[0]))
    target = torch.stack(returns[:4])
    predicted = before["critic"](feat[:-1]).squeeze(-1)
    gain = target if gradient == "dynamics" else log_prob * (target - predicted)
    actor = weight * (-gain / agent.return_range() - 0.2 * entropy)
    critic = weight * 0.5 * (predicted - target).square()
    assert found["loss/actor"].item() == pytest.approx(actor.mean().item(), rel=1e-5)
    assert found["loss/critic"].item() == pytest.approx(critic.mean().item(), rel=1e-5)
    for old, new, now in zip(
        *(net.parameters() for net in (before["target"], agent.critic, agent.target)), strict=True
    ):
        torch.testing.assert_close(now, 0.75 * old + 0.25 * new)


def test_rewards_are_standardised_by_those_that_answer_an_action() -> None:
    agent = make_agent()
    rows, _ = make_replay().sample(5, 7)
    rows["reward"][rows["is_first"]] = 1e3  # of no action
    agent.update_model(rows)
    answers = rows["reward"][~rows["is_first"]]
    mean, std = agent.reward_moments.moments()
    assert mean.item() == pytest.approx(answers.mean().item(), rel=1e-4)
    assert std.item() == pytest.approx(answers.std(correction=0).item(), rel=1e-3)


def test_acts_at_random_until_the_first_update_and_with_noise_after() -> None:
    agent, replay = make_agent(replace(CONFIG, exploration=0.5)), make_replay()
    step, carry = timestep(first=True), agent.initial_carry(N)
    actions = torch.stack([agent.act(step, carry)[0]["action"] for _ in range(400)])
    assert actions.mean().abs() < 0.05 and actions.std().item() == pytest.approx(1 / math.sqrt(3), abs=0.03)
    agent.update(replay)
    torch.manual_seed(1)
    out, after = agent.act(step, carry)
    torch.manual_seed(1)
    embed = agent.model.encoder(step)
    stoch = agent.model.posterior(embed, embed, after["deter"]).sample()
    torch.testing.assert_close(after["stoch"], stoch)
    sampled = agent.actor(torch.cat([after["deter"], stoch], -1)).action()
    noisy = (sampled + 0.5 * torch.randn(N, A)).clamp(-1, 1)
    torch.testing.assert_close(out["action"], noisy)


def test_an_episode_shorter_than_a_slice_is_examined() -> None:
    found = make_agent().examine(make_replay(rows=5))
    assert found["information/observation"].isfinite() and found["inverse/seen"].isfinite()


def test_information_is_measured_on_rows_that_come_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[TensorDict]()
    monkeypatch.setattr(infopower, "told", lambda model, explore, rows: seen.append(rows) or {})
    make_agent().examine(make_replay(rows=31))
    (rows,) = seen
    assert rows.shape[0] == 4 * N and rows.shape[1] == 7  # all slices of 7 that fit into 31 rows
    assert len(rows["state"].flatten(0, 1).unique(dim=0)) == rows.numel()


def test_rewards_that_are_foretold_are_standardised(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[tuple[torch.Tensor, torch.Tensor]]()
    spy = lambda model, rows, reward: seen.append((rows["reward"], reward)) or torch.zeros(())  # noqa: E731
    monkeypatch.setattr(infopower, "foretold", spy)
    agent = make_agent()
    agent.reward_moments.update(torch.tensor([1.0, 5.0]), torch.ones(2))  # mean 3, deviation 2
    agent.examine(make_replay())
    ((raw, given),) = seen
    torch.testing.assert_close(given, (raw - 3) / 2)
