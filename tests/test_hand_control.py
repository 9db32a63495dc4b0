"""The hand goes where it is told, at the speeds and efforts that Franka allows."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import envs
from envs import kinematics
from envs.engines import CEngine
from envs.resets import Resets
from envs.tasks import TASKS
from envs.tasks.panda import BOX, EFFORTS, HOME, SPEEDS

C, WARP = {"threads": 1}, {"engine": "warp"}
TOOL, TURN = slice(29, 32), slice(32, 36)  # of an observation


def rotations(state: torch.Tensor) -> Rotation:
    """Return how the tool is turned from pointing down."""
    return Rotation.from_quat(state[:, TURN].numpy(), scalar_first=True)


@pytest.mark.parametrize(("options", "num_envs", "steps"), [(C, 7, 60), (WARP, 1, 4)])
def test_the_controller_tracks_a_commanded_pose_within_half_a_millimetre(
    options: dict[str, Any], num_envs: int, steps: int
) -> None:
    """Random changes, summed up by hand, then rest for 0.45 s: 0.5 mm and 0.1 degrees are left at most."""
    env = envs.make("panda_tabletop", num_envs, seed=4, **options)
    state = env.reset()["state"]
    place, turn = state[:, TOOL].double().numpy(), rotations(state)
    random, start = np.random.default_rng(2), place
    for _ in range(steps):
        action = np.zeros((num_envs, 7))
        action[:, :6] = random.uniform(-1, 1, (num_envs, 6)) * (0.5, 0.5, 0.5, 0.2, 0.2, 0.2)  # within joints' speeds
        state = env.step(torch.from_numpy(action))["state"]
        place = place + 0.02 * action[:, :3]
        turn = Rotation.from_rotvec(0.1 * action[:, 3:6]) * turn
    assert np.linalg.norm(place - start, axis=1).max() > 0.02
    for _ in range(9):
        state = env.step(torch.zeros(num_envs, 7))["state"]
    assert np.linalg.norm(state[:, TOOL].numpy() - place, axis=1).max() < 5e-4
    assert np.degrees((rotations(state) * turn.inv()).magnitude()).max() < 0.1


def test_no_action_is_to_stay() -> None:
    env = envs.make("panda_tabletop", 5, **C)
    before = env.reset()["state"]
    for _ in range(60):
        state = env.step(torch.zeros(5, 7))["state"]
    assert (state[:, TOOL] - before[:, TOOL]).norm(dim=1).max() < 2e-4
    assert (state[:, TURN] - before[:, TURN]).norm(dim=1).max() < 1e-3


def test_efforts_never_exceed_the_published_limits() -> None:
    """In any physics step: the servos throw the arm from one end of its joints to the other."""
    task, count = TASKS["panda_tabletop"](), 5
    physics = CEngine(task.model, count, ("sensordata", "qpos"), (), 1)
    physics.set_state(np.arange(count), *Resets(task, count, 1, seed=1).take(count))
    random, limits, most = np.random.default_rng(6), torch.tensor(EFFORTS), torch.zeros(7)
    for step in range(400):
        if step % 25 == 0:
            targets = random.uniform(task.low, task.high, (count, 7))
            ctrl = torch.from_numpy(np.concatenate([targets, random.uniform(0, 0.04, (count, 1))], 1))
        physics.step(ctrl, 1)
        most = torch.maximum(most, physics.fields["sensordata"][:, task.effort].abs().amax(0))
    assert torch.equal(most.float(), limits)  # all joints came to their limits, and none beyond


def test_actions_never_exceed_effort_limits() -> None:
    env = envs.make("panda_tabletop", 5, seed=8, **C)
    env.reset()
    most, random = torch.zeros(7), torch.Generator().manual_seed(3)
    for step in range(100):
        if step % 4 == 0:
            action = torch.randn(5, 7, generator=random).sign()
        env.step(action)
        most = torch.maximum(most, env.context["sensordata"][:, env._functions.effort].abs().amax(0).float())
    assert (most <= torch.tensor(EFFORTS)).all() and most[1] > 20


def test_targets_keep_to_the_published_speeds_and_ranges() -> None:
    """And within a quarter of a radian of the joints, wherever a random action sends the hand."""
    env = envs.make("panda_tabletop", 7, seed=5, time_limit=300, **C)
    env.reset()
    task, before, random = env._functions, env.context["ctrl"][:, :7].clone(), torch.Generator().manual_seed(1)
    for step in range(120):
        if step % 6 == 0:
            action = torch.randn(7, 7, generator=random).sign()
        now = env.context["qpos"][:, :7].clone()
        env.step(action)
        target = env.context["ctrl"][:, :7].clone()
        ahead = (target - now).abs()
        assert (ahead <= 0.25 + 1e-9).all()
        slow = (target - before).abs() <= torch.tensor(SPEEDS) * 0.05 + 1e-9
        assert (slow | (ahead > 0.25 - 1e-9)).all()  # a target that is held back goes with its joint
        assert (target >= task.low).all() and (target <= task.high).all()
        before = target


def test_the_hand_is_sent_into_its_box_only() -> None:
    """Held against every face in turn, its targets stop there."""
    env = envs.make("panda_tabletop", 6, time_limit=300, **C)
    env.reset()
    action = torch.zeros(6, 7)
    for axis in range(3):
        action[2 * axis, axis], action[2 * axis + 1, axis] = -1, 1
    for _ in range(50):
        env.step(action)
    arm = env._functions.controller
    sent = kinematics.forward(arm.links, arm.tool, env.context["ctrl"][:, :7]).place
    for axis in range(3):
        assert sent[2 * axis, axis] == pytest.approx(BOX[0][axis], abs=2e-3)
        assert sent[2 * axis + 1, axis] == pytest.approx(BOX[1][axis], abs=2e-3)


@pytest.mark.parametrize(("gripper", "opening"), [(1.0, 0.04), (0.0, 0.04), (-0.01, 0.0), (-1.0, 0.0)])
def test_the_gripper_opens_and_closes(gripper: float, opening: float) -> None:
    env = envs.make("panda_tabletop", 2, **C)
    env.reset()
    for _ in range(15):
        state = env.step(torch.tensor([[0, 0, 0, 0, 0, 0, gripper]] * 2))["state"]
    torch.testing.assert_close(state[:, 7], torch.full((2,), 2 * opening), atol=1e-3, rtol=0)


def test_the_arm_leans_home_where_the_hand_leaves_it_free() -> None:
    """Elbow out by half a radian, the hand where it is: it swings back and the hand stays."""
    task = TASKS["panda_tabletop"]()
    arm, home = task.controller, torch.tensor([HOME], dtype=torch.float64)
    jacobian = kinematics.forward(arm.links, arm.tool, home).jacobian[0]
    free = torch.linalg.svd(jacobian)[2][-1]  # (7,) moves the joints and not the hand
    before = home + 0.3 * free
    start, c = kinematics.forward(arm.links, arm.tool, before), {"qpos": before, "ctrl": before}
    for _ in range(100):
        target = arm(c, torch.zeros(1, 7, dtype=torch.float64))[:, :7]
        c = {"qpos": target, "ctrl": target}
    end = kinematics.forward(arm.links, arm.tool, target)
    assert (end.place - start.place).norm() < 1e-3 and (end.turn - start.turn).norm() < 1e-2
    assert abs((target - home)[0] @ free) < 0.1 * 0.3 + 0.02
