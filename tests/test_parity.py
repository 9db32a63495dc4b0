"""Every task against dm_control: the same numbers from the same states under the same actions, and the same starts."""

import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch
from dm_control.mujoco import Physics
from dm_control.rl.control import Environment
from dm_control.suite.utils.randomizers import randomize_limited_and_rotational_joints
from oracle import dm_control
from scipy.stats import ks_2samp

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import peers

import envs
from envs.draws import Draws
from envs.engines import CEngine
from envs.resets import Resets
from envs.tasks import TASKS
from envs.tasks.task import BALL, FREE, HINGE, Z, randomize_joints, unit_vectors

STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)
NUM_ENVS, STEPS, RESETS, POSES = 2, 60, 150, 600
SLOW_TO_RESET = ("humanoid_CMU", "quadruped")  # in dm_control
SLOW_TO_POSE = ("dog", *SLOW_TO_RESET)
# Domains whose tasks draw in dm_control's order.
SAME_ORDER = [name for name in envs.SUITE if name.startswith(("dog", "manipulator", "stacker"))]
JOINTS = """<mujoco><worldbody>
    <body><joint name="free" type="free"/><geom size=".1"/>
        <body><joint name="ball" type="ball"/><geom size=".1"/></body>
        <body><joint name="limited ball" type="ball" limited="true" range="0 70"/><geom size=".1"/></body>
        <body><joint name="hinge" type="hinge"/><geom size=".1"/></body>
        <body><joint name="limited hinge" type="hinge" limited="true" range="-30 80"/><geom size=".1"/></body>
        <body><joint name="slide" type="slide"/><geom size=".1"/></body>
        <body><joint name="limited slide" type="slide" limited="true" range="-2 1"/><geom size=".1"/></body>
    </body>
</worldbody></mujoco>"""
pytestmark = pytest.mark.usefixtures("without_opengl")


class DmControlsRandom(np.random.RandomState):
    """dm_control's random numbers under the names of NumPy's present generators."""

    integers = np.random.RandomState.randint


@pytest.mark.parametrize("name", ["ball_in_cup_catch", "humanoid_CMU_run", "point_mass_easy"])
def test_peers_find_tasks_whose_domain_has_an_underscore(name: str) -> None:
    env = peers.DmControl(name, pixels=False)
    assert env.reset()[0].shape == env.observation_space.shape


def fewer(name: str, count: int, slow: tuple[str, ...]) -> int:
    """Return a fifth of a count for slow domains."""
    return count // 5 if name.startswith(slow) else count


def flat(observation: dict) -> np.ndarray:
    return np.concatenate([np.ravel(value) for value in observation.values()])


def copy_to_engine(engine: CEngine, environments: list[Environment]) -> None:
    """Put dm_control's present states, and the parts of its models that a reset changes, into an engine."""
    states = np.stack([environment.physics.get_state(STATE) for environment in environments])
    parameters = {
        name: np.stack([getattr(environment.physics.model, name) for environment in environments]).reshape(values.shape)
        for name, values in engine.parameters.items()
    }
    engine.set_state(np.arange(engine.num_envs), states, parameters)


@pytest.mark.parametrize("name", envs.SUITE)
def test_steps_as_dm_control(name: str) -> None:
    """Equal bit for bit, but where numbers are added in another order or logarithms are another library's."""
    task = TASKS[name]()
    engine = CEngine(task.model, NUM_ENVS, task.fields, task.model_fields, 2)
    environments = [dm_control(name, seed) for seed in range(NUM_ENVS)]
    begun = [environment.reset() for environment in environments]
    assert task.model.nu == environments[0].action_spec().shape[0]
    copy_to_engine(engine, environments)
    expected = np.stack([flat(first.observation) for first in begun])
    np.testing.assert_allclose(task.observe(engine.fields), expected, rtol=1e-15, atol=1e-14)

    random, action = np.random.default_rng(5), np.zeros((NUM_ENVS, task.model.nu))
    for step in range(STEPS):
        if step % 5 == 0:  # held for a while, so that bodies get somewhere
            action = random.uniform(-1, 1, action.shape)
        engine.step(torch.from_numpy(action), task.substeps)
        timesteps = [environment.step(one) for environment, one in zip(environments, action, strict=True)]
        observations = np.stack([flat(timestep.observation) for timestep in timesteps])
        rewards = np.array([timestep.reward for timestep in timesteps])
        np.testing.assert_allclose(task.observe(engine.fields), observations, rtol=1e-15, atol=1e-14)
        np.testing.assert_allclose(task.reward(engine.fields), rewards, rtol=0, atol=1e-14)
        ended = np.zeros(NUM_ENVS, bool) if task.terminal is None else task.terminal(engine.fields).numpy()
        np.testing.assert_array_equal(ended, [timestep.discount == 0 for timestep in timesteps])


def pose(model: mujoco.MjModel, random: np.random.Generator) -> np.ndarray:
    """Draw joint positions that random actions from dm_control's starts would hardly reach: upright, at targets."""
    qpos = model.qpos0.copy()
    for joint in range(model.njnt):
        kind, at = model.jnt_type[joint], model.jnt_qposadr[joint]
        if kind == BALL:
            qpos[at : at + 4] = unit_vectors(1, 4, random)
        elif kind == FREE:
            height = qpos[at + Z] * random.uniform(0.5, 2)  # not deep in the ground
            qpos[at : at + 7] = [*random.uniform(-0.3, 0.6, 2), height, *unit_vectors(1, 4, random)[0]]
        else:
            free = (-np.pi, np.pi) if kind == HINGE else (-0.3, 0.6)
            low, high = model.jnt_range[joint] if model.jnt_limited[joint] else free
            qpos[at] = random.uniform(low, high)
    return qpos


