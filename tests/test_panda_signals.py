"""What the table-top tells of itself by hand-worked numbers, and starts that follow their seed."""

import numpy as np
import torch

import envs
from envs.tasks import TASKS


def test_signals_by_hand() -> None:
    """Two environments: the object in the hand, then beside the table with the hand pressing on the table."""
    task = TASKS["panda_tabletop"]()
    c = {
        "xpos": torch.zeros(2, task.model.nbody, 3),
        "site_xpos": torch.zeros(2, task.model.nsite, 3),
        "sensordata": torch.zeros(2, task.model.nsensordata),
        "qpos": torch.zeros(2, task.model.nq),
        "qvel": torch.zeros(2, task.model.nv),
    }
    c["xpos"][:, task.object] = torch.tensor([[0.5, 0.1, 0.175], [0.81, 0.0, 0.025]])
    c["site_xpos"][:, :3] = c["xpos"][:, [task.object]] + torch.tensor([[0.0, 0, 0], [0, 0.03, 0.04], [0, -0.06, 0.08]])
    left, right = task.grips
    c["sensordata"][0, left], c["sensordata"][0, right] = torch.tensor([0, 0.6, 0]), torch.tensor([0.4, 0, 0.4])
    c["sensordata"][1, left], c["sensordata"][1, task.pressed] = torch.tensor([0.0, 7, 0]), torch.tensor([20.0, 0, 40])
    c["sensordata"][:, task.effort] = torch.tensor([[87.0, 0, 0, 0, 0, 0, -6], [0, 0, 0, 0, 0, 0, 0]])
    c["qpos"][:, :7] = torch.from_numpy(task.model.jnt_range[:7].mean(1)).float()
    c["qpos"][1, 1] = 1.7628
    c["qvel"][0, :7] = torch.tensor([0, -2.175 / 2, 0, 0, 0, 0, 5.22])
    read = {name: signal.read(c).float() for name, signal in task.signals.items()}
    expected = {
        "reach": [[0, 0.05, 0.1]] * 2,
        "grasped": [1, 0],
        "table_force": [0, 2000**0.5],
        "off_table": [0, 1],
        "joint_margin": [[1.0] * 7, [1, 0, 1, 1, 1, 1, 1]],
        "joint_speed": [[0, 0.5, 0, 0, 0, 0, 2], [0] * 7],
        "effort": [1.25 / 7, 0],
        "violation": [1, 1],  # too fast; off, hard and at a limit
    }
    for name, values in expected.items():
        torch.testing.assert_close(read[name], torch.tensor(values, dtype=torch.float32), atol=1e-5, rtol=0, msg=name)
    reaching = 1 - np.tanh(0.5)
    np.testing.assert_allclose(task.reward(c), [(reaching + 1 + 3) / 5, reaching / 5], atol=1e-5)  # 15 cm up, held


def test_starts_follow_their_seed_and_lie_on_the_table() -> None:
    one, two, other = (envs.make("panda_tabletop", 13, seed=seed, threads=1).reset()["state"] for seed in (1, 1, 2))
    assert torch.equal(one, two) and not (one == other).all(1).any()
    thing = one[:, 22:25]
    assert ((thing[:, 0] - 0.5).abs() <= 0.12).all() and (thing[:, 1].abs() <= 0.2).all()
    torch.testing.assert_close(thing[:, 2], torch.full((13,), 0.025))
    assert (thing[:, :2].std(0) > 0.02).all() and (one[:, 31] > 0.08).all() and (one[:, 32] > 0.9).all()
    assert (one[:, [8, 9, 10, 11, 12, 13, 14, 15, *range(16, 22), *range(36, 42)]].abs() < 1e-6).all()
