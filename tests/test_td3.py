"""Twin critics on the shared replay, and variation by their gradient, beside networks of torch."""

import copy
from dataclasses import replace

import pytest
import torch
from scripted import LENGTHS, Scripted
from test_solutions import network
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from agents.map_elites.policy_gradient import Ascent, Climb, ascend
from agents.map_elites.solutions import Perceptrons
from agents.map_elites.td3 import TD3, TD3Config, Transitions, transitions
from agents.replay import ReplayBuffer

CONFIG = TD3Config(hidden=(13, 7), batch=11, noise=0.0, delay=2, tau=0.25, discount=0.9)


def make(config: TD3Config = CONFIG, inputs: int = 5, actions: int = 3) -> TD3:
    return TD3(Perceptrons(inputs, actions, (11,)), config, torch.Generator().manual_seed(0))


def batch(size: int = 17, inputs: int = 5, actions: int = 3, seed: int = 0) -> Transitions:
    torch.manual_seed(seed)
    flags = torch.rand(2, size) < 0.3
    action = torch.rand(size, actions) * 2 - 1
    return Transitions(
        torch.randn(size, inputs), action, torch.randn(size), torch.randn(size, inputs), flags[0], ~flags[1]
    )


def as_network(perceptrons: Perceptrons, solution: Tensor, bounded: bool = True) -> nn.Sequential:
    net = network(perceptrons)
    vector_to_parameters(solution.detach(), net.parameters())
    net = copy.deepcopy(net)  # parameters of its own, not views of the solution
    return net if bounded else net[:-1]


def test_transitions_of_the_replay() -> None:
    """Environment 1 terminates, the others meet a time limit; what follows a last row is a reset."""
    envs, replay = Scripted(), ReplayBuffer(300, 3)
    timestep = envs.reset()
    for time in range(30):
        replay.add(timestep.clone().update({"action": torch.full((3, 1), float(time))}))
        timestep = envs.step(torch.zeros(3, 1))
    torch.manual_seed(0)
    rows, index = replay.sample(997, 2)
    found = transitions(rows)
    env, time = index[:, 0] % 3, index[:, 0] // 3
    length = torch.tensor(LENGTHS)[env]
    age = time % (length + 1)  # in the first row: 0 is an episode's first
    assert torch.equal(found.valid, age < length)
    assert torch.equal(found.action[:, 0], time.float())
    kept = found.valid
    assert torch.equal(found.inputs[kept, 1], age[kept].float())
    assert torch.equal(found.after[kept, 1], age[kept] + 1.0)
    assert torch.equal(found.reward[kept], 10.0 * env[kept] + age[kept] + 1)
    assert torch.equal(found.terminal[kept], ((env == 1) & (age == 2))[kept])


def test_a_step_is_that_of_plain_networks() -> None:
    td3, b = make(), batch()
    actor = as_network(td3.actor_net, td3.actor[0])
    critics = [as_network(td3.critic_net, critic, bounded=False) for critic in td3.critics]
    targets = copy.deepcopy(critics)
    parameters = [p for critic in critics for p in critic.parameters()]
    optimizer, actor_optimizer = torch.optim.Adam(parameters, 3e-4), torch.optim.Adam(actor.parameters(), 3e-4)
    target_actor = copy.deepcopy(actor)
    for step in (1, 2):
        found = td3.learn(b)
        after = torch.cat([b.after, target_actor(b.after)], 1)
        following = torch.minimum(*(target(after)[:, 0] for target in targets))
        target = (b.reward + 0.9 * (1 - b.terminal.float()) * following).detach()
        values = [critic(torch.cat([b.inputs, b.action], 1))[:, 0] for critic in critics]
        loss = sum(((value - target)[b.valid] ** 2).mean() for value in values)
        assert isinstance(loss, Tensor)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        torch.testing.assert_close(found["loss/critic"], loss.detach())
        if step == 2:
            gain = critics[0](torch.cat([b.inputs, actor(b.inputs)], 1))[b.valid].mean()
            actor_optimizer.zero_grad()
            (-gain).backward()
            actor_optimizer.step()
            torch.testing.assert_close(found["td3/greedy_value"], gain.detach())
        assert ("td3/greedy_value" in found) == (step == 2)
    torch.testing.assert_close(td3.actor[0], parameters_to_vector(actor.parameters()))
    for i, critic in enumerate(critics):
        now, before = (parameters_to_vector(net.parameters()) for net in (critic, targets[i]))
        torch.testing.assert_close(td3.critics[i], now)
        torch.testing.assert_close(td3.target_critics[i], 0.75 * before + 0.25 * now)
    before = parameters_to_vector(target_actor.parameters())
    torch.testing.assert_close(td3.target_actor[0], 0.75 * before + 0.25 * td3.actor[0])


def test_rows_that_are_no_steps_change_nothing() -> None:
    one, two, b = make(), make(), batch()
    changed = b._replace(reward=torch.where(b.valid, b.reward, 100.0), after=b.after.where(b.valid.unsqueeze(1), 7.0))
    for _ in range(4):
        one.learn(b)
        two.learn(changed)
    assert torch.equal(one.critics, two.critics) and torch.equal(one.actor, two.actor)
    nothing = b._replace(valid=torch.zeros_like(b.valid))
    before = one.critics.detach().clone()
    assert one.learn(nothing)["loss/critic"] == 0
    assert (one.critics - before).abs().max() < 1e-3 and one.critics.isfinite().all()


