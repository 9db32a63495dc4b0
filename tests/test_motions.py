"""What a page replays: numbers in 16 bits, and episodes that were really played."""

import json

import mujoco
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensordict import TensorDict

import envs
from agents.evaluation import RandomPolicy, evaluate
from views import blocks, motions


class Fixed:
    """Do the same in every row, or what a table of actions (T, N, A) says."""

    def __init__(self, actions: torch.Tensor) -> None:
        self.actions, self.step = actions, 0

    def initial_carry(self, num_envs: int) -> TensorDict:
        return TensorDict({}, batch_size=[num_envs])

    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        assert not explore
        self.step += 1
        return TensorDict({"action": self.actions[self.step - 1]}, batch_size=timestep.batch_size), carry


@settings(deadline=None)
@given(arrays.arrays(np.float64, (5, 3), elements=st.floats(-1e4, 1e4)))
def test_no_number_is_off_by_more_than_half_a_step(values: np.ndarray) -> None:
    found = blocks.quantise(values).values()
    width = np.ptp(values, axis=0)
    assert (np.abs(found - values) <= width / 131070 + 1e-7 * np.abs(values).max() + 1e-12).all()


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        blocks.quantise(np.array([[1.0], [np.nan]]))


def test_a_motion_is_the_episode_that_was_played() -> None:
    options = {"time_limit": 23, "measures": ("torso_height", "displacement"), "threads": 1, "seed": 5}
    options["measures"] = envs.make("cheetah_run", measures=True).measure_names[:2]
    actions = torch.rand(23, 3, 6, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = motions.record(Fixed(actions), envs.make("cheetah_run", 3, **options))
    again = envs.make("cheetah_run", 3, **options)
    again.reset()
    rows, total = [again.coordinates], torch.zeros(3)
    for action in actions:
        timestep = again.step(action)
        rows.append(again.coordinates)
        total += timestep["reward"]
    track = torch.stack(rows, 1).numpy()[:, ::4]  # a row every 0.04 s, of steps of 0.01 s
    for n, motion in enumerate(found):
        assert motion.seconds == pytest.approx(0.04) and motion.coordinates.steps.shape == (6, 9)
        assert np.abs(motion.coordinates.values() - track[n]).max() < 1e-4
        assert motion.total == pytest.approx(float(total[n]), rel=1e-4)
        assert motion.measures == pytest.approx(timestep["measures"][n].tolist(), rel=1e-4)
    json.dumps(found[0].data(), allow_nan=False)


def test_episodes_end_where_they_end() -> None:
    options = {"threads": 1, "time_limit": 30, "stagger": True}  # the first episodes begin 0, 10 and 20 steps old
    env = envs.make("cheetah_run", 3, **options)
    found = motions.record(RandomPolicy(env.action_dim, "cpu", 0), env)
    assert [len(motion.coordinates.steps) for motion in found] == [1 + 30 // 4, 1 + 20 // 4, 1 + 10 // 4]
    again = evaluate(RandomPolicy(env.action_dim, "cpu", 0), envs.make("cheetah_run", 3, **options), 3)
    assert [motion.total for motion in found] == pytest.approx(again.tolist(), rel=1e-4)


def test_the_beginning_is_enough() -> None:
    env = envs.make("humanoid_CMU_walk", 2, threads=1, time_limit=17)  # of 0.02 s: every second is recorded
    begun = motions.record(RandomPolicy(env.action_dim, "cpu", 0), env, seconds=0.2)
    assert [len(motion.coordinates.steps) for motion in begun] == [6, 6]
    again = evaluate(
        RandomPolicy(env.action_dim, "cpu", 0), envs.make("humanoid_CMU_walk", 2, threads=1, time_limit=17), 2
    )
    assert [motion.total for motion in begun] == pytest.approx(again.tolist(), rel=1e-4)


def test_quaternions_do_not_jump() -> None:
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body><freejoint/><geom size='1'/><body pos='0 0 2'><joint type='hinge'/><geom size='1'/>"
        "<body pos='0 0 2'><joint type='ball'/><geom size='1'/></body></body></body></worldbody></mujoco>"
    )
    random = np.random.default_rng(3)
    smooth = np.cumsum(random.normal(size=(31, 12)) * 0.01, 0) + np.r_[1:13]
    flipped = smooth.copy()
    flipped[5:9, 3:7] *= -1
    flipped[20:, 8:12] *= -1
    np.testing.assert_array_equal(motions.continuous(flipped, model), smooth)


def test_what_an_episode_moved_is_kept() -> None:
    env = envs.make("reacher_easy", 3, threads=1, time_limit=2)
    found = motions.record(RandomPolicy(env.action_dim, "cpu", 0), env)
    target = env.model.geom("target").id
    for n, motion in enumerate(found):
        (numbers,) = motion.places["geom_pos"].items()
        assert numbers[0] == target
        assert numbers[1] == pytest.approx(env.parameters["geom_pos"].view(3, -1, 3)[n, target].tolist(), rel=1e-6)
    assert len({tuple(motion.places["geom_pos"][target]) for motion in found}) == 3
