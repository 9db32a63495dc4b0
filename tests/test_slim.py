"""SLIM: skills that are held, what each critic is taught, who learns from what, and state."""

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from tiny import leaves, unequal

from agents import ppo
from agents.replay import ReplayBuffer
from agents.slim import Slim, SlimConfig
from agents.slim.discovery import DiscoveryConfig
from agents.slim.priors import even_skills
from agents.spaces import Spaces

N, A, OBS, Z = 3, 2, 5, 2
SPACES = Spaces({"state": (OBS,)}, A, signals={"position": (3,), "effort": ()})
CONFIG = SlimConfig(
    rewards=("discovery", "effort:0.5", "task"),
    discovery=DiscoveryConfig(hidden=7, steps=3, batch=11),
    hidden=(13, 11),
    shared=1,
    epochs=2,
    minibatches=3,
)


def make_agent(**changes: Any) -> Slim:
    torch.manual_seed(0)
    return Slim(SPACES, replace(CONFIG, **changes))


def timestep(t: int, length: int = 5) -> TensorDict:
    """Row t of episodes of `length` rows that end together, by time."""
    at = t % length
    values = {"state": torch.randn(N, OBS), "reward": torch.rand(N), "position": torch.randn(N, 3)}
    values |= {"effort": torch.rand(N), "is_first": torch.full((N,), at == 0)}
    values |= {"is_last": torch.full((N,), at == length - 1), "is_terminal": torch.zeros(N, dtype=torch.bool)}
    return TensorDict(values, batch_size=[N])


def play(agent: Slim, steps: int, length: int = 5) -> ReplayBuffer:
    replay, carry = ReplayBuffer(100 * N, N), agent.initial_carry(N)
    for t in range(steps):
        step = timestep(t, length)
        out, carry = agent.act(step, carry)
        replay.add(step.clone().update(out))
    return replay


def test_a_skill_is_drawn_when_an_episode_begins_and_held() -> None:
    skill = play(make_agent(), 10).latest(10)["skill"]  # (N, T, Z)
    torch.testing.assert_close(skill.norm(dim=-1), torch.ones(N, 10))
    held = (skill[:, 1:] == skill[:, :-1]).all(-1)
    assert held.tolist() == [[True] * 4 + [False] + [True] * 4] * N
    assert len(skill.flatten(0, 1).unique(dim=0)) == 2 * N


def test_a_skill_may_be_held_for_less() -> None:
    skill = play(make_agent(skill_steps=2), 10).latest(10)["skill"]
    changed = (skill[:, 1:] != skill[:, :-1]).any(-1).tolist()
    assert changed == [[False, True, False, True, True, False, True, False, True]] * N


def test_skills_are_evenly_spread_where_nothing_is_explored() -> None:
    agent, carry = make_agent(), make_agent().initial_carry(N)
    skills = []
    for t in range(10):
        out, carry = agent.act(timestep(t), carry, explore=False)
        skills.append(out["skill"])
        assert torch.equal(out["action"], out["raw_action"].clamp(-1, 1))
    torch.testing.assert_close(torch.cat([skills[0], skills[5]]), even_skills(torch.arange(2 * N), Z))
    assert agent.unused == 0


def test_rows_keep_what_was_thought() -> None:
    agent = make_agent(std=2.0)
    rows = play(agent, 7).latest(7)
    mean, value = agent.net(agent.inputs(rows["state"], rows["skill"]).flatten(0, 1))
    normal = torch.distributions.Normal(mean, 2.0)
    raw = rows["raw_action"].flatten(0, 1)
    torch.testing.assert_close(rows["log_prob"].flatten(), normal.log_prob(raw).sum(1))
    torch.testing.assert_close(rows["value"].flatten(0, 1), value)
    assert rows["action"].abs().max() == 1 and rows["raw_action"].abs().max() > 1
    assert torch.equal(rows["action"], rows["raw_action"].clamp(-1, 1))


