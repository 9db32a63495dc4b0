"""The table-top: a scripted grasp on both engines, what it observes and signals by hand, starts that are seeded."""

from typing import Any

import pytest
from grasping import CLOSE, LIFT, act

import envs
from envs.tasks import panda

C, WARP = {"threads": 1}, {"engine": "warp"}


@pytest.mark.parametrize(
    ("task", "num_envs", "options"), [*((task, 13, C) for task in panda.TASKS), ("panda_tabletop", 1, WARP)]
)
def test_a_scripted_policy_reaches_grasps_lifts_and_holds(task: str, num_envs: int, options: dict[str, Any]) -> None:
    env = envs.make(task, num_envs, seed=3, signals=True, measures=True, **options)
    timestep = env.reset()
    rewards = []
    for step in range(60):
        timestep = env.step(act(timestep["state"], step))
        rewards.append(timestep["reward"])
        efforts = env.context["sensordata"][:, env._functions.effort].abs()
        assert (efforts <= env._functions.efforts).all()
        if step == CLOSE - 1:
            assert (timestep["reach"][:, 0] < 0.01).all(), "reaches"
            assert not timestep["grasped"].any()
        if step == LIFT - 1:
            assert timestep["grasped"].all(), "grasps"
        if step >= 52:
            assert (timestep["position"][:, 2] > 0.22).all() and timestep["grasped"].all(), "lifts and holds"
    assert not timestep["off_table"].any() and (timestep["joint_speed"] < 1).all()
    assert (rewards[0] < 0.2).all() and (rewards[-1] > 0.9).all()
    described = dict(zip(env.measure_names, timestep["measures"].T, strict=True))
    assert (described["lift"] > 0.2).all() and (described["displacement_z"] > 0.19).all()
    assert (described["grasp"] - 30 / 60).abs().max() < 0.05  # from about step 30 to the end
    assert (described["violations"] < 0.05).all()
