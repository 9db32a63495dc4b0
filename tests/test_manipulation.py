"""The arm with a hand, of manipulator and stacker: what starts look like, and what is measured of it."""

import mujoco
import numpy as np
import pytest
import torch
from torch import Tensor

from envs.engines import STATE, CEngine
from envs.resets import Resets
from envs.tasks import TASKS, manipulator
from envs.tasks.task import XX, ZX

STARTS = 499
SAME_PLACE = 0.002  # metres; targets stand a millimetre behind the plane in which objects move


def share(where: Tensor) -> float:
    return float(where.double().mean())


@pytest.mark.parametrize("name", manipulator.TASKS)
def test_objects_start_in_the_hand_or_at_the_target_or_elsewhere(name: str) -> None:
    task = TASKS[name]()
    engine = CEngine(task.model, STARTS, (*task.fields, "site_xmat"), task.model_fields, 2)
    engine.set_state(np.arange(STARTS), *Resets(task, STARTS, 2, seed=5).take(STARTS))
    c, handle = engine.fields, {"ball": "ball", "peg": "peg_grasp"}[task.prop]
    held = task.distance(c, handle, "grasp") < SAME_PLACE  # (STARTS,)
    there = task.distance(c, task.prop, f"target_{task.prop}") < SAME_PLACE
    turn, hand = c["qpos"][:, task.joints.stop - 1], c["site_xmat"][:, task.arm.grasp]
    from_hand, quaternion = turn + torch.atan2(hand[:, ZX], hand[:, XX]), c["xquat"][:, task.target]
    from_target = turn - 2 * torch.atan2(quaternion[:, 2], quaternion[:, 0])
    assert 0.04 < share(held) < 0.15 and 0.04 < share(there) < 0.15
    assert from_hand[held].cos().max() < -1 + 1e-9 and from_hand[~held].cos().max() > 0.9
    assert from_target[there].cos().min() > 1 - 1e-9 and from_target[~there].cos().min() < -0.9
    assert task.reward(c)[there].min() > 0.99 and task.reward(c)[~there].max() < 0.5
    # An object that was put somewhere has a speed where a pose with contacts had been drawn, and thrown away, before.
    speed = c["qvel"][:, task.joints.start]
    assert 0.3 < share(speed[held | there] != 0) < 0.8 and share(speed[~(held | there)] != 0) == 1


@pytest.mark.parametrize("name", ["manipulator_bring_peg", "stacker_stack_4"])
def test_the_hands_speed_is_mujocos(name: str) -> None:
    task, count, velocity, random = TASKS[name](), 5, np.empty(6), np.random.default_rng(3)
    measure, model, data = task.measures["hand_speed"], task.model, mujoco.MjData(task.model)
    states, expected = np.empty((count, mujoco.mj_stateSize(model, STATE))), []
    for state in states:
        data.qpos[:], data.qvel[:] = random.standard_normal(model.nq), random.standard_normal(model.nv)
        mujoco.mj_forward(model, data)
        mujoco.mj_getState(model, data, state, STATE)
        hand = model.body("hand").id
        mujoco.mj_objectVelocity(model, data, int(mujoco.mjtObj.mjOBJ_XBODY), hand, velocity, 0)
        expected.append(np.linalg.norm(velocity[3:]))
    engine = CEngine(model, count, measure.fields, (), 2)
    engine.set_state(np.arange(count), states, {})
    np.testing.assert_allclose(measure.read(engine.fields), expected, rtol=1e-12)


def test_holding_takes_both_fingers_and_an_object_between_them() -> None:
    """Five environments; the sensors are those of palm, finger, thumb, fingertip, thumbtip, in newtons."""
    felt = torch.tensor([[0, 3, 0, 0, 2], [0, 0, 5, 1, 0], [9, 1, 0, 4, 0], [9, 0, 1, 0, 4], [0, 3, 0, 0, 2]])
    distances = torch.tensor([[0.04, 0.9], [0.9, 0.03], [0.0, 0.0], [0.0, 0.0], [0.06, 0.9]])  # metres, of two boxes
    two_boxes, peg = TASKS["stacker_stack_2"](), TASKS["manipulator_bring_peg"]()
    places = torch.zeros(5, two_boxes.model.nsite, 3)
    places[:, two_boxes.box_sites, 2] = distances
    holding = two_boxes.measures["holding"].read({"sensordata": felt, "site_xpos": places})
    assert holding.tolist() == [1, 1, 0, 0, 0]
    places = torch.zeros(5, peg.model.nsite, 3)
    places[:, peg.model.site("peg_grasp").id, 0] = distances.amin(1)
    assert peg.measures["holding"].read({"sensordata": felt, "site_xpos": places}).tolist() == [1, 1, 0, 0, 0]
