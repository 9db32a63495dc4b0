"""The gymnasium view, against hand-worked numbers, gymnasium's own vector environment and its checkers."""

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import stable_baselines3.common.env_checker
import torch
from gymnasium.error import NameNotFound, NamespaceNotFound, ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import ArrayConversion, RecordEpisodeStatistics
from scripted import Scripted

import envs
from envs.gym import NumpyVectorEnv, VectorEnv

N, LIMIT = 3, 5
NOTHING = np.zeros((3, 1), np.float32)
NEXT_STEP, SAME_STEP, DISABLED = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED


def scripted(mode: AutoresetMode, **options: Any) -> NumpyVectorEnv:
    return NumpyVectorEnv(VectorEnv(Scripted(**options), mode), env_xp=torch, target_xp=np)


def make_vec(task: str = "walker_walk", num_envs: int = N, **options: Any) -> gymnasium.vector.VectorEnv:
    return gymnasium.make_vec(f"empower/{task}-v0", num_envs=num_envs, **options)


def test_next_step_by_hand() -> None:
    """Episodes of 2, 3 and 5 steps: a step after the last resets; only the second environment's ends are terminal."""
    env = scripted(NEXT_STEP)
    observation, info = env.reset()
    assert observation.tolist() == [[1, 0], [1, 0], [1, 0]] and info == {}
    answers = [env.step(NOTHING) for _ in range(6)]
    assert [a[0].tolist() for a in answers] == [
        [[1, 1], [1, 1], [1, 1]],
        [[1, 2], [1, 2], [1, 2]],
        [[2, 0], [1, 3], [1, 3]],
        [[2, 1], [2, 0], [1, 4]],
        [[2, 2], [2, 1], [1, 5]],
        [[3, 0], [2, 2], [2, 0]],
    ]
    assert [a[1].tolist() for a in answers[:4]] == [[1, 11, 21], [2, 12, 22], [0, 13, 23], [1, 0, 24]]
    assert [a[2].tolist() for a in answers] == [[False, t == 2, False] for t in range(6)]
    assert [a[3].tolist() for a in answers] == [[t in (1, 4), False, t == 4] for t in range(6)]
    assert all(a[4] == {} for a in answers)


def test_same_step_by_hand() -> None:
    env = scripted(SAME_STEP, measures=True)
    _, info = env.reset()
    assert info["measures"].tolist() == [[0], [0], [0]] and info["_measures"].all()
    answers = [env.step(NOTHING) for _ in range(3)]
    assert [a[0].tolist() for a in answers] == [
        [[1, 1], [1, 1], [1, 1]],
        [[2, 0], [1, 2], [1, 2]],
        [[2, 1], [2, 0], [1, 3]],
    ]
    assert [a[1].tolist() for a in answers] == [[1, 11, 21], [2, 12, 22], [1, 13, 23]]
    assert [(a[2].tolist(), a[3].tolist()) for a in answers[1:]] == [
        ([False] * 3, [True, False, False]),
        ([False, True, False], [False] * 3),
    ]
    info = answers[1][4]
    assert info["final_obs"][0].tolist() == [1, 2] and info["final_obs"][1] is None and info["final_obs"][2] is None
    assert info["_final_obs"].tolist() == info["_final_info"].tolist() == [True, False, False]
    assert info["final_info"]["measures"].tolist() == [[2], [2], [2]] and info["measures"].tolist() == [[0], [2], [2]]
    assert "final_obs" not in answers[0][4] and answers[2][4]["final_obs"][1].tolist() == [1, 3]


def test_disabled_by_hand() -> None:
    env = scripted(DISABLED)
    env.reset()
    env.step(NOTHING)
    observation, _, _, truncated, _ = env.step(NOTHING)
    assert observation[0].tolist() == [1, 2] and truncated.tolist() == [True, False, False]
    with pytest.raises(ResetNeeded, match="an episode has ended: reset it before the next step"):
        env.step(NOTHING)
    observation, _ = env.reset(options={"reset_mask": truncated})
    assert observation.tolist() == [[2, 0], [1, 2], [1, 2]]
    observation, _, terminated, _, _ = env.step(NOTHING)
    assert observation.tolist() == [[2, 1], [1, 3], [1, 3]] and terminated.tolist() == [False, True, False]
    env.close(), env.close()
    assert env.unwrapped.env.closed


