"""The Panda's forward kinematics against what Franka publishes, worked out by other means."""

import mujoco
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from envs import kinematics
from envs.tasks import TASKS

# Franka's documentation, "Denavit-Hartenberg parameters": a, d, alpha; the last is the flange.
TABLE = """
    0       0.333   0
    0       0       -90
    0       0.316   90
    0.0825  0       90
    -0.0825 0.384   -90
    0       0       90
    0.088   0       90
    0       0.107   0
"""
READY = np.array([0, -np.pi / 4, 0, -3 * np.pi / 4, 0, np.pi / 2, np.pi / 4])  # libfranka's examples begin here


def published(angles: np.ndarray) -> np.ndarray:
    """Return the pose (4, 4) of the flange by Craig's convention, one matrix for each elementary motion."""
    pose = np.eye(4)
    for (a, d, alpha), theta in zip(np.fromstring(TABLE, sep=" ").reshape(8, 3), [*angles, 0], strict=True):
        for turn, shift in ((Rotation.from_euler("x", alpha, degrees=True), (a, 0, 0)),
                            (Rotation.from_euler("z", theta), (0, 0, d))):  # fmt: skip
            motion = np.eye(4)
            motion[:3, :3], motion[:3, 3] = turn.as_matrix(), shift
            pose = pose @ motion
    return pose


def hand(angles: np.ndarray) -> np.ndarray:
    """Return the pose (4, 4) of the tool: turned by -45 degrees on the flange, 103.4 mm before it."""
    pose, mounted = published(angles), np.eye(4)
    mounted[:3, :3], mounted[2, 3] = Rotation.from_euler("z", -45, degrees=True).as_matrix(), 0.1034
    return pose @ mounted


@pytest.fixture(scope="module")
def task():
    return TASKS["panda_tabletop"]()


def poses(count: int) -> np.ndarray:
    """Draw joint angles within the published limits: (count, 7)."""
    low = [-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973]
    high = [2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973]
    return np.random.default_rng(5).uniform(low, high, (count, 7))


def test_forward_kinematics_of_the_published_parameters_at_known_angles() -> None:
    """Upright, the flange is 88 mm before the base at 333 + 316 + 384 - 107 mm; ready, where libfranka has it."""
    np.testing.assert_allclose(published(np.zeros(7))[:3, 3], [0.088, 0, 0.926], atol=1e-12)
    np.testing.assert_allclose(published(READY)[:3, 3], [0.306891, 0, 0.590282], atol=1e-6)
    np.testing.assert_allclose(hand(READY)[:3, :3], np.diag([1, -1, -1]), atol=1e-12)


def test_forward_kinematics_of_the_model_are_the_published_ones(task) -> None:
    data = mujoco.MjData(task.model)
    for angles in [np.zeros(7), READY, *poses(23)]:
        data.qpos[:7] = angles
        mujoco.mj_kinematics(task.model, data)
        pose = hand(angles)
        np.testing.assert_allclose(data.site("tool").xpos, pose[:3, 3], atol=1e-9)
        np.testing.assert_allclose(data.site("tool").xmat.reshape(3, 3), pose[:3, :3], atol=1e-9)
        np.testing.assert_allclose(data.body("hand").xpos, published(angles)[:3, 3], atol=1e-9)


def test_forward_kinematics_in_batches_are_the_published_ones(task) -> None:
    angles = np.stack([np.zeros(7), READY, *poses(23)])
    reach = kinematics.forward(task.controller.links, task.controller.tool, torch.from_numpy(angles))
    expected = np.stack([hand(row) for row in angles])
    np.testing.assert_allclose(reach.place, expected[:, :3, 3], atol=1e-12)
    np.testing.assert_allclose(reach.turn, expected[:, :3, :3], atol=1e-12)


def test_the_jacobian_is_that_of_mujoco(task) -> None:
    data, angles = mujoco.MjData(task.model), poses(11)
    reach = kinematics.forward(task.controller.links, task.controller.tool, torch.from_numpy(angles))
    for row, jacobian in zip(angles, reach.jacobian, strict=True):
        data.qpos[:7] = row
        mujoco.mj_kinematics(task.model, data), mujoco.mj_comPos(task.model, data)
        linear, angular = np.zeros((2, 3, task.model.nv))
        mujoco.mj_jacSite(task.model, data, linear, angular, task.model.site("tool").id)
        np.testing.assert_allclose(jacobian, np.concatenate([linear, angular])[:, :7], atol=1e-9)


def test_limits_are_the_published_ones(task) -> None:
    limits = [87, 87, 87, 87, 12, 12, 12]
    assert task.model.jnt_actfrcrange[:7].tolist() == [[-limit, limit] for limit in limits]
    assert task.model.jnt_actgravcomp[:7].all() and task.efforts.tolist() == limits
    angles = poses(1000)
    assert (angles >= task.model.jnt_range[:7, 0]).all() and (angles <= task.model.jnt_range[:7, 1]).all()
    assert task.model.body_mass[2:9].sum() == pytest.approx(16.06, abs=0.01)  # kg, links 1 to 7


def test_rotations_are_those_of_scipy() -> None:
    vectors = np.random.default_rng(3).normal(0, 1, (13, 3))
    vectors[5] = 0
    ours = kinematics.rotation(torch.from_numpy(vectors))
    np.testing.assert_allclose(ours, Rotation.from_rotvec(vectors).as_matrix(), atol=1e-9)
    goal = kinematics.rotation(torch.tensor([[0.3, 0, 0], [0, 0, 0.2]])) @ ours[:2].float()
    expected = torch.tensor([[np.sin(0.3), 0, 0], [0, 0, np.sin(0.2)]])
    torch.testing.assert_close(kinematics.turned(goal, ours[:2].float()), expected.float())
