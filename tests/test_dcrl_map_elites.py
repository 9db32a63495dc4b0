"""Critics and actors that are told which measures to show: what is told, and what it is worth."""

import math

import pytest
import torch
from scripted import LENGTHS, Scripted
from tensordict import TensorDict
from torch import Tensor

from agents.archive.config import ArchiveConfig
from agents.map_elites import MapElites
from agents.map_elites.dcrl_map_elites import Conditioned, DCRLMapElitesConfig, Shown, dcrl_map_elites, specialized
from agents.map_elites.policy_gradient import Ascent
from agents.map_elites.solutions import Perceptrons
from agents.map_elites.td3 import TD3Config
from agents.map_elites.variation import VariationConfig
from agents.replay import ReplayBuffer
from agents.spaces import Spaces

SPACES = Spaces({"state": (2,)}, 1, 3, 5, ("age",), (None,))
ARCHIVE = ArchiveConfig(grid=(7,), ranges=((0.0, 8.0),))


def make() -> tuple[MapElites, Conditioned]:
    torch.manual_seed(0)
    td3 = TD3Config(hidden=(7,), batch=997)
    config = DCRLMapElitesConfig(ARCHIVE, VariationConfig(initial=1), td3, Ascent(steps=2), (5,), injected=1.0)
    agent = dcrl_map_elites(SPACES, config)
    assert isinstance(agent.learners[0], Conditioned)
    return agent, agent.learners[0]