def test_the_target_is_smoothed_by_noise_that_is_cut() -> None:
    torch.manual_seed(0)
    td3, b = make(replace(CONFIG, noise=10.0, noise_clip=0.1)), batch(size=997)
    seen: list[Tensor] = []
    critic = td3.critic

    def watched(critics: Tensor, inputs: Tensor, action: Tensor) -> Tensor:
        seen.append(action)
        return critic(critics, inputs, action)

    td3.critic = watched  # type: ignore[method-assign]
    td3.target(b)
    difference = seen[0] - td3.actor_net(td3.target_actor, b.after.unsqueeze(0))[0]
    assert 0.09 < difference.abs().median() <= difference.abs().max() <= 0.1 + 1e-6
    assert seen[0].abs().max() <= 1


def test_a_state_goes_on_where_it_was_taken() -> None:
    one = make()
    for seed in range(3):
        one.learn(batch(seed=seed))
    two = make()
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    for seed in range(3, 6):
        torch.testing.assert_close(one.learn(batch(seed=seed)), two.learn(batch(seed=seed)), rtol=0, atol=0)
    assert torch.equal(one.actor, two.actor) and torch.equal(one.target_critics, two.target_critics)


def test_the_greedy_actor_finds_the_best_action() -> None:
    """Episodes of one step that are worth 1 - (a - s / 2)^2."""
    torch.manual_seed(0)
    td3 = make(TD3Config(hidden=(32, 32), critic_lr=1e-2, actor_lr=3e-3, noise=0.0), inputs=1, actions=1)
    for _ in range(400):
        seen, action = torch.rand(128, 1) * 2 - 1, torch.rand(128, 1) * 2 - 1
        reward = 1 - (action - seen / 2).square()[:, 0]
        ends = torch.ones(128, dtype=torch.bool)
        td3.learn(Transitions(seen, action, reward, seen, ends, ends))
    seen = torch.linspace(-1, 1, 11).unsqueeze(1)
    assert (td3.actor_net(td3.actor, seen.unsqueeze(0))[0] - seen / 2).abs().max() < 0.2
    assert (td3.value(seen, seen / 2) - 1).abs().max() < 0.1


def test_policies_climb_as_each_would_alone() -> None:
    torch.manual_seed(0)
    perceptrons, seen = Perceptrons(5, 3, (11,)), torch.randn(7, 13, 5)
    solutions = perceptrons.draw(17, torch.Generator().manual_seed(1))
    goal = torch.tensor([0.5, -0.5, 0.0])

    def value(observation: Tensor, action: Tensor) -> Tensor:
        return -(action - goal * observation[..., :1]).square().sum(-1)

    found, moved = ascend(perceptrons, solutions, seen, value, lr=1e-2, change=10.0)
    for n in range(17):
        net = as_network(perceptrons, solutions[n])
        optimizer = torch.optim.Adam(net.parameters(), 1e-2)
        for some in seen:
            optimizer.zero_grad()
            (-value(some, net(some)).mean()).backward()
            optimizer.step()
        alone = parameters_to_vector(net.parameters()).detach()
        torch.testing.assert_close(found[n], alone, rtol=1e-4, atol=1e-5)
        assert moved[n] == pytest.approx(float((alone - solutions[n]).norm() / solutions[n].norm()), rel=1e-3)
    gain = [value(seen, perceptrons(x, seen[:1].expand(17, -1, -1))[:1]).mean() for x in (solutions, found)]
    assert gain[1] > gain[0]


def test_no_policy_moves_further_than_it_may() -> None:
    perceptrons, seen = Perceptrons(5, 3, (11,)), torch.randn(7, 13, 5)
    solutions = perceptrons.draw(17, torch.Generator().manual_seed(1))
    value = lambda observation, action: action.sum(-1)  # noqa: E731
    free, far = ascend(perceptrons, solutions, seen, value, lr=1e-2, change=10.0)
    bound = float(far.median())
    found, moved = ascend(perceptrons, solutions, seen, value, lr=1e-2, change=bound)
    torch.testing.assert_close(moved, far.clamp(max=bound))
    torch.testing.assert_close((found - solutions).norm(dim=1) / solutions.norm(dim=1), moved)
    inside = far <= bound
    assert inside.any() and not inside.all()
    torch.testing.assert_close(found[inside], free[inside])


def test_policies_climb_on_the_last_batches() -> None:
    climb = Climb(Perceptrons(1, 3, ()), Ascent(steps=3), 2, "cpu")
    for i in range(5):
        assert climb.ready() == (i >= 3)
        climb.add(torch.full((2, 1), float(i)))
    assert climb.seen[:, 0, 0].tolist() == [3, 4, 2]
    climb(torch.ones(7, 6), lambda observation, action: action.sum(-1))
    other = Climb(Perceptrons(1, 3, ()), Ascent(steps=3), 2, "cpu")
    other.load_state_dict(climb.state_dict())
    other.add(torch.full((2, 1), 5.0))
    assert other.seen[:, 1, 0].tolist() == [3, 4, 5] and climb.seen[2, 0, 0] == 2
    assert other.moved == climb.moved > 0
