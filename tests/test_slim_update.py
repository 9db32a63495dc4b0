"""What SLIM's update counts in: returns' units, rewards' weights, the scales of its losses."""

import math
from typing import Any

import pytest
import torch
from test_slim import OBS, A, N, Z, by_hand, make_agent, play, timestep

from agents import ppo
from agents.slim import Slim, slim


def critics_that_say_one(**changes: Any) -> Slim:
    """Make an agent whose returns have mean 5 and deviation 2."""
    agent = make_agent(rewards=("task", "effort"), discount=0.5, lambda_=0.5, **changes)
    agent.returns.update(torch.tensor([[3.0, 3], [7, 7]]))
    with torch.no_grad():
        agent.net.critics.biases[-1].fill_(1.0)
    return agent


def test_values_are_in_the_units_of_returns() -> None:
    agent = critics_that_say_one()
    out, _ = agent.act(timestep(0), agent.initial_carry(N))
    torch.testing.assert_close(out["value"], torch.full((N, 2), 7.0))


def test_a_skill_that_ends_would_have_gone_on_to_the_units_of_returns() -> None:
    agent, (_, rows) = critics_that_say_one(skill_steps=1), by_hand()
    rows["skill"][1] = torch.tensor([0.0, 1])
    found = agent.advantages(rows, agent.earned(rows, {}))
    torch.testing.assert_close(found[0, 0], torch.tensor([1 + 7 / 2 - 4, -4 + 7 / 2 - 0]))


def test_the_weights_of_a_sum_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make_agent(rewards=("task:0.3", "effort:2"), critics="sum")
    replay, handed = play(agent, 7), []
    rows = replay.latest(7).transpose(0, 1)
    advantage = agent.advantages(rows, agent.earned(rows, {}))  # (T, N, 1)
    learn = agent.learn
    monkeypatch.setattr(agent, "learn", lambda *arguments: handed.append(arguments) or learn(*arguments))
    agent.update(replay)
    kept = (torch.arange(6) != 4).repeat_interleave(N)  # the fifth step is a reset
    torch.testing.assert_close(handed[0][3], ppo.normalized(advantage.flatten(0, 1)[kept]).squeeze(1))


def test_a_step_descends_its_losses_by_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Critics say 0 at first, so that their error is the targets' mean square; the deviations' logarithms are ln 2."""
    seen, descend = [], slim.descend

    def watched(optimizer: Any, loss: torch.Tensor, parameters: Any, clip: float) -> torch.Tensor:
        seen.append((loss.item(), clip))
        return descend(optimizer, loss, parameters, clip)

    monkeypatch.setattr(slim, "descend", watched)
    agent = make_agent(value_scale=7.0, entropy=0.01, max_grad_norm=0.3, std=2.0)
    entropy = A * (0.5 * math.log(2 * math.pi * math.e) + math.log(2))
    inputs, raw, acted, advantage, target = (torch.randn(17, size) for size in (OBS + Z, A, 1, 1, 3))
    surrogate, error, *_ = agent.step(inputs, raw, acted, advantage, target).tolist()
    assert error == pytest.approx(target.square().mean().item())
    assert seen == [(pytest.approx(surrogate + 7 * error - 0.01 * entropy), 0.3)]


def test_answers_are_actions() -> None:
    agent = make_agent()
    with torch.no_grad():
        agent.net.policy[-1].bias.copy_(torch.tensor([5.0, -5.0]))
    assert agent.answer(timestep(0), torch.ones(N, Z)).tolist() == [[1, -1]] * N