@pytest.mark.parametrize("mode", [NEXT_STEP, SAME_STEP])
@pytest.mark.parametrize(
    "options", [{}, {"pixels": True, "state": True, "size": 36}, {"measures": True, "signals": True}]
)
def test_one_environment_is_gymnasiums_own_vector_of_one(mode: AutoresetMode, options: dict[str, Any]) -> None:
    """A second implementation: gymnasium's SyncVectorEnv over our single environment."""
    options = options | {"time_limit": LIMIT}
    ours = make_vec(num_envs=1, autoreset_mode=mode, **options)
    theirs = SyncVectorEnv([lambda: gymnasium.make("empower/walker_walk-v0", **options)], autoreset_mode=mode)
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"]
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
    theirs.action_space.seed(0)
    answers = [list(env.reset(seed=7)) for env in (ours, theirs)]
    for _ in range(2 * LIMIT + 3):
        one, two = answers
        np.testing.assert_equal(one[0], two[0])
        assert one[0] in ours.observation_space
        for mine, other in zip(one[1:-1], two[1:-1], strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-6)
        assert one[-1].keys() == two[-1].keys()
        for name in one[-1].keys() - {"final_info"}:
            np.testing.assert_equal(one[-1][name].tolist(), two[-1][name].tolist())
        action = theirs.action_space.sample()
        answers = [list(env.step(action)) for env in (ours, theirs)]


def test_many_environments_are_the_batch() -> None:
    """The same numbers as `envs.make` gives for the same seed and actions, in tensors and in NumPy."""
    batch = envs.make("cheetah_run", N, seed=3, action_repeat=2, time_limit=LIMIT)
    views = [make_vec("cheetah_run", arrays=arrays, action_repeat=2, time_limit=LIMIT) for arrays in ("numpy", "torch")]
    rows, firsts = batch.reset(), [view.reset(seed=3)[0] for view in views]
    assert isinstance(firsts[0], np.ndarray) and isinstance(firsts[1], torch.Tensor)
    assert all(torch.equal(torch.as_tensor(first), rows["state"]) for first in firsts)
    for action in torch.rand(2 * LIMIT, N, 6) * 2 - 1:
        rows = batch.step(action)
        for view, given in zip(views, (action.numpy(), action), strict=True):
            state, reward, terminated, truncated, _ = (x if isinstance(x, dict) else torch.as_tensor(x)
                                                       for x in view.step(given))  # fmt: skip
            assert torch.equal(state, rows["state"]) and torch.equal(reward, rows["reward"])
            assert torch.equal(terminated, rows["is_terminal"]) and torch.equal(truncated | terminated, rows["is_last"])


def test_what_was_asked_for_beside_observations_is_in_info() -> None:
    """Of several environments as `envs.make` gives it, with masks; of one, and of gymnasium's vector of these."""
    options = {"measures": True, "signals": True, "distractor": True, "pixels": True, "distraction": "noise", "size": 8}
    batch, ours = envs.make("walker_walk", N, seed=3, **options), make_vec(seed=3, **options)
    single = gymnasium.make("empower/walker_walk-v0", **options)
    theirs = make_vec(vectorization_mode="sync", **options)
    names = {"measures", "distractor", *batch.signal_shapes}
    timestep, told = batch.reset(), [env.reset()[1] for env in (ours, single, theirs)]
    for _ in range(2):
        assert told[0].keys() == told[2].keys() == names | {f"_{name}" for name in names} and told[1].keys() == names
        for name in names:
            assert np.array_equal(told[0][name], timestep[name]) and told[0][f"_{name}"].all()
            assert told[1][name].shape == timestep[name].shape[1:] and told[2][name].shape == timestep[name].shape
        timestep = batch.step(torch.zeros(N, 6))
        told = [env.step(np.zeros(env.action_space.shape, np.float32))[4] for env in (ours, single, theirs)]


@pytest.mark.parametrize("task", envs.TASKS)
def test_every_task_passes_both_checkers(task: str) -> None:
    """Nothing to complain of, but that a state has no bounds."""
    env = gymnasium.make(f"empower/{task}-v0")
    assert env.spec.id == f"empower/{task}-v0"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped, skip_render_check=True)
        stable_baselines3.common.env_checker.check_env(env)
    assert all("infinity. This is probably too" in str(warning.message) for warning in caught)
    assert env.action_space == gymnasium.spaces.Box(-1, 1, env.action_space.shape)


