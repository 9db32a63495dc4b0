"""Measures of episodes by hand-worked numbers."""

import math
from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
import pytest
import torch
from torch import Tensor

import envs
from envs import measures
from envs.engines import STATE, CEngine
from envs.measures import Measure, Measures
from envs.resets import Resets
from envs.tasks import TASKS

CPU = torch.device("cpu")
BODIES = """<mujoco><worldbody>
    <geom name="floor" type="plane" size="1 1 1"/>
    <body name="capsule"><joint name="free" type="free"/><geom name="capsule" type="capsule" size=".1 .3"/></body>
    <body name="cart"><joint name="x" type="slide" axis="1 0 0"/><joint name="y" type="slide" axis="0 1 0"/>
        <joint name="z" type="slide" axis="0 0 1"/>
        <geom name="ball" size=".2"/>
        <body name="pole"><joint name="hinge" axis="1 0 0"/><geom size=".1"/></body>
    </body>
</worldbody></mujoco>"""
MODEL = mujoco.MjModel.from_xml_string(BODIES)


def rows(*numbers: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.bool)


def bodies(qpos: Sequence[Sequence[float]], qvel: Sequence[Sequence[float]] | None = None) -> Mapping[str, Tensor]:
    """Return the fields of copies of BODIES at positions (N, nq) with velocities (N, nv)."""
    data, states = mujoco.MjData(MODEL), np.empty((len(qpos), mujoco.mj_stateSize(MODEL, STATE)))
    for state, position, velocity in zip(states, qpos, qvel or [[0] * MODEL.nv] * len(qpos), strict=True):
        data.qpos[:], data.qvel[:] = position, velocity
        mujoco.mj_getState(MODEL, data, state, STATE)
    fields = ("qpos", "qvel", "xpos", "xmat", "geom_xpos", "geom_xmat")
    engine = CEngine(MODEL, len(qpos), fields, (), 1)
    engine.set_state(np.arange(len(qpos)), states, {})
    return engine.fields


def about_x(degrees: float) -> list[float]:
    """Return the quaternion of a rotation about the x axis."""
    return [math.cos(math.radians(degrees) / 2), math.sin(math.radians(degrees) / 2), 0.0, 0.0]


def test_values_are_of_the_steps_of_each_rows_own_episode() -> None:
    """Three environments; what a masked row shows (99) must leave no trace."""
    read = lambda c: c["x"]  # noqa: E731
    followed = Measures({over: Measure(read, ("x",), over) for over in ("mean", "maximum", "change")}, 3, CPU)
    step = lambda values: {"x": torch.tensor(values, dtype=torch.float64)}  # noqa: E731
    assert followed.names == ("mean", "maximum", "change")

    followed.start(step([1.0, 2.0, 5.0]), rows(1, 1, 1))
    followed.add(step([3.0, -4.0, 99.0]), rows(1, 1, 0))
    followed.add(step([2.0, 99.0, 7.0]), rows(1, 0, 1))
    assert followed.values.tolist() == [[2.5, 3, 1], [-4, 2, -6], [7, 7, 2]]

    followed.start(step([99.0, 9.0, 99.0]), rows(0, 1, 0))
    assert followed.values.tolist() == [[2.5, 3, 1], [0, 9, 0], [7, 7, 2]]

    saved, later = followed.state_dict(), step([4.0, 1.0, 1.0])
    followed.add(later, rows(1, 1, 1))
    expected = [[3, 4, 3], [1, 9, -8], [4, 7, -4]]
    assert followed.values.tolist() == expected
    other = Measures({over: Measure(read, ("x",), over) for over in followed.names}, 3, CPU)
    other.load_state_dict(saved)
    other.add(later, rows(1, 1, 1))
    assert other.values.tolist() == expected
    assert other.values.dtype == torch.float32


@pytest.mark.parametrize(("degrees", "lowest"), [(0, 0.4), (90, 0.1), (60, 0.25), (120, 0.25), (180, 0.4)])
def test_a_capsule_touches_the_ground_where_its_lowest_point_does(degrees: float, lowest: float) -> None:
    """Radius 0.1, half length 0.3: its middle is 0.3 |cos| + 0.1 above its lowest point."""
    heights = [lowest + gap for gap in (-0.05, 0.0, 0.008, 0.012, 1.0)]
    c = bodies([[3, 7, z, *about_x(degrees), 0, 0, 0, 0] for z in heights])
    assert measures.ground_contact(MODEL, "capsule").read(c).tolist() == [1, 1, 1, 0, 0]


def test_a_sphere_touches_the_ground_within_its_radius() -> None:
    """Radius 0.2, wherever and however it is turned."""
    c = bodies([[0, 0, 0, *about_x(0), x, 0, z, 2] for x, z in ((0, 0.205), (5, 0.215), (7, 0.1))])
    assert measures.ground_contact(MODEL, "ball").read(c).tolist() == [1, 0, 1]


