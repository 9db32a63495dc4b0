"""Skills as actions, by hand, on environments whose every number is known; goals; environments put where others are."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from scripted import Scripted
from torch import Tensor

import envs
import envs.sb3
from agents.skills.env import SkillEnv, direction
from envs.goals import GoalEnv


class Beneath(Scripted):
    """Scripted environments, and what a skill's environment asks of them."""

    episode_length, action_repeat = 5, 2


def act(state: Tensor, skill: Tensor) -> Tensor:
    return skill[:, :1]


def scripted(hold: int) -> SkillEnv:
    return SkillEnv(Beneath(), act, 2, hold)


def test_a_skill_is_held_until_its_time_or_the_episode_ends() -> None:
    """Episodes of 2, 3 and 5 steps, held for 2: the first environment ends with the first skill, the others later."""
    env, any_skill = scripted(2), torch.ones(3, 2)
    assert env.episode_length == 3 and env.action_repeat == 4 and env.step_seconds == pytest.approx(0.1)
    timestep = env.reset()
    assert timestep["is_first"].all() and timestep["state"].tolist() == [[1, 0]] * 3
    rows = [env.step(any_skill) for _ in range(4)]
    assert [r["reward"].tolist() for r in rows] == [
        [1 + 2, 11 + 12, 21 + 22],
        [0, 13, 23 + 24],  # the first begins anew; the second ends after one step
        [1 + 2, 0, 25],
        [0, 11 + 12, 0],
    ]
    assert [r["is_last"].tolist() for r in rows] == [
        [True, False, False],
        [False, True, False],
        [True, False, True],
        [False, False, False],
    ]
    assert [r["is_terminal"].tolist() for r in rows][1] == [False, True, False]
    assert [r["is_first"].tolist() for r in rows] == [
        [False, False, False],
        [True, False, False],
        [False, True, False],
        [True, False, True],
    ]
    assert [r["state"][:, 1].tolist() for r in rows] == [[2, 2, 2], [0, 3, 4], [2, 0, 5], [0, 2, 0]]


def test_who_ended_begins_anew_though_others_were_reset() -> None:
    """Episodes of 2, 3 and 5 steps, held for 2: the first ends, the last is begun anew, then the first."""
    env, any_skill = scripted(2), torch.ones(3, 2)
    env.reset()
    assert env.step(any_skill)["is_last"].tolist() == [True, False, False]
    env.reset(torch.tensor([False, False, True]))
    assert env.step(any_skill)["is_first"].tolist() == [True, False, False]


def test_actions_are_directions() -> None:
    found = direction(torch.tensor([[3.0, 4.0], [0.0, -0.1], [0.0, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8], [0.0, -1.0], [1.0, 0.0]]))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="held for at least 1 step, not 0"):
        scripted(0)
    env = scripted(2)
    env.reset()
    with pytest.raises(ValueError, match=r"actions must be \(3, 2\), not \(3, 1\)"):
        env.step(torch.ones(3, 1))


def points(num_envs: int, **options: Any) -> envs.BatchedEnv:
    return envs.make("point_mass_easy", num_envs, signals=True, measures=True, time_limit=7, threads=1, **options)


def test_held_for_one_step_it_is_the_environment_itself() -> None:
    env, same = SkillEnv(points(3), lambda state, skill: skill, 2, 1), points(3)
    one, two = env.reset(), same.reset()
    torch.manual_seed(0)
    for _ in range(12):
        assert all(torch.equal(one[name], two[name]) for name in ("state", "reward", "is_first", "is_last", "measures"))
        action = torch.randn(3, 2).clamp(-1, 1)
        one, two = env.step(action), same.step(direction(action))
    env.close()


def test_it_goes_on_exactly_where_its_state_was_taken() -> None:
    env = SkillEnv(points(3), lambda state, skill: skill - state[:, :2], 2, 2)
    env.reset()
    env.step(torch.ones(3, 2))
    state = env.state_dict()
    first = [env.step(-torch.ones(3, 2)) for _ in range(6)]
    env.load_state_dict(state)
    for row in first:
        again = env.step(-torch.ones(3, 2))
        assert torch.equal(again["state"], row["state"]) and torch.equal(again["reward"], row["reward"])
    env.close()


