"""What agents' own rewards read: names, shapes, and values against MuJoCo."""

import mujoco
import pytest
import torch

import envs
from envs import signals

MODEL = mujoco.MjModel.from_xml_string(
    """<mujoco><worldbody><body name="low" pos="1 2 3"/><body name="high" pos="5 7 11"/></worldbody></mujoco>"""
)


@pytest.mark.parametrize(("axes", "expected"), [((0, 1, 2), [5, 7, 11]), ((0, 2), [5, 11]), ((1,), [7])])
def test_body_position_reads_the_axes_asked_for(axes: tuple[int, ...], expected: list[float]) -> None:
    places = torch.tensor([[[0.0, 0, 0], [1, 2, 3], [5, 7, 11]]])  # (1, bodies, 3)
    assert signals.body_position(MODEL, "high", *axes).read({"xpos": places}).tolist() == [expected]


def test_effort_is_the_mean_square_of_controls() -> None:
    assert signals.effort().read({"ctrl": torch.tensor([[1.0, -3.0], [0.0, 0.5]])}).tolist() == [5, 0.125]


@pytest.mark.parametrize("task", envs.TASKS)
def test_every_task_has_a_position_and_its_effort(task: str) -> None:
    env = envs.make(task, 3, signals=True, measures=True)
    timestep = env.reset()
    assert {"position", "effort"} <= env.signal_shapes.keys()
    for name, shape in env.signal_shapes.items():
        assert timestep[name].shape == (3, *shape) and timestep[name].dtype == torch.float32
        assert timestep[name].isfinite().all()
    env.close()


def test_position_is_where_mujoco_has_the_body() -> None:
    env = envs.make("walker_walk", 2, signals=True)
    env.reset()
    timestep = env.step(torch.ones(2, env.action_dim))
    assert torch.equal(timestep["position"][:, 0], env.context["xpos"][:, 1, 0].float())
    env.close()


def test_measures_are_chosen_by_name_in_the_order_asked_for() -> None:
    env = envs.make("cheetah_run", 2, measures=("front_foot_contact", "torso_height", "back_foot_contact"))
    assert env.measure_names == ("front_foot_contact", "torso_height", "back_foot_contact")
    assert env.measure_ranges == ((0, 1), None, (0, 1))
    assert env.reset()["measures"].shape == (2, 3)
    env.close()
    with pytest.raises(ValueError, match=r"no measure 'torso_heigth' .* it has .* torso_height"):
        envs.make("cheetah_run", 2, measures=("torso_heigth",))