@pytest.mark.parametrize("name", envs.SUITE)
def test_rewards_anywhere_as_dm_controls(name: str) -> None:
    task, environment, random = TASKS[name](), dm_control(name, 2), np.random.default_rng(7)
    rare = name == "ball_in_cup_catch"  # hardly ever is a ball in its cup by chance
    poses = 5 * POSES if rare else fewer(name, POSES, SLOW_TO_POSE)
    engine = CEngine(task.model, poses, task.fields, task.model_fields, 2)
    states, rewards, parameters = [], [], {field: [] for field in engine.parameters}
    for k in range(poses):
        if k % 10 == 0:
            environment.reset()  # another target
        with environment.physics.reset_context():
            environment.physics.data.qpos[:] = pose(task.model, random)
            environment.physics.data.qvel[:] = 10 * random.standard_normal(task.model.nv)
        states.append(environment.physics.get_state(STATE))
        rewards.append(environment.task.get_reward(environment.physics))
        for field, values in parameters.items():
            values.append(getattr(environment.physics.model, field).copy())
    stacked = {field: np.stack(values).reshape(engine.parameters[field].shape) for field, values in parameters.items()}
    engine.set_state(np.arange(poses), np.stack(states), stacked)
    np.testing.assert_allclose(task.reward(engine.fields), rewards, rtol=0, atol=1e-13)
    assert np.ptp(rewards) > 0, "no pose was rewarded"


@pytest.mark.parametrize("name", envs.SUITE)
def test_episodes_are_as_long_as_dm_controls(name: str) -> None:
    steps = dm_control(name, 0)._step_limit
    assert TASKS[name]().step_limit == (steps if np.isfinite(steps) else 1000)  # our choice, for lqr alone


@pytest.mark.parametrize("name", envs.SUITE)
def test_starts_are_distributed_as_dm_controls(name: str) -> None:
    """Kolmogorov-Smirnov tests of every coordinate of the state and of every part of the model that is drawn.

    Of terrain, which has very many parts, some hundred that are spread over it.
    """
    task, environment, resets = TASKS[name](), dm_control(name, 1), fewer(name, RESETS, SLOW_TO_RESET)

    def start(state: np.ndarray, *drawn: np.ndarray) -> np.ndarray:
        return np.concatenate([state, *(values.ravel()[:: 1 + values.size // 101] for values in drawn)])

    states, parameters = Resets(task, 7, 2, seed=3).take(resets)
    ours = np.stack([start(*one) for one in zip(states, *parameters.values(), strict=True)])
    theirs = np.empty_like(ours)
    for row in range(resets):
        environment.reset()
        drawn = [getattr(environment.physics.model, field) for field in parameters]
        theirs[row] = start(environment.physics.get_state(STATE), *drawn)
    for column, (one, two) in enumerate(zip(ours.T, theirs.T, strict=True)):
        if np.ptp(one) < 1e-9 and np.ptp(two) < 1e-9:
            assert abs(one[0] - two[0]) < 1e-9, f"{name}: state {column} is {one[0]}, not {two[0]}"
        else:
            assert ks_2samp(one, two).pvalue > 1e-4, f"{name}: state {column}"


@pytest.mark.parametrize("name", SAME_ORDER)
def test_the_same_random_numbers_give_dm_controls_starts(name: str) -> None:
    task, random = TASKS[name](), DmControlsRandom(17)
    environment, draws = dm_control(name, 17), Draws(task.model, 1, 1, task.model_fields)
    for _ in range(101):
        environment.reset()
        draws.clear()
        task.reset(draws, random)
        physics = environment.physics
        for field in ("qpos", "qvel", "act"):
            np.testing.assert_allclose(draws[field][0], getattr(physics.data, field), rtol=1e-14, atol=1e-15)
        for field in task.model_fields:
            np.testing.assert_allclose(draws[field][0], getattr(physics.model, field), rtol=1e-14, atol=1e-15)


def test_joints_of_every_kind_are_drawn_as_dm_controls() -> None:
    """Kolmogorov-Smirnov tests of every coordinate, and of the products of two, which tell how they go together."""
    physics, random = Physics.from_xml_string(JOINTS), np.random.RandomState(11)
    draws, count = Draws(physics.model.ptr, 1009, 2, ()), 997
    randomize_joints(draws, np.random.default_rng(13), draws.rows[:count])
    ours, theirs = draws["qpos"][:count].copy(), np.empty((count, physics.model.nq))
    for k in range(count):
        randomize_limited_and_rotational_joints(physics, random)
        theirs[k] = physics.data.qpos
    np.testing.assert_array_equal(draws["qpos"][count:], np.tile(physics.model.qpos0, (1009 - count, 1)))
    i, j = np.triu_indices(physics.model.nq)
    ours_and_theirs = (np.hstack([qpos, qpos[:, i] * qpos[:, j]]).T for qpos in (ours, theirs))
    for column, (one, two) in enumerate(zip(*ours_and_theirs, strict=True)):
        assert np.array_equal(one, two) or ks_2samp(one, two).pvalue > 1e-4, f"coordinate or product {column}"
    for quaternion in (slice(3, 7), slice(7, 11), slice(11, 15)):
        np.testing.assert_allclose(np.linalg.norm(ours[:, quaternion], axis=1), 1, rtol=1e-15)