@pytest.mark.parametrize("hidden", [(), (7,), (11, 5)])
def test_a_specialised_actor_acts_as_the_actor_that_is_told(hidden: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(0)
    told_net, net = Perceptrons(5 + 2, 3, hidden), Perceptrons(5, 3, hidden)
    actor, told = told_net.draw(1, random), torch.rand(13, 2, generator=random)
    actor = actor + 0.1 * torch.randn(actor.shape, generator=random)  # biases too
    observation = torch.randn(13, 17, 5, generator=random)
    both = torch.cat([observation, told.unsqueeze(1).expand(-1, 17, -1)], 2)
    expected = told_net(actor.expand(13, -1), both)
    torch.testing.assert_close(net(specialized(told_net, actor, told), observation), expected)


def test_what_episodes_showed_is_remembered_until_others_take_the_place() -> None:
    shown = Shown(5, 2, "cpu")
    assert not shown.of(torch.arange(10))[1].any()  # 0 is no episode
    shown.add(torch.tensor([3, 4]), torch.tensor([[0.3, 3.0], [0.4, 4.0]]))
    shown.add(torch.tensor([8]), torch.tensor([[0.8, 8.0]]))  # in the place of 3
    measures, known = shown.of(torch.tensor([3, 4, 8, 9]))
    assert known.tolist() == [False, True, True, False]
    torch.testing.assert_close(measures[1:3], torch.tensor([[0.4, 4.0], [0.8, 8.0]]))


def test_rewards_count_by_how_near_the_measures_came() -> None:
    _, learner = make()
    learner.shown.add(torch.tensor([1, 2]), torch.tensor([[2.0], [6.0]]))
    rows = TensorDict(
        {
            "state": torch.arange(20.0).view(5, 2, 2),
            "action": torch.zeros(5, 2, 1),
            "reward": torch.full((5, 2), 10.0),
            "is_last": torch.tensor([[0, 0], [0, 1], [0, 0], [1, 0], [0, 0]]).bool(),
            "is_terminal": torch.zeros(5, 2).bool(),
            "episode": torch.tensor([[1, 1], [2, 2], [3, 3], [1, 0], [1, 1]]),
            "target": torch.tensor([[torch.inf], [5.2], [4.0], [torch.inf], [2.0]]).unsqueeze(1).expand(5, 2, 1),
        },
        batch_size=[5, 2],
    )
    found = learner.meant(rows)
    assert found.valid.tolist() == [True, True, False, False, True]  # episode 3 is not over, row 3 is a reset
    told = [2 / 8, 5.2 / 8, 2 / 8]
    torch.testing.assert_close(found.inputs[[0, 1, 4], 2], torch.tensor(told) * 2 - 1)
    torch.testing.assert_close(found.after[[0, 1, 4], 2], torch.tensor(told) * 2 - 1)
    assert torch.equal(found.inputs[:, :2], rows["state"][:, 0]) and torch.equal(
        found.after[:, :2], rows["state"][:, 1]
    )
    expected = [10, 10 * math.exp(-(0.8 / 8) / 0.05), 10]
    torch.testing.assert_close(found.reward[[0, 1, 4]], torch.tensor(expected))


def test_elites_climb_the_critic_that_is_told_their_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    agent, learner = make()
    elites = agent.kind.draw(5, torch.Generator().manual_seed(0))  # (5, P)
    measures = torch.tensor([[0.5], [2.0], [3.0], [5.0], [7.5]])
    agent.archive.add(elites, torch.zeros(5), measures, emitter=torch.zeros(5, dtype=torch.int64))
    batches = torch.randn(2, 997, 2)
    for batch in batches:
        learner.climb.add(batch)
    asked: list[tuple[Tensor, Tensor]] = []
    value = learner.td3.value

    def spy(inputs: Tensor, action: Tensor) -> Tensor:
        asked.append((inputs, action))
        return value(inputs, action)

    monkeypatch.setattr(learner.td3, "value", spy)
    _, target = learner.improve(11)
    action = agent.kind(elites, batches[0].expand(5, -1, -1))  # (5, 997, 1)
    which = (asked[0][1].unsqueeze(1) - action).abs().sum((2, 3)).argmin(1)  # (11,) which elite each row was
    assert which.unique().tolist() == [0, 1, 2, 3, 4] and torch.equal(asked[0][1], action[which])
    assert torch.equal(target, measures[which])
    told = (measures[which] / 4 - 1).unsqueeze(1).expand(-1, 997, -1)  # of [0, 8], as [-1, 1]
    assert len(asked) == 2
    for (inputs, _), batch in zip(asked, batches, strict=True):
        torch.testing.assert_close(inputs, torch.cat([batch.expand(11, -1, -1), told], 2))


def test_the_actor_is_told_measures_of_the_whole_box() -> None:
    agent, learner = make()
    solution, target = learner.inject(997)
    assert 0 <= target.min() < 0.1 and 7.9 < target.max() <= 8
    observation = torch.randn(997, 2)
    told = torch.cat([observation, target / 4 - 1], 1)
    expected = learner.actor_net(learner.td3.actor, told.unsqueeze(0))[0]
    torch.testing.assert_close(agent.kind.act(solution, observation, torch.zeros(997)), expected)


def test_rows_say_their_episode_and_what_it_was_meant_for() -> None:
    (agent, learner), envs, replay = make(), Scripted(measures=True), ReplayBuffer(300, 3)
    timestep, carry = envs.reset(), agent.initial_carry(3)
    for _ in range(60):
        out, carry = agent.act(timestep, carry)
        replay.add(timestep.clone().update(out))
        timestep = envs.step(out["action"])
        if replay.size > 2:
            agent.update(replay)
    rows = replay.latest(replay.size)  # (3, 60)
    for n, length in enumerate(LENGTHS):
        episodes = rows["episode"][n].unique_consecutive()
        assert (episodes > 0).all() and len(episodes) == -(-60 // (length + 1))
        over = episodes[: 60 // (length + 1)]
        measures, known = learner.shown.of(over)
        assert known.all() and (measures == length).all()
        starts = rows["is_first"][n].nonzero().squeeze(1)
        assert torch.equal(rows["episode"][n][starts], episodes)
    aimed = rows["target"].isfinite()
    assert (
        aimed.any()
        and not aimed.all()
        and torch.equal(aimed[:, 1:][~rows["is_first"][:, 1:]], aimed[:, :-1][~rows["is_first"][:, 1:]])
    )
    found = agent.update(replay) | agent.metrics()
    for name in ("iso_line", "policy_gradient", "injected"):
        assert found[f"emitter/{name}/evaluations"] > 0
    assert found["emitter/policy_gradient/change"] > 0


def test_a_state_from_another_kind_of_device_is_gone_on_from() -> None:
    agent, _ = make()
    state = agent.state_dict() | {"generator": torch.zeros(16, dtype=torch.uint8)}  # as a generator's on CUDA
    other, _ = make()
    seeded = other.genetic.generator.get_state()
    other.load_state_dict(state)
    assert torch.equal(other.genetic.generator.get_state(), seeded)
    other.load_state_dict(state | {"generator": torch.Generator().manual_seed(5).get_state()})
    assert other.genetic.generator.initial_seed() == 5
