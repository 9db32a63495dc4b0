"""The linear-quadratic regulator, the one task that ends by itself and whose optimum is known."""

import mujoco
import numpy as np
import pytest
import torch
from dm_control import suite
from dm_control.rl.control import Environment
from dm_control.suite import lqr_solver
from torch import Tensor

from envs.engines import STATE, CEngine
from envs.resets import Resets
from envs.tasks import lqr
from envs.tasks.task import unit_vectors

N = 97


def dm_controls(name: str) -> Environment:
    return suite.load("lqr", name.removeprefix("lqr_"), task_kwargs={"random": lqr.SPRINGS_SEED})


@pytest.mark.parametrize("name", lqr.TASKS)
def test_episodes_end_where_dm_controls_do(name: str) -> None:
    """From resting to moving, about the largest norm of the state that counts as arrived."""
    task, environment = lqr.TASKS[name](), dm_controls(name)
    direction, sizes = unit_vectors(1, 2 * task.model.nv, np.random.default_rng(3))[0], (0, 0.99e-6, 1.01e-6, 1)
    states, ended = np.empty((len(sizes), mujoco.mj_stateSize(task.model, STATE))), []
    for state, size in zip(states, sizes, strict=True):
        with environment.physics.reset_context():
            environment.physics.data.qpos[:], environment.physics.data.qvel[:] = np.split(size * direction, 2)
        state[:] = environment.physics.get_state(STATE)
        ended.append(environment.task.get_termination(environment.physics) == 0)
    engine = CEngine(task.model, len(sizes), task.fields, (), 2)
    engine.set_state(np.arange(len(sizes)), states, {})
    assert task.terminal(engine.fields).tolist() == ended == [True, True, False, False]


@pytest.mark.parametrize("name", lqr.TASKS)
def test_optimal_control_costs_what_dm_controls_solver_says_and_stays_in_bounds(name: str) -> None:
    """The costs of steps add up to what the value V(x) = x' P x / 2 loses on the way from x_0 to x_T:

    sum of 1 - reward = V(x_0) - |position_0|^2 / 2 - V(x_T) + |position_T|^2 / 2,
    as a reward counts the positions after its step.
    """
    hessian, gain, _ = (torch.as_tensor(found) for found in lqr_solver.solve(dm_controls(name)))
    task = lqr.TASKS[name]()
    engine = CEngine(task.model, N, task.fields, (), 2)
    engine.set_state(np.arange(N), *Resets(task, N, 2, seed=5).take(N))

    def to_come() -> Tensor:
        state = task.observe(engine.fields)  # (N, positions and velocities)
        return ((state @ hessian * state).sum(1) - engine.fields["qpos"].square().sum(1)) / 2

    before, cost, largest = to_come(), torch.zeros(N), torch.tensor(0.0)
    for _ in range(task.step_limit):
        control = task.observe(engine.fields) @ gain.T
        engine.step(control, task.substeps)
        cost = cost + 1 - task.reward(engine.fields)
        largest = torch.maximum(largest, control.abs().max())
    torch.testing.assert_close(cost, before - to_come(), rtol=1e-9, atol=0)
    assert 5 < largest < lqr.LARGEST_CONTROL
