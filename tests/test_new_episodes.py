"""Seeds, and new episodes in some environments while the others go on."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import envs

N, LIMIT = 3, 5
PIXELS = {"pixels": True, "size": 24}


def make_vec(num_envs: int = N, **options: Any) -> gymnasium.vector.VectorEnv:
    return gymnasium.make_vec("empower/walker_walk-v0", num_envs=num_envs, **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"engine": "warp"}, *(PIXELS | {"distraction": name} for name in ("noise", "video", "dcs-easy"))],
)
def test_a_seed_gives_the_same_episodes_again(options: dict[str, Any]) -> None:
    def play(env: gymnasium.vector.VectorEnv, seed: int | None) -> list[np.ndarray]:
        observations = [env.reset(seed=seed)[0]]
        return observations + [env.step(action)[0] for action in actions]

    actions = np.random.default_rng(0).uniform(-1, 1, (LIMIT + 3, N, 6)).astype(np.float32)
    options = options | {"time_limit": LIMIT}
    env = make_vec(seed=1, **options)
    first, on, again = play(env, 5), play(env, None), play(env, 5)
    np.testing.assert_equal(first, again)
    if "distraction" not in options:  # whose draws have a seed of their own when they are made
        np.testing.assert_equal(first, play(make_vec(seed=5, **options), None))
    assert not np.array_equal(first[0], on[0]) and not np.array_equal(first[0], play(env, 6)[0])


def test_environments_without_a_seed_differ() -> None:
    one, two = (make_vec(num_envs=1).reset()[0] for _ in range(2))
    several = make_vec(num_envs=2, vectorization_mode="sync").reset()[0]
    assert not np.array_equal(one, two) and not np.array_equal(several[0], several[1])


@pytest.mark.parametrize("options", [{"engine": "c"}, {"engine": "warp"}, {"distraction": "reafferent"}])
def test_a_reset_of_some_rows_leaves_the_others_alone(options: dict[str, Any]) -> None:
    options = options | {"seed": 4, "time_limit": 9, "pixels": True, "state": True, "size": 36}
    one, two = (envs.make("reacher_easy", N, **options) for _ in range(2))
    for env in (one, two):
        env.reset(), env.step(torch.ones(N, 2)), env.step(-torch.ones(N, 2))
    rows = torch.tensor([False, True, False])
    before, after = two.step(torch.ones(N, 2)), one.step(torch.ones(N, 2))
    after = one.reset(rows)
    assert after["is_first"].tolist() == rows.tolist() and not after["reward"].any() and not after["is_last"].any()
    for name in ("state", "pixels"):
        changed = (after[name] != before[name]).flatten(1).any(1)
        assert changed.tolist() == [False, True, False]
    played = [(one.step(action), two.step(action)) for action in torch.rand(8, N, 2)]
    # three of nine steps are done: the others end after six more, the row that began anew after nine
    assert [now["is_last"].tolist() for now, _ in played] == [[t == 5, False, t == 5] for t in range(8)]
    for now, other in played[:6]:
        assert torch.equal(now["state"][~rows], other["state"][~rows])
        assert torch.equal(now["pixels"][~rows], other["pixels"][~rows])


@pytest.mark.parametrize("distraction", ["video", "dcs-hard-camera", "dcs-hard-colour", "dcs-easy-background"])
def test_what_distracts_other_rows_stays_as_it_is(distraction: str) -> None:
    env = envs.make("cheetah_run", N, distraction=distraction, seed=2, **PIXELS)
    env.reset()
    before = env.step(torch.ones(N, 6))["pixels"]
    after = env.reset(torch.tensor([True, False, False]))["pixels"]
    assert (after != before).flatten(1).any(1).tolist() == [True, False, False]


def test_rows_that_ended_and_are_not_asked_for_are_reset_by_the_next_step() -> None:
    env = envs.make("pendulum_swingup", N, time_limit=1)
    env.reset()
    assert env.step(torch.zeros(N, 1))["is_last"].all()
    assert env.reset(torch.tensor([False, True, False]))["is_last"].tolist() == [True, False, True]
    assert env.step(torch.zeros(N, 1))["is_first"].tolist() == [True, False, True]


def test_same_step_changes_nothing_of_rows_that_go_on() -> None:
    """Episodes of 6 steps that end in turn, in front of noise that every picture shows anew."""
    options = {"pixels": True, "distraction": "noise", "stagger": True, "time_limit": 6, "arrays": "torch"}
    env = make_vec(autoreset_mode="SameStep", **options)
    env.reset()
    for _ in range(4):
        observation, *_, info = env.step(torch.zeros(N, 6))
        if "final_obs" in info:
            same = (observation == info["final_obs"]).flatten(1).all(1)
            assert torch.equal(same, ~info["_final_obs"]) and same.any()
    assert "final_obs" in info  # ages 0, 2 and 4 at the start: ends after 2 and 4 steps
