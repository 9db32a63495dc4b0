"""What callers do with environments and ours do not: modes, arrays turned around, writing into pictures."""

import importlib
import os
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

import envs
from envs.goals import GoalEnv
from envs.sb3 import VecEnv

N, LIMIT = 2, 3


@pytest.mark.parametrize(
    "options", [{}, {"measures": True}, {"pixels": True, "distraction": "dcs-hard", "size": 24}], ids=str
)
@pytest.mark.parametrize("made_inside", [False, True])
def test_inference_mode_may_be_left(options: dict[str, Any], made_inside: bool) -> None:
    with torch.inference_mode(made_inside):
        env = envs.make("cheetah_run", N, time_limit=LIMIT, **options)
        env.reset()
    with torch.inference_mode():
        for _ in range(LIMIT + 1):  # an episode's end and a beginning inside
            env.step(torch.zeros(N, env.action_dim))
        state = env.state_dict()
    env.step(torch.zeros(N, env.action_dim))
    with torch.inference_mode():
        env.load_state_dict(state)
        env.place(state, torch.arange(N))
    assert not env.step(torch.zeros(N, env.action_dim))["reward"].is_inference()


def turned(array: np.ndarray) -> np.ndarray:
    """Return the same numbers from the last to the first, twice: torch refuses the first way to lay them out."""
    return array[::-1].copy()[::-1]


def test_arrays_that_were_turned_around() -> None:
    """Torch ends the process over one that comes by DLPack."""
    rng = np.random.default_rng(0)
    many, again = (gymnasium.make_vec("empower/walker_walk-v0", N, autoreset_mode="Disabled") for _ in range(2))
    many.reset(seed=1), again.reset(seed=1)
    actions = rng.uniform(-1, 1, (N, 6)).astype(np.float32)
    expected = again.step(actions)[0]
    assert np.array_equal(many.step(turned(actions))[0], expected)
    assert np.array_equal(many.step(tuple(actions))[0], again.step(actions)[0])
    mask = np.array([True, False])
    found, _ = many.reset(options={"reset_mask": turned(mask)})
    assert np.array_equal(found, again.reset(options={"reset_mask": mask})[0])
    one = gymnasium.make("empower/walker_walk-v0")
    one.reset(seed=1)
    assert one.step(turned(actions[0]))[0].shape == (24,)
    sb3 = VecEnv(gymnasium.make_vec("empower/walker_walk-v0", N, autoreset_mode="SameStep"))
    sb3.reset()
    assert sb3.step(turned(actions))[0].shape == (N, 24)


def test_writing_into_what_was_given() -> None:
    pixels: Any = {"pixels": True, "size": 24, "render_mode": "rgb_array"}
    env = gymnasium.make_vec("empower/walker_walk-v0", N, autoreset_mode=AutoresetMode.DISABLED, **pixels)
    seen, _ = env.reset(seed=0)
    before = seen.copy()
    for frame in env.render():
        frame[:] = 0
    assert np.array_equal(seen, before) and before.any()
    seen[:] = 7
    later, _ = env.reset(options={"reset_mask": np.array([True, False])})
    assert np.array_equal(later[1], before[1])


def test_goals_are_float32_whatever_they_are_made_of() -> None:
    env = envs.make("point_mass_easy", N, signals=True)
    box = np.array([-0.2, -0.1]), np.array([0.2, 0.1])
    for goals in (None, torch.zeros(N, 2, dtype=torch.float64)):
        timestep = GoalEnv(env, *box, radius=0.05, goals=goals).reset()
        assert timestep["goal"].dtype == timestep["reward"].dtype == torch.float32


def test_another_default_type_changes_nothing() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        timestep = envs.make("cheetah_run", N, measures=True).reset()
    finally:
        torch.set_default_dtype(torch.float32)
    assert {timestep[name].dtype for name in ("measures", "readings", "state", "reward")} == {torch.float32}


def test_states_of_environments_made_otherwise_change_nothing() -> None:
    def make(**options: Any) -> envs.BatchedEnv:
        env = envs.make("cheetah_run", N, size=24, pixels=True, **options)
        env.reset()
        return env

    plain, noise, all_measures = make(), make(distraction="noise"), make(measures=True)
    one_measure = make(measures=["front_foot_contact"])
    for env, state, line in (
        (noise, plain, "the state is of environments without distraction, unlike these"),
        (plain, noise, "the state is of environments with distraction, unlike these"),
        (plain, all_measures, "the state is of environments with measures, unlike these"),
        (all_measures, one_measure, "the state is of 1 measures, these environments have 6"),
    ):
        state.step(torch.ones(N, 6))
        before = env.coordinates
        with pytest.raises(ValueError, match=line):
            env.load_state_dict(state.state_dict())
        assert torch.equal(env.coordinates, before)


def test_cores_are_those_of_the_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cores = importlib.import_module("envs.cores")  # `envs.cores` is the function
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    assert cores.cores() == 8
    for told, expected in (("max 100000\n", 8), ("150000 100000\n", 2), ("900000 100000\n", 8), ("5000 100000\n", 1)):
        (tmp_path / "cpu.max").write_text(told)
        assert cores.cores() == expected