@pytest.mark.parametrize("options", [{"pixels": True}, {"pixels": True, "state": True}, {"render_size": 36}])
def test_pictures_pass_both_checkers(options: dict[str, Any]) -> None:
    env = gymnasium.make("empower/cheetah_run-v0", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*infinity.*")
        check_env(env.unwrapped)
        stable_baselines3.common.env_checker.check_env(env, skip_render_check=False)


def test_frames() -> None:
    """What the agent sees where it sees pixels, else a picture that changes with the pose."""
    small = make_vec("cheetah_run", pixels=True, size=36, render_mode="rgb_array")
    observation, _ = small.reset(seed=0)
    assert np.array_equal(np.stack(small.render()), observation)
    large = make_vec("cheetah_run", render_size=60, render_mode="rgb_array")
    large.reset(seed=0)
    before = np.stack(large.render())
    large.step(np.ones((N, 6), np.float32))
    after = np.stack(large.render())
    assert before.shape == (N, 60, 60, 3) and before.dtype == np.uint8 and before.std() > 10
    assert (before != after).any((1, 2, 3)).all()
    assert large.metadata["render_fps"] == 100  # control steps of a hundredth of a second
    with pytest.warns(UserWarning, match="render_mode"):
        assert make_vec("cheetah_run", pixels=True).render() is None


def test_what_is_done_to_observations_and_frames_stays_with_who_does_it() -> None:
    env = make_vec("cartpole_balance", arrays="torch", autoreset_mode=DISABLED)
    seen, _ = env.reset(seed=0)
    kept = seen.clone()
    seen.zero_()
    again, _ = env.reset(options={"reset_mask": torch.tensor([True, False, False])})
    assert torch.equal(again[1:], kept[1:])
    env = make_vec("cartpole_balance", arrays="torch", render_mode="rgb_array", pixels=True, size=16)
    env.reset(seed=0)
    env.render()[0][:] = 0
    assert env.render()[0].any()


def test_gymnasiums_wrappers_work() -> None:
    """Its conversion of tensors, and its statistics of episodes in both modes."""
    native = make_vec("cartpole_balance", arrays="torch")
    assert isinstance(ArrayConversion(native, env_xp=torch, target_xp=np).reset(seed=0)[0], np.ndarray)
    for mode, steps in (("NextStep", LIMIT), ("SameStep", LIMIT)):
        env = RecordEpisodeStatistics(make_vec("cartpole_balance", time_limit=LIMIT, autoreset_mode=mode))
        env.reset(seed=0)
        total = np.zeros(N)
        for _ in range(steps):
            _, reward, _, _, info = env.step(np.zeros((N, 1), np.float32))
            total += reward
        assert info["episode"]["l"].tolist() == [LIMIT] * N
        np.testing.assert_allclose(info["episode"]["r"], total, rtol=1e-6)


def test_no_import_of_ours_is_needed_in_any_folder(tmp_path: Path) -> None:
    code = (
        "import sys, gymnasium; assert 'torch' not in sys.modules\n"
        "env = gymnasium.make_vec('envs:empower/cartpole_balance-v0', num_envs=2); print(env.reset(seed=0)[0].shape)"
    )
    places = {"PYTHONPATH": str(Path(__file__).parent.parent), "PATH": os.environ["PATH"]}
    python = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=places, capture_output=True, text=True)
    assert (python.returncode, python.stdout) == (0, "(2, 5)\n"), python.stderr


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"pixel": True}, "unknown option 'pixel': did you mean 'pixels'?"),
        ({"autoreset_mode": "SamStep"}, "unknown autoreset_mode 'SamStep': did you mean 'SameStep'?"),
        ({"render_mode": "rgb"}, "unknown render_mode 'rgb': did you mean 'rgb_array'?"),
        ({"render_size": 0}, "render_size must be at least 1, got 0"),
        ({"arrays": "nunpy"}, "unknown arrays 'nunpy': did you mean 'numpy'?"),
        ({"num_envs": 0}, "num_envs must be at least 1, got 0"),
        ({"distraction": "video"}, "the distraction 'video' needs pixels: from states, take 'none'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError) as caught:
        make_vec(**options)
    assert str(caught.value) == line


@pytest.mark.parametrize("option", [{"num_envs": 2}, {"arrays": "torch"}, {"autoreset_mode": "SameStep"}])
def test_one_environment_is_not_several(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(option))} is for gymnasium.make_vec"):
        gymnasium.make("empower/walker_walk-v0", **option)


def test_wrong_names_suggest_the_nearest() -> None:
    with pytest.raises(NameNotFound, match="Did you mean: `walker_walk`"):
        gymnasium.make("empower/walker_wlak-v0")
    with pytest.raises(NamespaceNotFound, match="Did you mean: `empower`"):
        gymnasium.make_vec("empwer/walker_walk-v0")


def test_wrong_calls_are_one_line() -> None:
    env, ones = scripted(DISABLED), np.ones(3, bool)
    with pytest.raises(ResetNeeded, match="reset the environments before the first step"):
        env.step(NOTHING)
    with pytest.raises(ResetNeeded, match="reset all environments before some"):
        env.reset(options={"reset_mask": ones})
    env.reset()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"seed": [1, 2, 3]}, r"one seed decides all environments: give an int, not \[1, 2, 3\]"),
        ({"options": {"mask": ones}}, "unknown reset option 'mask': choose one of reset_mask"),
        (
            {"options": {"reset_mask": np.ones(2)}},
            r"reset_mask must be \(3,\) of torch.bool, not \(2,\) of torch.float64",
        ),
        ({"options": {"reset_mask": ones}, "seed": 1}, "a seed begins all episodes anew: give it without reset_mask"),
    ]
    for arguments, line in wrong:
        with pytest.raises(ValueError, match=line):
            env.reset(**arguments)
    with pytest.raises(gymnasium.error.Error, match="-1"):
        env.reset(seed=-1)
    assert env.unwrapped.env.seeds == []
    single = gymnasium.make("empower/walker_walk-v0")
    single.reset()
    with pytest.raises(ValueError, match=r"actions must be \(1, 6\), not \(1, 5\)"):
        single.step(np.zeros(5))
