"""What the C engine leaves out of the physics changes nothing that anybody sees."""

import os

import mujoco
import numpy as np
import pytest
import torch

import envs
from envs import engines
from envs.engines import STATE, CEngine
from envs.renderer import Renderer
from envs.tasks import TASKS

FIELDS = ("xpos", "sensordata")
NUM_ENVS = 3


@pytest.mark.parametrize(
    "name",
    ["walker_walk", "humanoid_walk", "finger_spin", "manipulator_bring_ball", "quadruped_escape", "panda_tabletop"],
)
@pytest.mark.parametrize("many", [NUM_ENVS, NUM_ENVS + 1], ids=["an MjData for each thread", "one for each"])
def test_it_steps_as_plain_mujoco(name: str, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sensors of every kind, one tree of bodies or more, model fields of its own or none, begun anew: bit for bit."""
    monkeypatch.setattr(engines, "MANY", many)
    task = TASKS[name]()
    model, engine = task.model, CEngine(task.model, NUM_ENVS, FIELDS, task.model_fields, 1)
    parameters = {name: values.numpy() for name, values in engine.parameters.items()}
    datas = [mujoco.MjData(model) for _ in range(NUM_ENVS)]
    starts, random = np.zeros((NUM_ENVS, mujoco.mj_stateSize(model, STATE))), np.random.default_rng(0)
    for data, start in zip(datas, starts, strict=True):
        data.qvel[:] = random.uniform(-0.1, 0.1, model.nv)
        mujoco.mj_getState(model, data, start, STATE)
        mujoco.mj_forward(model, data)
    engine.set_state(np.arange(NUM_ENVS), starts, parameters)
    for turn in range(4):
        if turn == 2:  # the last of them begins anew
            mujoco.mj_setState(model, datas[-1], starts[-1], STATE)
            mujoco.mj_forward(model, datas[-1])
            mujoco.mj_setState(model, datas[-1], starts[-1], STATE)
            engine.set_state(np.arange(NUM_ENVS)[-1:], starts[-1:], {k: v[-1:] for k, v in parameters.items()})
        ctrl = random.uniform(-1, 1, (NUM_ENVS, model.nu))
        engine.step(torch.from_numpy(ctrl), task.substeps)
        for n, data in enumerate(datas):
            data.ctrl[:] = ctrl[n]
            mujoco.mj_step(model, data, task.substeps)
            mujoco.mj_step1(model, data)
            for field in ("qpos", *FIELDS):
                found = engine.state()[n, 1 : 1 + model.nq] if field == "qpos" else engine.fields[field][n]
                assert np.array_equal(found.flatten(), getattr(data, field).flatten()), field


def test_threads_are_as_many_as_the_process_has_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5, 7})
    assert envs.make("pendulum_swingup", NUM_ENVS)._engine._batch.nthread == 3
    renderer = Renderer(TASKS["pendulum_swingup"]().model, 12, 8)
    assert len(renderer._rows) == 3
    renderer.close()


def test_the_clock_is_given_back() -> None:
    task = TASKS["walker_walk"]()
    model, data = task.model, mujoco.MjData(task.model)
    engine = CEngine(model, NUM_ENVS, FIELDS, (), 1)
    engine.step(torch.zeros(NUM_ENVS, model.nu), task.substeps)
    mujoco.mj_step(model, data)
    step = int(mujoco.mjtTimer.mjTIMER_STEP)
    timed = [d.timer[step].duration for d in (data, engine._batch.get_data(0))]
    assert timed[0] > 0 and timed[1] == 0
