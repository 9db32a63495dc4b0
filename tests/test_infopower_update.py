"""What an update of InfoPower descends, at which rate and clip; and what it is told of rewards and frames."""

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
from test_infopower_agent import CONFIG, MODEL, A, N, make_agent, make_replay
from torch import Tensor

from agents import infopower
from agents.infopower import InfoPower
from agents.nets import Draw
from agents.spaces import Spaces


@pytest.fixture
def descents(monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.optim.Optimizer, float, float]]:
    """Return a list to which each descent adds its optimiser, its loss and its clip."""
    seen, descend = [], infopower.descend

    def spy(optimizer: torch.optim.Optimizer, loss: Tensor, parameters: list[Tensor], clip: float = math.inf) -> Tensor:
        seen.append((optimizer, loss.item(), clip))
        return descend(optimizer, loss, parameters, clip)

    monkeypatch.setattr(infopower, "descend", spy)
    return seen


@pytest.mark.parametrize("ends", [False, True])
def test_the_model_descends_the_mean_of_its_losses_by_their_weights(
    ends: bool, descents: list[tuple[torch.optim.Optimizer, float, float]]
) -> None:
    """lambda = 3: the information weighs 1/4, the others 3/4, each times its own; a continuation's loss weighs 1."""
    own = {"information_scale": 5.0, "forward_scale": 2.0, "reward_scale": 7.0, "inverse_scale": 0.1}
    model = replace(MODEL, dual_init=3.0, action_nats=9.0, prior_reward_scale=0.5, **own)
    rows, _ = make_replay().sample(5, 7)
    _, found = make_agent(replace(CONFIG, model=model), ends).update_model(rows)
    weights = {"information": 5 / 4, "forward": 6 / 4, "reward": 21 / 4, "prior_reward": 1.5 / 4, "inverse": 0.3 / 4}
    weights |= {"continuation": 1.0} if ends else {}
    assert all(found[f"loss/{name}"] != 0 for name in weights)
    expected = sum(weight * found[f"loss/{name}"].item() for name, weight in weights.items())
    assert descents[0][1] == pytest.approx(expected, rel=1e-4)


def test_each_descent_has_its_own_rate_and_clip(descents: list[tuple[torch.optim.Optimizer, float, float]]) -> None:
    rates = {"model_lr": 1e-3, "actor_lr": 2e-3, "critic_lr": 3e-3, "model_clip": 5.0, "behaviour_clip": 6.0}
    agent = make_agent(replace(CONFIG, model=replace(MODEL, dual_lr=4e-3), **rates))
    agent.update(make_replay())
    expected = {"model": (1e-3, 5), "dual": (4e-3, math.inf), "actor": (2e-3, 6), "critic": (3e-3, 6)}
    assert [optimizer for optimizer, _, _ in descents] == [agent.optimizers[name] for name in expected]
    assert [(o.param_groups[0]["lr"], clip) for o, _, clip in descents] == list(expected.values())


def test_the_model_learns_rewards_in_their_deviations() -> None:
    agent, seen = make_agent(), list[Tensor]()
    losses = agent.model_losses
    agent.model_losses = lambda rows, reward: seen.append(reward) or losses(rows, reward)
    rows, _ = make_replay().sample(5, 7)
    rows["reward"] = 100 + 20 * torch.randn(5, 7)
    agent.update_model(rows)
    answers = rows["reward"][~rows["is_first"]]
    expected = (rows["reward"] - answers.mean()) / answers.std(correction=0)
    torch.testing.assert_close(seen[0], expected, atol=1e-3, rtol=1e-3)


def test_returns_are_divided_by_the_range_of_all_of_them() -> None:
    """Paid in the end of four steps of discount 1/2, where nothing comes after: a half, a quarter, an eighth before."""
    agent = make_agent(replace(CONFIG, discount=0.5, lambda_=1.0, empowerment=0.0))
    feat, reward = torch.randn(5, 23, 18), torch.zeros(4, 23)
    reward[3] = torch.arange(23.0)
    drawn = agent.actor(feat[:-1])
    agent.imagined = lambda *_: (feat[:-1], feat[1:], reward, drawn, None)
    torch.nn.init.zeros_(agent.target[-1].weight)
    rows, _ = make_replay().sample(5, 7)
    agent.update_behaviour(agent.model.observe(rows), rows)
    returns = reward[3] * torch.tensor([1 / 16, 1 / 8, 1 / 4, 1 / 2]).unsqueeze(1)
    low, high = torch.quantile(returns.flatten(), torch.tensor([0.05, 0.95]))
    torch.testing.assert_close(agent.return_range.range, 0.99 + 0.01 * (high - low))


def test_the_target_begins_as_the_critic() -> None:
    agent = make_agent()
    assert all(map(torch.equal, agent.target.parameters(), agent.critic.parameters()))


def test_frames_are_shifted_as_far_as_asked() -> None:
    """A dot in the middle is somewhere else in each slice, at most 2 pixels away."""
    agent, replay = InfoPower(Spaces({"pixels": (16, 16, 3)}, A), replace(CONFIG, shift=2)), make_replay()
    replay.rows["pixels"] = torch.zeros(31 * N, 16, 16, 3, dtype=torch.uint8)
    replay.rows["pixels"][:, 8, 8] = 255
    places = (agent.sample(replay)["pixels"][..., 0] == 255).nonzero()[:, 2:]
    assert len(places) == 5 * 7 and (places - 8).abs().max() == 2


@pytest.mark.parametrize("gradient", ["dynamics", "reinforce"])
def test_what_the_policy_sees_in_imagination_follows_from_what_it_did(
    gradient: Literal["dynamics", "reinforce"],
) -> None:
    """A gradient passes from a draw to the one before, through the state between them; not where draws are scored."""
    agent, draws = make_agent(replace(CONFIG, actor_gradient=gradient)), list[Draw]()
    act = agent.actor
    agent.actor = lambda feat: draws.append(act(feat)) or draws[-1]
    rows, _ = make_replay().sample(5, 7)
    agent.imagine(agent.model.observe(rows), rows)
    (passed,) = torch.autograd.grad(draws[1].raw.sum(), draws[0].raw, allow_unused=True)
    assert (passed is None) == (gradient == "reinforce")
    assert passed is None or (passed != 0).any(1).all()
