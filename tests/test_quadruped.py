"""The quadruped's ground: dm_control's terrain, each environment on its own, and starts as low as dm_control's."""

import numpy as np
import pytest
import torch
from dm_control import suite
from dm_control.suite import quadruped as theirs

import envs
from envs.draws import Draws
from envs.engines import CEngine
from envs.resets import Resets
from envs.tasks import TASKS
from envs.tasks.quadruped import lift_off_ground

UPRIGHT = (1, 0, 0, 0)
pytestmark = pytest.mark.usefixtures("without_opengl")


def test_terrain_is_dm_controls_over_the_same_bumps() -> None:
    environment = suite.load("quadruped", "escape", task_kwargs={"random": 5})
    environment.reset()  # draws the bumps first
    ours = TASKS["quadruped_escape"]().terrain(1, np.random.RandomState(5))  # type: ignore[arg-type]
    np.testing.assert_allclose(ours.ravel(), environment.physics.model.hfield_data, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", ["walk", "escape", "fetch"])
def test_quadrupeds_start_as_low_as_dm_controls(name: str) -> None:
    """In other directions and, where there is terrain, on other ground; the same multiple of a centimetre."""
    task, count, random = TASKS[f"quadruped_{name}"](), 13, np.random.default_rng(3)
    draws, physics = Draws(task.model, count, 2, task.model_fields), suite.load("quadruped", name).physics
    task.reset(draws, random)
    orientations, places = draws["qpos"][:, 3:7].copy(), draws["qpos"][:, :2].copy()
    expected = []
    for row in range(count):
        if name == "escape":
            physics.model.hfield_data[:] = draws["hfield_data"][row]
        theirs._find_non_contacting_height(physics, orientations[row], *places[row])
        expected.append(physics.data.qpos[2])
    assert draws["qpos"][:, 2].tolist() == expected


def test_each_environment_stands_on_its_own_ground() -> None:
    """Plateaus at 5 v - 0.01 metres: the lowest free height rises with v by the same, to a centimetre."""
    task = TASKS["quadruped_escape"]()
    draws = Draws(task.model, 3, 2, task.model_fields)
    draws["hfield_data"][:] = np.array([[0.0], [0.05], [0.1]])
    lift_off_ground(draws, np.tile(UPRIGHT, (3, 1)))
    on_the_floor, low, high = draws["qpos"][:, 2]
    assert 0.5 < on_the_floor < 0.6
    assert low - on_the_floor == pytest.approx(0.24, abs=0.011) and high - low == pytest.approx(0.25, abs=0.011)


def test_new_ground_of_one_environment_is_not_the_others() -> None:
    """Rangefinders of three environments that hang in the air, the middle one over a plateau that rises."""
    task = TASKS["quadruped_escape"]()
    engine = CEngine(task.model, 3, task.fields, task.model_fields, 2)
    states, parameters = Resets(task, 3, 2, seed=0).take(3)
    engine.set_state(np.arange(3), states, parameters)
    before = task.observe(engine.fields)
    assert not torch.equal(before[0], before[1])
    engine.set_state(np.array([1]), states[1:2], {"hfield_data": np.full((1, task.model.nhfielddata), 0.2)})
    after = task.observe(engine.fields)
    assert torch.equal(after[::2], before[::2]) and not torch.equal(after[1], before[1])
    assert (engine.parameters["hfield_data"][1] == np.float32(0.2)).all()
    assert torch.equal(engine.parameters["hfield_data"][::2], torch.from_numpy(parameters["hfield_data"][::2]))


def test_a_saved_state_goes_on_on_its_own_ground() -> None:
    env, other = (envs.make("quadruped_escape", 3, seed=2, time_limit=3) for _ in range(2))
    actions = torch.rand(13, 3, 12, generator=torch.Generator().manual_seed(1)) * 2 - 1
    env.reset()
    for action in actions[:5]:
        env.step(action)
    other.load_state_dict(env.state_dict())
    for action in actions[5:]:  # two resets
        one, two = env.step(action), other.step(action)
        assert torch.equal(one["state"], two["state"]) and torch.equal(one["reward"], two["reward"])


@pytest.mark.parametrize(("height", "touching"), [(3.0, 0), (0.52, 1)])
def test_all_feet_touch_the_ground_where_it_stands(height: float, touching: float) -> None:
    task = TASKS["quadruped_walk"]()
    feet = [measure for name, measure in task.measures.items() if name.endswith("_contact")]
    engine = CEngine(task.model, 1, (*task.fields, "qpos"), task.model_fields, 1)
    draws = Draws(task.model, 1, 1, ())
    draws["qpos"][:, :7] = (0, 0, height, *UPRIGHT)
    engine.set_state(np.arange(1), draws.batch.state, {})
    for _ in range(13):
        engine.step(torch.zeros(1, 12, dtype=torch.float64), task.substeps)
    assert len(feet) == 4 and [foot.read(engine.fields).item() for foot in feet] == [touching] * 4