def test_other_shapes_than_spheres_and_capsules_have_no_ground_contact() -> None:
    with pytest.raises(AssertionError, match="floor is another shape"):
        measures.ground_contact(MODEL, "floor")


def test_a_touch_is_felt_by_any_of_its_sensors() -> None:
    """Newtons of five sensors in four environments; the first and the third sensor are others'."""
    names, at = ("other", "toe", "another", "heel", "last"), '<geom size=".1"/><site name="site"/>'
    sensors = "".join(f'<touch name="{name}" site="site"/>' for name in names)
    xml = f"<mujoco><worldbody><body>{at}</body></worldbody><sensor>{sensors}</sensor></mujoco>"
    felt = torch.tensor([[5, 0, 5, 0, 5], [0, 1e-6, 0, 0, 0], [0, 0, 0, 70, 0], [9, 3, 9, 2, 9]])
    foot = measures.touch(mujoco.MjModel.from_xml_string(xml), "toe", "heel")
    assert foot.read({"sensordata": felt}).tolist() == [0, 1, 1, 1]


def test_named_measures_read_what_they_say() -> None:
    """Two environments and two steps, of which the first environment shows both and the second the last."""
    of = {
        "height": measures.height(MODEL, "capsule"),
        "highest": measures.height(MODEL, "capsule", "maximum"),
        "x": measures.displacement(MODEL, "capsule", 0),
        "y": measures.displacement(MODEL, "capsule", 1),
        "turn": measures.turn(MODEL, "hinge"),
        "cart_speed": measures.speed(MODEL, "x", "y"),
        "hinge_speed": measures.speed(MODEL, "hinge"),
        "free_speed": measures.speed(MODEL, "free"),
        "horizontal_speed": measures.horizontal_speed(MODEL, "free"),
        "upright": measures.upright(MODEL, "capsule"),
        "both_upright": measures.upright(MODEL, "capsule", "pole"),
    }
    followed = Measures(of, 2, CPU)
    velocity = [
        -4,
        3,
        12,
        70,
        80,
        90,
        3,
        -4,
        50,
        -9,
    ]  # capsule: |-4 3 12| = 13; cart in x and y: |3 -4| = 5
    start = [[1, 2, 6, *about_x(0), 0, 0, 0, 0], [5, 6, 0, *about_x(0), 0, 0, 0, 1]]
    middle = [[3, 7, 4, *about_x(60), 8, 8, 8, math.pi / 3]] * 2
    end = [[4, 1, 2, *about_x(180), 8, 8, 8, 3 * math.pi], [5, 6, 3, *about_x(60), 8, 8, 8, -math.pi]]
    followed.start(bodies(start), rows(1, 1))
    followed.add(bodies(middle, [velocity, [99] * 10]), rows(1, 0))
    followed.add(bodies(end, [[0] * 10, velocity]), rows(1, 1))
    first = [(4 + 2) / 2, 6, 4 - 1, 1 - 2, 3 * math.pi, 5 / 2, 9 / 2, 13 / 2, 5 / 2, (1 / 2 - 1) / 2, (1 / 2 - 1) / 2]
    second = [3, 3, 0, 0, -math.pi - 1, 5, 9, 13, 5, 1 / 2, (1 / 2 - 1) / 2]
    torch.testing.assert_close(followed.values, torch.tensor([first, second]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", envs.TASKS)
def test_every_task_has_a_few_measures_of_finite_numbers(name: str) -> None:
    task, num_envs = TASKS[name](), 5
    assert 2 <= len(task.measures) <= 11
    fields = {*task.fields, *(field for measure in task.measures.values() for field in measure.fields)}
    physics = CEngine(task.model, num_envs, tuple(fields), task.model_fields, 1)
    physics.set_state(np.arange(num_envs), *Resets(task, num_envs, 1, seed=3).take(num_envs))
    followed, everywhere = Measures(task.measures, num_envs, CPU), torch.ones(num_envs, dtype=torch.bool)
    random = np.random.default_rng(7)
    followed.start(physics.fields, everywhere)
    for _ in range(11):
        physics.step(torch.from_numpy(random.uniform(-1, 1, (num_envs, task.model.nu))), task.substeps)
        followed.add(physics.fields, everywhere)
    for measure, named in task.measures.items():
        if measure.endswith(("_cosine", "_contact")) or measure in ("touching", "holding", "grasp", "violations"):
            assert named.range == (-1.0 if measure.endswith("_cosine") else 0.0, 1.0), measure
    values = followed.values
    assert values.shape == (num_envs, len(task.measures)) and values.dtype == torch.float32
    assert values.isfinite().all()
    assert (values.std(0) > 0).any(), "no measure tells these episodes apart"
