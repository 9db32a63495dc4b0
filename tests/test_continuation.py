"""Where episodes end early: what is imagined ends there too, and what is paid for each step is worth staying for."""

import math
from pathlib import Path

import pytest
import torch
from test_infopower_agent import make_agent, make_replay
from test_learning import LEARNING, NETS
from tiny import metrics
from torch import Tensor

import envs
import train
from agents.continuation import Continuation, reached
from agents.evaluation import RandomPolicy, evaluate
from agents.normalize import RunningMoments
from agents.returns import lambda_return
from envs import tasks
from envs.measures import Context
from envs.tasks.cartpole import Cartpole
from envs.tasks.task import ZZ

SCENE = "--task cartpole_balance --observation state --action-repeat 1 --time-limit 125 --device cpu --threads 1"
PACE = "--steps 5000 --prefill 1000 --train-ratio .25 --eval-every 0 --eval-episodes 8 --checkpoint-every 0"


class Falling(Cartpole):
    """A point for every step until the pole leans by more than a quarter of a right angle, as Gymnasium's pendulum."""

    def __init__(self) -> None:
        super().__init__(swing_up=False, sparse=False)
        self.substeps = 4  # held in the task, for a step in which the pole falls to pay as others do

    def reward(self, c: Context) -> Tensor:
        return torch.ones_like(c["qpos"][:, 0])

    def terminal(self, c: Context) -> Tensor:
        return c["xmat"][:, 2, ZZ] < math.cos(math.pi / 8)


def test_a_discount_for_each_step() -> None:
    """As one discount, where all are alike; and nothing counts of what lies beyond an end."""
    reward, value = torch.randn(2, 7, 3, dtype=torch.float64)
    each = torch.full((7, 3), 0.9, dtype=torch.float64)
    torch.testing.assert_close(lambda_return(reward, value, each, 0.8), lambda_return(reward, value, 0.9, 0.8))
    each[2, 0] = 0
    returns = lambda_return(reward, value, each, 0.8)
    torch.testing.assert_close(returns[2, 0], reward[2, 0])
    torch.testing.assert_close(returns[1, 0], reward[1, 0] + 0.9 * (0.2 * value[1, 0] + 0.8 * reward[2, 0]))


def test_continuation_by_hand() -> None:
    going_on = torch.tensor([[0.5], [0.25], [0.0], [1.0]])
    assert reached(going_on).flatten().tolist() == [1, 0.5, 0.125, 0]
    head = Continuation(3, 5)
    feat, ended = torch.randn(4, 2, 3), torch.rand(4, 2) < 0.5
    likely = torch.where(ended, 1 - head(feat), head(feat))
    torch.testing.assert_close(head.loss(feat, ended), -likely.log())


@pytest.mark.parametrize(("seen", "root"), [([2.0, 4.0], 10**0.5), ([1.0, 7.0], 5.0)])
def test_rewards_keep_their_sign_where_episodes_end(seen: list[float], root: float) -> None:
    """What nothing is worth is 0 again, and the mean square is 1."""
    moments = RunningMoments()
    moments.update(torch.tensor(seen), torch.ones(2))
    rewards = torch.tensor([root, 0.0, -2 * root])
    found = moments.around_zero(moments.standardize(rewards))
    torch.testing.assert_close(found, torch.tensor([1.0, 0.0, -2.0]), atol=1e-5, rtol=1e-5)


def test_imagination_begins_where_an_episode_goes_on() -> None:
    """All rows but a few have ended: those few are where all begins."""
    agent = make_agent(ends=True)
    rows, _ = make_replay().sample(5, 7)
    rows["is_first"].zero_()
    rows["is_terminal"].fill_(True)
    rows["is_terminal"][2, 4:6] = False
    trace = agent.model.observe(rows)
    begun = agent.imagine(trace, rows)[0][0]  # (N, F)
    allowed = trace.feat[2, 4:6]
    assert (begun.unsqueeze(1) == allowed).all(-1).any(-1).all()
    rows["is_terminal"].fill_(True)  # and where there is none, somewhere
    assert agent.imagine(trace, rows)[0].isfinite().all()


def test_only_tasks_that_end_early_have_the_head() -> None:
    """The behaviour learns from returns cut at the end, through the head, which the behaviour does not move."""
    assert make_agent().continuation is None
    assert [envs.make(task).terminates for task in ("lqr_lqr_2_1", "hopper_stand")] == [True, False]
    agent, replay = make_agent(ends=True), make_replay()
    rows, _ = replay.sample(5, 7)
    rows["is_terminal"][:, -1] = True
    head = agent.continuation
    assert head is not None
    before = [p.clone() for p in head.parameters()]
    trace, found = agent.update_model(rows)
    assert found["loss/continuation"] > 0
    learned = [p.clone() for p in head.parameters()]
    assert all(not torch.equal(*pair) for pair in zip(before, learned, strict=True))
    agent.update_behaviour(trace, rows)
    assert all(torch.equal(*pair) for pair in zip(learned, head.parameters(), strict=True))
    torch.nn.init.zeros_(head.head[-1].weight)
    torch.nn.init.constant_(head.head[-1].bias, -30.0)  # everything ends at once
    feat = torch.randn(4, 2, 18)
    discount, weight = agent.discounts(feat)
    assert isinstance(weight, Tensor) and weight[0].eq(1).all() and weight[1:].max() < 1e-9
    assert isinstance(discount, Tensor) and discount.max() < 1e-9


def test_time_that_is_up_is_no_end() -> None:
    """A head that says that all goes on is right about episodes that were cut."""
    agent = make_agent(ends=True)
    rows, _ = make_replay().sample(5, 7)
    rows["is_last"].fill_(True)
    assert agent.continuation is not None
    torch.nn.init.zeros_(agent.continuation.head[-1].weight)
    torch.nn.init.constant_(agent.continuation.head[-1].bias, 30.0)
    assert agent.update_model(rows)[1]["loss/continuation"] < 1e-6


@pytest.mark.learning
def test_the_pole_stays_up_for_the_sake_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step pays the same, so that only the end which is foreseen tells one action from another."""
    monkeypatch.setitem(tasks.TASKS, "cartpole_balance", Falling)
    run = tmp_path / "run"
    train.main(["infopower-small", "--run", str(run), *f"{SCENE} {PACE} {NETS} {LEARNING}".split()])
    environments = train.make_envs(train.load_config(run), num_envs=8, seed=1)
    random = evaluate(RandomPolicy(environments.action_dim, "cpu", 0), environments, 8)
    assert metrics(run)[-1]["eval/return"] > 80 > 2 * random.max()