def test_skills_go_on_where_others_were() -> None:
    """Episodes of 7, 5 and 3 steps, held for 2: after two skills the last one's has ended, and runs on beneath."""
    shown: list[Tensor] = []

    def watched(state: Tensor, skill: Tensor) -> Tensor:
        shown.append(state)
        return skill - state[:, :2]

    env = SkillEnv(points(3, stagger=True), lambda state, skill: skill - state[:, :2], 2, 2)
    other, source = SkillEnv(points(3, seed=9), watched, 2, 2), torch.tensor([1, 0, 2])
    env.reset(), other.reset()
    for _ in range(2):
        ended = env.step(torch.ones(3, 2))["is_last"]
        other.step(-torch.ones(3, 2))
    placed = other.place(env.state_dict(), source)
    assert placed["is_last"].tolist() == ended[source].tolist() == [False, False, True]
    shown.clear()
    here, there = env.step(-torch.ones(3, 2)), other.step(-torch.ones(3, 2))
    assert torch.equal(shown[0], placed["state"])
    assert there["is_first"].tolist() == [False, False, True]  # whose start is drawn anew
    for name in ("state", "reward", "is_first", "is_last", "is_terminal"):
        assert torch.equal(here[name][source[:2]], there[name][:2])


def test_environments_go_on_where_others_were() -> None:
    env, copies = points(3), points(5, seed=9)
    env.reset()
    env.step(torch.ones(3, 2))
    copies.reset()
    state, source = env.state_dict(), torch.tensor([2, 0, 0, 1, 2])
    placed = copies.place(state, source)
    action = torch.tensor([[0.3, -1.0], [0.7, 0.1], [-0.2, 0.5]])
    for _ in range(6):
        here, there = env.step(action), copies.step(action[source])
        for name in ("state", "reward", "is_last", "measures", "position"):
            assert torch.equal(here[name][source], there[name])
    assert placed["reward"].tolist() == [0] * 5 and here["is_last"].all()


def test_goals_are_drawn_for_each_episode_and_rewarded_within_their_radius() -> None:
    env = GoalEnv(points(3), (-0.2, -0.1), (0.2, 0.3), 0.15)
    timestep = env.reset()
    goal = timestep["goal"]
    assert env.observation_shapes == {"state": (4,), "goal": (2,)}
    assert ((goal > torch.tensor([-0.2, -0.1])) & (goal < torch.tensor([0.2, 0.3]))).all() and len(goal.unique()) == 6
    for _ in range(7):
        timestep = env.step(torch.ones(3, 2))
        near = (timestep["position"] - goal).norm(dim=1) < 0.15
        assert torch.equal(timestep["goal"], goal) and timestep["reward"].tolist() == near.float().tolist()
    assert timestep["is_last"].all()
    assert (env.step(torch.ones(3, 2))["goal"] != goal).all()
    other = GoalEnv(points(2, seed=9), (-0.2, -0.1), (0.2, 0.3), 0.15)
    placed = other.place(env.state_dict(), torch.tensor([2, 0]))
    assert torch.equal(placed["goal"], env.goal[[2, 0]]) and not placed["reward"].any()
    assert torch.equal(other.step(torch.ones(2, 2))["goal"], env.goal[[2, 0]])
    fixed = torch.tensor([[0.1, 0.1]] * 3)
    dense = GoalEnv(points(3), (0, 0), (1, 1), 1e-9, dense=True, goals=fixed)
    assert torch.equal(dense.reset()["goal"], fixed)
    row = dense.step(torch.zeros(3, 2))
    torch.testing.assert_close(row["reward"], -(row["position"] - fixed).norm(dim=1))
    with pytest.raises(ValueError, match="goals have 2 numbers"):
        GoalEnv(points(3), (0,), (1,), 0.1)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"low": (0, 2)}, r"low must not be above high: goals cannot lie in \(0, 2\) to \(1, 1\)"),
        ({"radius": 0.0}, "radius must be above 0, got 0.0"),
        ({"goals": fixed[:2]}, r"goals must be \(3, 2\), not \(2, 2\)"),
    ]
    for options, line in wrong:
        with pytest.raises(ValueError, match=line):
            GoalEnv(points(3), **{"low": (0, 0), "high": (1, 1), "radius": 0.1} | options)
    with pytest.raises(ValueError, match="make the environments with signals=True"):
        GoalEnv(envs.make("point_mass_easy", 1), (0, 0), (1, 1), 0.1)


def test_they_are_copied_with_what_is_beneath() -> None:
    for env in (GoalEnv(points(3), (0, 0), (1, 1), 0.1), scripted(2)):
        assert copy.copy(env).env is env.env and copy.copy(env).num_envs == 3
        with pytest.raises(AttributeError, match="__nothing__"):
            env.__nothing__  # noqa: B018


def test_stable_baselines3_steps_skills() -> None:
    env = envs.sb3.vec_env_of(SkillEnv(GoalEnv(points(3), (0, 0), (1, 1), 0.1), lambda state, skill: skill, 2, 3))
    assert env.action_space.shape == (2,) and set(env.reset()) == {"state", "goal"}
    ends = [env.step(np.ones((3, 2), np.float32)) for _ in range(3)]  # 7 steps are 3 + 3 + 1
    assert [done.tolist() for _, _, done, _ in ends] == [[False] * 3, [False] * 3, [True] * 3]
    assert all(info["TimeLimit.truncated"] and "terminal_observation" in info for info in ends[2][3])