def test_each_reward_reads_the_row_that_its_step_led_to() -> None:
    agent = make_agent()
    rows = agent.latest(play(agent, 7), 7)  # (T + 1, N)
    found: dict[str, torch.Tensor] = {}
    reward = agent.earned(rows, found)  # (T, N, R)
    kept = torch.arange(6) != 4  # the fifth step is a reset
    assert reward.shape == (6, N, 3) and (reward[4] == 0).all()
    torch.testing.assert_close(reward[kept, :, 1], -rows["effort"][1:][kept])
    torch.testing.assert_close(reward[kept, :, 2], rows["reward"][1:][kept])
    assert agent.discovery is not None
    place = agent.discovery.phi(rows["position"])
    along = ((place[1:] - place[:-1]) * rows["skill"][:-1]).sum(-1)
    torch.testing.assert_close(reward[kept, :, 0], along[kept].detach())
    assert found["reward/task"].item() == pytest.approx(rows["reward"][1:][kept].mean().item())
    one = make_agent(critics="sum")
    one.discovery = agent.discovery
    summed = one.earned(rows, {})
    torch.testing.assert_close(summed[..., 0], reward[..., 0] + 0.5 * reward[..., 1] + reward[..., 2])


def by_hand(terminal: bool = False, **changes: Any) -> tuple[Slim, TensorDict]:
    """Four rows of one environment: two steps, of which the second ends the episode, then a reset."""
    agent = make_agent(rewards=("task", "effort"), discount=0.5, lambda_=0.5, **changes)
    flags = {"is_first": [1, 0, 0, 1], "is_last": [0, 0, 1, 0], "is_terminal": [0, 0, terminal, 0]}
    values = {name: torch.tensor(flag, dtype=torch.bool).view(4, 1) for name, flag in flags.items()}
    values |= {"reward": torch.tensor([[9.0], [1], [2], [0]]), "effort": torch.tensor([[9.0], [4], [0], [9]])}
    values |= {"value": torch.tensor([[[4.0, 0]], [[2, 4]], [[8, 2]], [[5, 5]]])}
    values |= {"skill": torch.tensor([[1.0, 0]]).expand(4, 1, 2).clone(), "state": torch.randn(4, 1, OBS)}
    return agent, TensorDict(values, batch_size=[4, 1])


@pytest.mark.parametrize(
    ("terminal", "expected"),
    [
        # task: 2 + 8/2 - 2 = 4, then 1 + 2/2 - 4 + 4/4 = -1; effort: 0 + 2/2 - 4 = -3, then -4 + 4/2 - 0 - 3/4 = -2.75
        (False, [[-1, -2.75], [4, -3]]),
        # nothing lies beyond the end: 2 - 2 = 0, then 1 + 2/2 - 4 + 0/4 = -2; 0 - 4 = -4, then -4 + 4/2 - 0 - 4/4 = -3
        (True, [[-2, -3], [0, -4]]),
    ],
)
def test_advantages_stop_where_an_episode_does(terminal: bool, expected: list[list[float]]) -> None:
    agent, rows = by_hand(terminal)
    found = agent.advantages(rows, agent.earned(rows, {}))
    assert found[:2, 0].tolist() == expected


def test_a_skill_that_ends_is_worth_what_it_would_have_gone_on_to() -> None:
    agent, rows = by_hand(skill_steps=1)
    rows["skill"][1] = torch.tensor([0.0, 1])
    with torch.no_grad():
        value = agent.net(agent.inputs(rows["state"][1], rows["skill"][0]))[1][0]  # (R,)
    found = agent.advantages(rows, agent.earned(rows, {}))
    torch.testing.assert_close(found[0, 0], torch.tensor([1.0, -4]) + value / 2 - torch.tensor([4.0, 0]))


