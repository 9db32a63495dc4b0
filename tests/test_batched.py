"""The meaning of time, and N environments as N single ones."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict

import envs
from envs.batched import BatchedEnv
from envs.engines import CEngine
from envs.tasks import TASKS

N, LIMIT = 5, 7
VIDEO = {"pixels": True, "state": True, "distraction": "video", "size": 24}


def actions(env: BatchedEnv, steps: int, seed: int = 0) -> torch.Tensor:
    """Return (steps, N, A) uniform actions."""
    shape = (steps, env.num_envs, env.action_dim)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def play(env: BatchedEnv, steps: int) -> TensorDict:
    """Reset and step: timesteps (steps + 1, N)."""
    return torch.stack([env.reset(), *[env.step(action) for action in actions(env, steps)]])


def same(one: TensorDict, two: TensorDict) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one.keys())  # noqa: SIM118


@pytest.mark.parametrize("engine", ["c", "warp"])
def test_episodes_last_their_limit_and_the_step_after_the_last_resets(engine: str) -> None:
    env = envs.make("cheetah_run", N, time_limit=LIMIT, engine=engine)
    played = play(env, 3 * (LIMIT + 1))
    step = torch.arange(len(played)) % (LIMIT + 1)
    assert env.episode_length == LIMIT
    assert torch.equal(played["is_first"], (step == 0).unsqueeze(1).expand(-1, N))
    assert torch.equal(played["is_last"], (step == LIMIT).unsqueeze(1).expand(-1, N))
    assert not played["is_terminal"].any()  # a time limit is not a termination
    assert not played["reward"][step == 0].any()
    assert played["reward"].dtype == torch.float32 and played["state"].shape == (len(played), N, 17)


@pytest.mark.parametrize("engine", ["c", "warp"])
def test_the_action_of_a_last_row_is_ignored(engine: str) -> None:
    one, two, three = (envs.make("walker_walk", N, seed=3, time_limit=LIMIT, engine=engine) for _ in range(3))
    one.reset(), two.reset(), three.reset()
    for action in actions(one, LIMIT):
        one.step(action), two.step(action), three.step(action)
    begun = one.step(torch.ones(N, 6))
    assert same(begun, two.step(-torch.ones(N, 6))) and same(begun, three.step(torch.full((N, 6), torch.nan)))


@pytest.mark.parametrize("engine", ["c", "warp"])
def test_action_repeat_sums_rewards_and_stops_at_the_limit(engine: str) -> None:
    """7 control steps held for 3 are agent steps of 3, 3 and 1."""
    single, repeated = (
        envs.make("walker_walk", N, action_repeat=repeat, time_limit=LIMIT, engine=engine) for repeat in (1, 3)
    )
    assert repeated.episode_length == 3
    single.reset(), repeated.reset()
    for action, count in zip(actions(single, 3), (3, 3, 1), strict=True):
        answers = [single.step(action) for _ in range(count)]
        answer = repeated.step(action)
        torch.testing.assert_close(answer["reward"], sum(a["reward"] for a in answers), rtol=1e-6, atol=0)
        assert torch.equal(answer["state"], answers[-1]["state"])
    assert answer["is_last"].all()


@pytest.mark.parametrize("engine", ["c", "warp"])
def test_rewards_that_are_views_of_the_physics_are_summed_as_they_were(engine: str) -> None:
    env, single = both = [envs.make("pendulum_swingup", N, action_repeat=repeat, engine=engine) for repeat in (3, 1)]
    for each in both:
        each._functions.reward = lambda c: c["qpos"][:, 0]  # type: ignore[method-assign]
        each.reset()
    for action in actions(env, 2):
        expected = sum(single.step(action)["reward"].double() for _ in range(3))
        torch.testing.assert_close(env.step(action)["reward"].double(), expected, atol=1e-6, rtol=0)


def test_rewards_and_observations_are_the_tasks_after_each_step() -> None:
    env = envs.make("reacher_easy", N)
    task = TASKS["reacher_easy"]()
    env.reset()
    for action in actions(env, 11):
        answer = env.step(action)
        assert torch.equal(answer["state"], task.observe(env.context).float())
        assert torch.equal(answer["reward"], task.reward(env.context).float())


@pytest.mark.parametrize("engine", ["c", "warp"])
def test_staggered_episodes_end_in_turn(engine: str) -> None:
    env = envs.make("cartpole_balance", 4, stagger=True, time_limit=8, engine=engine)
    played = play(env, 10)  # (11, 4), ages 0, 2, 4, 6 at the start
    assert played["is_last"].nonzero().tolist() == [[2, 3], [4, 2], [6, 1], [8, 0]]
    assert played["is_first"][1:].nonzero().tolist() == [[2, 3], [4, 2], [6, 1], [8, 0]]
    assert not played["reward"][played["is_first"]].any()


def test_ages_are_staggered_where_all_begin_and_not_again() -> None:
    env = envs.make("cartpole_balance", 4, stagger=True, time_limit=8, threads=1)
    env.reset()
    env.step(torch.zeros(4, 1))
    env.reset(torch.tensor([True, False, False, False]))
    assert env.state_dict()["age"].tolist() == [0, 3, 5, 7]


def test_an_episode_that_ends_inside_a_repeat_keeps_its_last_state_and_reward_on_both_engines() -> None:
    """Ages 0 and 3 of 6, held for 2: the second environment ends after one step of its second action."""
    for engine in ("c", "warp"):
        env, single = (
            envs.make("walker_walk", 2, seed=4, action_repeat=repeat, time_limit=6, stagger=True, engine=engine)
            for repeat in (2, 1)
        )
        env.reset(), single.reset()
        for action in actions(env, 2):
            answer = env.step(action)
            steps = [single.step(action) for _ in range(2)]
            ended = next((step for step in steps if step["is_last"][1]), None)
        assert answer["is_last"].tolist() == [False, True] and ended is not None
        assert torch.equal(answer["state"][1], ended["state"][1])
        one, two = (step["reward"] for step in steps)
        torch.testing.assert_close(answer["reward"], torch.stack([one[0] + two[0], one[1]]))


def test_measures_are_of_each_rows_own_control_steps() -> None:
    """Ages 0, 2 and 4 of 7, held for 3: the first episodes take 3 + 3 + 1, 3 + 2 and 3 steps, later ones 3 + 3 + 1."""
    options: dict[str, Any] = {"time_limit": 7, "measures": True, "stagger": True}
    env, single = (envs.make("hopper_hop", 3, action_repeat=repeat, **options) for repeat in (3, 1))
    measures, lengths = TASKS["hopper_hop"]().measures.values(), []
    read = lambda made: torch.stack([measure.read(made.context).float() for measure in measures], 1)  # noqa: E731
    env.reset(), single.reset()
    seen = [[start] for start in read(env)]  # of each running episode
    for action in actions(env, 8):
        single.load_state_dict(env.state_dict())
        answer = env.step(action)
        running, starts, ends = ~answer["is_first"], read(env), answer["is_last"]
        seen = [rows if going else [start] for rows, going, start in zip(seen, running, starts, strict=True)]
        for _ in range(3):
            last = single.step(action)["is_last"]
            for n in running.nonzero():
                seen[n].append(read(single)[n.item()])
            running &= ~last
        for n in ends.nonzero():
            start, steps = seen[n][0], torch.stack(seen[n][1:])
            of = {"mean": steps.mean(0), "maximum": steps.amax(0).maximum(start), "change": steps[-1] - start}
            expected = [of[measure.over][m] for m, measure in enumerate(measures)]
            torch.testing.assert_close(answer["measures"][n.item()], torch.stack(expected))
            lengths.append(len(steps))
    assert lengths == [3, 5, 7, 7, 7, 7]


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(envs.TASKS), st.integers(1, 7), st.integers(1, 3), st.integers(0, 99))
def test_each_environment_is_its_own(task: str, num_envs: int, repeat: int, seed: int) -> None:
    """Which rows end when changes nothing for the others: environment n of a run goes as its own state says."""
    options: dict[str, Any] = {"seed": seed, "action_repeat": repeat, "time_limit": 5, "threads": 1}
    env, alone = (envs.make(task, num_envs, stagger=stagger, **options) for stagger in (True, False))
    env.reset()
    for action in actions(env, 6, seed):
        state = env.state_dict()
        answer = env.step(action)
        alone.load_state_dict(state)
        other = torch.where(torch.arange(num_envs).unsqueeze(1) == 0, action, -action)
        assert same(answer[:1], alone.step(other)[:1])


@pytest.mark.parametrize(
    ("task", "options"),
    [
        *((task, {}) for task in ("walker_stand", "cheetah_run", "point_mass_hard", "finger_turn_easy")),
        *(("reacher_hard", options) for options in ({}, {"engine": "warp"}, VIDEO, VIDEO | {"distraction": "noise"})),
    ],
)
def test_a_saved_state_goes_on_bit_for_bit(task: str, options: dict[str, Any]) -> None:
    make = lambda: envs.make(task, 3, seed=2, time_limit=LIMIT, threads=1, **options)  # noqa: E731
    env = make()
    env.reset()
    steps = actions(env, 60)
    for action in steps[:20]:
        env.step(action)
    saved = copy.deepcopy(env.state_dict())
    expected = [env.step(action) for action in steps[20:]]  # several refills of the supply of starts
    other = make()
    other.load_state_dict(saved)
    assert all(same(other.step(action), answer) for action, answer in zip(steps[20:], expected, strict=True))


def test_the_seed_decides_and_threads_do_not() -> None:
    one, two, three = (
        play(envs.make("walker_run", N, seed=seed, threads=threads, time_limit=LIMIT, **VIDEO), 2 * LIMIT)
        for seed, threads in ((1, 1), (1, 3), (2, 1))
    )
    assert same(one, two)
    assert not torch.equal(one["state"], three["state"]) and not torch.equal(one["pixels"], three["pixels"])


def test_the_global_generators_are_left_alone() -> None:
    before = torch.get_rng_state()
    play(envs.make("ball_in_cup_catch", N, time_limit=LIMIT, **VIDEO), 2 * LIMIT)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("task", ["hopper_hop", "panda_tabletop"])  # the second through a controller
def test_actions_outside_are_clipped(task: str) -> None:
    one, two = (envs.make(task, N) for _ in range(2))
    one.reset(), two.reset()
    action = actions(one, 1)[0]
    assert same(one.step(action.sign() * 7), two.step(action.sign()))


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (torch.zeros(N, 2), r"actions must be \(5, 6\), not \(5, 2\)"),
        (torch.full((N, 6), torch.nan), "actions must be finite: the policy gave NaN or infinity"),
        (np.zeros((N, 6)), "actions must be a torch.Tensor, not ndarray"),
    ],
)
def test_wrong_actions_are_named(action: torch.Tensor, message: str) -> None:
    env = envs.make("walker_walk", N)
    env.reset()
    with pytest.raises(ValueError, match=message):
        env.step(action)


@pytest.mark.parametrize("engine", ["c", "warp"])
@pytest.mark.parametrize("speed", [1e12, torch.nan])
def test_a_simulation_that_diverges_is_named_in_the_same_step(engine: str, speed: float) -> None:
    """MuJoCo itself would begin anew in the middle of the episode, and MuJoCo Warp go on with NaN."""
    env = envs.make("cheetah_run", N, engine=engine)
    env.reset()
    state, first = env.state_dict(), 1 + env.model.nq  # time and positions come before speeds
    state["physics"][2, first : first + env.model.nv] = speed
    env.load_state_dict(state)
    with pytest.raises(ValueError, match=r"simulation of cheetah_run diverged: speeds are beyond 1e\+10 or NaN"):
        env.step(torch.zeros(N, 6))
    env.reset()
    assert env.step(torch.zeros(N, 6))["state"].isfinite().all()


@pytest.mark.parametrize("engine", ["c", "warp"])
def test_earlier_timesteps_stay_as_they_were(engine: str) -> None:
    """The physics moves on in place, and what a timestep holds must not move with it; nor the other way round."""
    env = envs.make("reacher_hard", 2, engine=engine, time_limit=3, signals=True, measures=True, **VIDEO)
    timesteps = [env.reset()]
    copies = [timesteps[0].clone()]
    for action in actions(env, 6):
        timesteps.append(env.step(action))
        copies.append(timesteps[-1].clone())
    assert all(same(*pair) for pair in zip(timesteps, copies, strict=True))
    assert timesteps[3]["is_last"].all()
    timesteps[-1]["is_last"].fill_(True)
    assert not env.step(actions(env, 1)[0])["is_first"].any()


@pytest.mark.parametrize("name", TASKS)
def test_observations_are_no_views_of_the_physics(name: str) -> None:
    """Where the physics is in single precision no conversion would copy them."""
    task = TASKS[name]()
    physics = CEngine(task.model, 2, task.fields, task.model_fields, 1)
    fields = {field: value.float() for field, value in physics.fields.items()}
    held = {value.untyped_storage().data_ptr() for value in fields.values()}
    assert task.observe(fields).untyped_storage().data_ptr() not in held


def test_an_episode_that_ended_by_itself_says_so_also_when_others_begin_and_where_it_is_put() -> None:
    env, copies = (envs.make("lqr_lqr_2_1", 2, seed=seed) for seed in (0, 1))
    env.reset(), copies.reset()
    state = env.state_dict()
    state["physics"][0] = 0  # at rest in the middle: arrived
    env.load_state_dict(state)
    ended = env.step(torch.zeros(2, env.action_dim))
    saved = copy.deepcopy(env.state_dict())
    others = env.reset(torch.tensor([False, True]))
    placed = copies.place(saved, torch.tensor([1, 0]))
    copies.load_state_dict(saved)
    loaded = copies.reset(torch.tensor([False, True]))
    here, there = [True, False], [False, True]
    for timestep, expected in ((ended, here), (others, here), (placed, there), (loaded, here)):
        assert timestep["is_last"].tolist() == timestep["is_terminal"].tolist() == expected
    for began in (env.step(torch.zeros(2, env.action_dim)), copies.reset(torch.tensor([True, False]))):
        assert began["is_first"].tolist() == [True, False]
        assert not began["is_last"].any() and not began["is_terminal"].any()


@pytest.mark.parametrize(
    ("rows", "found"), [([0, 0, 0, 0, 1], r"\(5,\) of torch.int64"), ([True, False], r"\(2,\) of torch.bool")]
)
def test_rows_to_begin_are_a_mask(rows: list, found: str) -> None:
    env = envs.make("reacher_easy", N)
    env.reset()
    with pytest.raises(ValueError, match=rf"rows must be \(5,\) of torch.bool, not {found}"):
        env.reset(torch.tensor(rows))