def test_the_update_improves_the_weighted_sum_of_normalised_advantages(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make_agent(rewards=("task:0.3", "effort:2"))
    replay, handed = play(agent, 7), []
    rows = replay.latest(7).transpose(0, 1)
    advantage = agent.advantages(rows, agent.earned(rows, {}))
    learn = agent.learn
    monkeypatch.setattr(agent, "learn", lambda *arguments: handed.append(arguments) or learn(*arguments))
    agent.update(replay)
    inputs, _, log_prob, summed, target = handed[0]
    kept = (torch.arange(6) != 4).repeat_interleave(N)
    flat = advantage.flatten(0, 1)[kept]
    torch.testing.assert_close(summed, ppo.normalized(flat) @ torch.tensor([0.3, 2]))
    torch.testing.assert_close(log_prob, rows["log_prob"][:-1].flatten()[kept])
    torch.testing.assert_close(inputs[:, :OBS], rows["state"][:-1].flatten(0, 1)[kept])
    returns = (advantage + rows["value"][:-1]).flatten(0, 1)[kept]
    torch.testing.assert_close(target, (returns - returns.mean(0)) / returns.std(0, correction=0))
    torch.testing.assert_close(agent.seen.mean, inputs[:, :OBS].mean(0))  # for the next update: this one knew none yet


def test_a_reward_that_never_comes_adds_no_noise() -> None:
    agent = make_agent(rewards=("task", "effort"))
    for _ in range(3):
        replay = play(agent, 7)
        replay.rows["effort"].zero_()
        agent.update(replay)
    replay = play(agent, 7)
    replay.rows["effort"].zero_()
    rows = agent.latest(replay, 7)
    advantage = ppo.normalized(agent.advantages(rows, agent.earned(rows, {})).flatten(0, 1))
    assert (advantage[:, 1] == 0).all() and advantage[:, 0].std().item() == pytest.approx(1, abs=0.1)


def test_each_loss_moves_its_own_nets() -> None:
    agent = make_agent()
    assert agent.discovery is not None
    replay = play(agent, 7)
    rows = agent.latest(replay, 7)
    before = copy.deepcopy(nets_of(agent))
    agent.discover(rows, torch.arange(18))
    assert moved(agent, before) == {"phi", "phi's units", "multiplier"}
    before = copy.deepcopy(nets_of(agent))
    agent.learn(torch.randn(17, OBS + Z), torch.randn(17, A), torch.randn(17), torch.randn(17), torch.randn(17, 3))
    assert moved(agent, before) == {"trunk", "policy", "critics", "deviations"}
    before = copy.deepcopy(nets_of(agent))
    agent.update(replay)
    assert moved(agent, before) == before.keys()


def test_better_actions_become_likelier_and_worse_ones_rarer() -> None:
    """Whatever the state; where no action is better, only the wish for entropy moves the deviations: it widens them."""
    agent, inputs = make_agent(entropy=0.0, shared=0, epochs=5), torch.randn(20, OBS + Z)
    raw = torch.tensor([0.5, -0.5]).repeat_interleave(10).unsqueeze(1).expand(20, A)
    advantage = raw[:, 0].sign()

    def density() -> torch.Tensor:
        with torch.no_grad():
            mean, _ = agent.net(inputs)
            return torch.distributions.Normal(mean, agent.net.log_std.exp()).log_prob(raw).sum(1)

    before = density()
    agent.learn(inputs, raw, before, advantage, torch.zeros(20, 3))
    assert ((density() - before) * advantage > 0).all()
    agent = make_agent(entropy=0.01)
    agent.learn(inputs, raw, density(), torch.zeros(20), torch.zeros(20, 3))
    assert (agent.net.log_std > 0).all()


def test_observations_are_clipped_at_ten_deviations() -> None:
    agent = make_agent()
    agent.seen.update(torch.tensor([[3.0], [7.0]]).expand(2, OBS))  # mean 5, deviation 2
    state = torch.tensor([1e6, -1e6, 24, -14, 6])
    assert agent.inputs(state, torch.tensor([0.6, 0.8])).tolist() == pytest.approx([10, -10, 9.5, -9.5, 0.5, 0.6, 0.8])


def nets_of(agent: Slim) -> dict[str, list[torch.Tensor]]:
    assert agent.discovery is not None
    net, phi = agent.net, agent.discovery.phi
    dual = agent.discovery.objective.log_dual
    assert isinstance(dual, torch.nn.Parameter)
    everything = {
        "trunk": list(net.trunk.parameters()),
        "policy": list(net.policy.parameters()),
        "critics": list(net.critics.parameters()),
        "deviations": [net.log_std],
        "phi": list(phi.net.parameters()),
        "phi's units": list(phi.normalizer.buffers()),
        "multiplier": [dual],
        "observations": list(agent.seen.buffers()),
        "returns": list(agent.returns.buffers()),
    }
    return {name: [value.detach() for value in values] for name, values in everything.items()}


def moved(agent: Slim, before: dict[str, list[torch.Tensor]]) -> set[str]:
    after = nets_of(agent)
    return {name for name in after if not all(map(torch.equal, after[name], before[name]))}


@pytest.mark.parametrize("shared", [0, 1, 2])
def test_critics_differ_and_each_reads_its_own_target(shared: int) -> None:
    """After learning targets 0, 1 and -1, that is what the critics say."""
    agent = make_agent(shared=shared, epochs=150, minibatches=1, kl=1.0)
    inputs = torch.randn(29, OBS + Z)
    target = torch.tensor([0.0, 1, -1]).expand(29, 3)
    raw, acted, advantage = torch.randn(29, A), torch.full((29,), -math.log(2 * math.pi)), torch.zeros(29)
    agent.learn(inputs, raw, acted, advantage, target)
    torch.testing.assert_close(agent.net(inputs)[1].mean(0), target[0], atol=0.05, rtol=0)


def test_an_ensemble_is_its_members_one_by_one() -> None:
    critics = make_agent(shared=0).net.critics
    inputs = torch.randn(7, OBS + Z)
    for number in range(3):
        x = inputs
        for depth, (weight, bias) in enumerate(zip(critics.weights, critics.biases, strict=True)):
            x = (torch.nn.functional.elu(x) if depth else x) @ weight[number] + bias[number]
        torch.testing.assert_close(critics(inputs)[number], x)


def test_every_step_is_learned_from_once() -> None:
    agent, restored = make_agent(), make_agent()
    replay = play(agent, 7)
    restored.load_state_dict(agent.state_dict())
    assert restored.unused == 7
    assert agent.update(replay) and agent.unused == 0
    assert agent.update(replay) == {}
    agent.unused = 101
    with pytest.raises(ValueError, match="of the 101 steps since its last update, and the replay holds 7 of each"):
        agent.update(replay)


@pytest.mark.parametrize("reward", ["discovery", "metra", "lsd", "diayn"])
def test_a_restored_agent_learns_the_same(reward: str) -> None:
    first, second = (make_agent(rewards=(reward, "effort:0.5", "task")) for _ in range(2))
    first.update(play(first, 7))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    found, states = [], []
    for agent in (first, second):
        torch.manual_seed(1)
        found.append(agent.update(play(agent, 6)))
        states.append(leaves(agent.state_dict()))
    for one, two in (found, states):
        assert unequal(one, two) == []
    assert {"loss/surrogate", "loss/value", "loss/discovery", "reward/effort", "value/task"} <= found[0].keys()


def test_a_restored_learning_rate_is_on_the_agents_device() -> None:
    """A file is read onto the processor; what is not there may have no values, which it takes none of to load."""
    agent, saved = make_agent(), make_agent().state_dict()
    agent.device = torch.device("meta")
    agent.load_state_dict(saved)
    assert [group["lr"].device.type for group in agent.optimizer.param_groups] == ["meta"]
