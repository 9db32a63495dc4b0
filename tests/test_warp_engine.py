"""MuJoCo Warp against C MuJoCo, control step by control step, and the traps that it sets."""

import mujoco
import numpy as np
import pytest
import torch
import warp as wp

import envs
from envs import warp_runtime
from envs.engines import STATE, CEngine
from envs.resets import Resets
from envs.simulations import ACTUATION
from envs.tasks import TASKS
from envs.tasks.task import place
from envs.warp_engine import WarpEngine

N, STEPS = 7, 20
CPU = torch.device("cpu")
SERVO = """<mujoco>
    <worldbody>
        <body><joint name="hinge"/><geom size=".1" pos=".3 0 0"/><site name="end" pos=".3 0 0"/></body>
    </worldbody>
    <actuator><position joint="hinge" kp="20"/></actuator>
    <sensor><accelerometer site="end"/></sensor>
</mujoco>"""


class Pair:
    """One task on both engines, from the same starts."""

    def __init__(self, name: str, **options: object) -> None:
        self.task, self.warp_task = TASKS[name](), TASKS[name]()
        fields = (*self.task.fields, "qpos", "qvel", "sensordata")
        self.c = CEngine(self.task.model, N, fields, self.task.model_fields, 1)
        self.warp = WarpEngine(self.task.model, N, fields, self.task.model_fields, CPU, **options)
        place(self.warp_task, CPU, torch.float32)
        self.rows = np.arange(N)
        self.starts = Resets(self.task, N, 1, 0).take(N)
        for engine in (self.c, self.warp):
            engine.set_state(self.rows, *self.starts)
        self.random = np.random.default_rng(1)

    def actions(self) -> torch.Tensor:
        return torch.from_numpy(self.random.uniform(-1, 1, (N, self.task.model.nu)))

    def step(self) -> None:
        """Step both from C's present state."""
        action, parameters = self.actions(), self.starts[1]
        self.warp.set_state(self.rows, self.c.state().numpy(), parameters)
        self.c.step(action, self.task.substeps)
        self.warp.step(action.float(), self.task.substeps)

    def differences(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the largest of each environment's observation (N,), and of its reward (N,)."""
        observations = self.task.observe(self.c.fields), self.warp_task.observe(self.warp.fields)
        rewards = self.task.reward(self.c.fields), self.warp_task.reward(self.warp.fields)
        return (observations[0] - observations[1]).abs().amax(1), (rewards[0] - rewards[1]).abs()


@pytest.mark.parametrize(
    ("name", "median", "most"),
    [
        ("cartpole_swingup", 1e-6, 1e-6),  # integrates by Runge-Kutta: Euler would be off by 1e-3
        ("reacher_hard", 5e-6, 1e-5),  # its target is fixed to the world, at another place in each environment
        ("manipulator_bring_peg", 1e-5, 1e-1),  # so is its target, which turns too; its peg falls on the ground
        ("finger_turn_hard", 1e-5, 1e-3),  # its sensors of touch say what the last physics step felt
        ("walker_run", 1e-4, 1e-1),  # now and then a foot touches the ground one physics step earlier or later
    ],
)
def test_a_control_step_is_that_of_c(name: str, median: float, most: float) -> None:
    pair, found = Pair(name), []
    for _ in range(STEPS):
        pair.step()
        found.append(torch.stack(pair.differences()))
    observations, rewards = torch.stack(found, 1).flatten(1)  # (steps * N,) each
    assert observations.median() < median and observations.quantile(0.95) < 10 * median
    assert observations.max() < most
    assert rewards.median() < 2e-6 and rewards.max() < 1e-3


@pytest.mark.parametrize("substeps", [1, 4])
def test_the_sensors_of_touch_say_what_the_last_physics_step_felt(substeps: int) -> None:
    """`step1` of MuJoCo Warp would clear them, and `step2` alone adds to what was there."""
    pair = Pair("hopper_stand")
    pair.task.substeps = substeps
    felt = []
    for _ in range(160 // substeps):
        pair.step()
        felt.append(torch.stack([e.fields["sensordata"].double()[:, pair.task.toe] for e in (pair.c, pair.warp)]))
    c, warp = torch.cat(felt, 1)  # (steps * N, 1) each, newtons
    both = (c > 0) & (warp > 0)
    assert both.sum() > 10 and ((c > 0) == (warp > 0)).double().mean() > 0.98
    assert ((c - warp)[both] / c[both]).abs().median() < 1e-4


def test_a_reset_leaves_the_others_as_they_are() -> None:
    """Bit for bit, sensors and the future included."""
    one, two = Pair("finger_spin"), Pair("finger_spin")
    actions = [one.actions().float() for _ in range(12)]
    for action in actions[:6]:
        one.warp.step(action, one.task.substeps), two.warp.step(action, one.task.substeps)
    state, parameters = one.starts
    one.warp.set_state(np.array([2, 5]), state[[2, 5]], parameters)
    others = torch.tensor([0, 1, 3, 4, 6])
    for action in (None, *actions[6:]):
        for pair in (one, two) if action is not None else ():
            pair.warp.step(action, pair.task.substeps)
        for name, values in one.warp.fields.items():
            assert torch.equal(values[others], two.warp.fields[name][others]), name
    assert not torch.equal(one.warp.fields["qpos"][2], two.warp.fields["qpos"][2])


def test_rows_outside_the_mask_stay() -> None:
    pair = Pair("hopper_hop")
    rows = torch.tensor([True, False, True, True, False, True, True])
    for _ in range(9):
        pair.warp.step(pair.actions().float(), pair.task.substeps)
    before = {name: values.clone() for name, values in pair.warp.fields.items()}
    state = pair.warp.state()
    pair.warp.step(pair.actions().float(), pair.task.substeps, rows.numpy())
    for name in ("qpos", "qvel", "sensordata"):
        assert torch.equal(pair.warp.fields[name][~rows], before[name][~rows]), name
        assert not torch.equal(pair.warp.fields[name][rows], before[name][rows]), name
    after = pair.warp.state()
    assert torch.equal(after[~rows], state[~rows]) and not (after[rows] == state[rows]).all(1).any()


def test_a_state_goes_on_as_it_would_have() -> None:
    one, two = Pair("walker_walk"), Pair("walker_walk")
    for _ in range(11):
        one.warp.step(one.actions().float(), one.task.substeps)
    two.warp.set_state(two.rows, one.warp.state().numpy(), {})
    for _ in range(5):
        action = one.actions().float()
        one.warp.step(action, one.task.substeps), two.warp.step(action, one.task.substeps)
        assert torch.equal(one.warp.state(), two.warp.state())


def test_a_shared_field_of_the_model_is_drawn_when_all_reset(caplog: pytest.LogCaptureFixture) -> None:
    pair = Pair("point_mass_hard")
    assert "keeps wrap_prm once for all environments" in caplog.text
    drawn = pair.starts[1]["wrap_prm"]
    shared = pair.warp.parameters["wrap_prm"][N - 1]
    torch.testing.assert_close(shared, torch.from_numpy(drawn[0]).float())
    pair.warp.set_state(np.array([3]), pair.starts[0][[3]], {"wrap_prm": drawn[[3]]})
    torch.testing.assert_close(shared, torch.from_numpy(drawn[0]).float())
    pair.warp.set_state(pair.rows, pair.starts[0], {"wrap_prm": drawn[::-1]})
    torch.testing.assert_close(shared, torch.from_numpy(drawn[-1]).float())


@pytest.mark.parametrize("room", [{"contacts": 1}, {"constraints": 3}])
def test_lost_contacts_name_the_option(room: dict[str, int]) -> None:
    """A walker that falls makes more contacts and constraint rows than that."""
    (option, count), env = *room.items(), envs.make("walker_stand", N, engine="warp", **room)
    env.reset()
    with pytest.raises(ValueError, match=f"{option} {count} is too little room: .*; raise --{option}"):
        for _ in range(60):
            env.step(torch.zeros(N, 6))


def test_recorded_launches_do_what_the_launches_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """What CUDA runs as graphs, recorded on Warp's CPU device: steps, resets and reading of states."""
    plain = Pair("finger_spin").warp
    monkeypatch.setattr(warp_runtime, "GRAPHS", ("cpu",))
    pair = Pair("finger_spin")
    state, _ = pair.starts
    for turn in range(9):
        action = pair.actions().float()
        plain.step(action, pair.task.substeps), pair.warp.step(action, pair.task.substeps)
        if turn % 4 == 3:
            for engine in (plain, pair.warp):
                engine.set_state(np.array([1, turn % N]), state[[0, 5]], {})
        assert torch.equal(plain.state(), pair.warp.state())
        assert torch.equal(plain.fields["sensordata"], pair.warp.fields["sensordata"])
    assert next(iter(pair.warp._control_steps.values()))._graph is not None


def test_replaced_arrays_are_used_after_recapture() -> None:
    """Gravity upwards lifts the cheetah."""
    pair = Pair("cheetah_run")
    assert pair.warp.model.opt.gravity.numpy()[0, 2] == pytest.approx(-9.81)
    pair.warp.model.opt.gravity = wp.array([[0.0, 0.0, 50.0]], dtype=wp.vec3)
    pair.warp.recapture()
    height = pair.warp.fields["qpos"][:, 1].clone()
    for _ in range(20):
        pair.warp.step(torch.zeros(N, 6), pair.task.substeps)
    assert (pair.warp.fields["qpos"][:, 1] > height + 0.5).all()


def test_the_deterministic_option_reaches_the_model() -> None:
    env = envs.make("pendulum_swingup", 2, engine="warp", deterministic=True)
    assert env._engine.model.opt.deterministic == 7  # contacts, constraints and sums


def test_matrices_have_mujocos_shape() -> None:
    model = TASKS["walker_walk"]().model
    engine = WarpEngine(model, 3, ("xmat", "geom_xmat", "xpos", "subtree_com"), (), CPU)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    for name, values in engine.fields.items():
        expected = getattr(data, name)
        assert values.shape == (3, *expected.shape)
        np.testing.assert_allclose(values[1], expected, atol=1e-6)


def test_each_world_has_its_own_ground() -> None:
    pair = Pair("quadruped_escape")
    ground = pair.warp.parameters["hfield_data"]
    torch.testing.assert_close(ground.double(), torch.from_numpy(pair.starts[1]["hfield_data"]).double())
    away = pair.c.state()
    away[:, 1] += 5 + torch.arange(N)  # x of the torso: rangefinders see bumps that no other world has
    for engine in (pair.c, pair.warp):
        engine.set_state(pair.rows, away.numpy(), {})
    seen = [engine.fields["sensordata"][:, pair.task.rangefinders].double() for engine in (pair.c, pair.warp)]
    torch.testing.assert_close(seen[1], seen[0], rtol=1e-4, atol=1e-3)
    assert (seen[0] - seen[0].roll(1, 0)).abs().amax(1).gt(0.1).all()


@pytest.mark.parametrize("make", [CEngine, WarpEngine])
def test_starts_feel_no_actuators_and_steps_do(make: type) -> None:
    """As in dm_control. A servo at half a radian pulls back by 10 Nm; an accelerometer 0.3 metres out feels it."""
    model = mujoco.MjModel.from_xml_string(SERVO)
    data, state = mujoco.MjData(model), np.empty((1, mujoco.mj_stateSize(model, STATE)))
    data.qpos[0] = 0.5
    mujoco.mj_getState(model, data, state[0], STATE)
    model.opt.disableflags |= ACTUATION
    mujoco.mj_forward(model, data)
    expected = data.sensordata.copy()
    model.opt.disableflags &= ~ACTUATION
    mujoco.mj_forward(model, data)
    assert np.abs(expected - data.sensordata).max() > 1
    engine = make(model, 1, ("sensordata", "qvel"), (), 1 if make is CEngine else CPU)
    engine.set_state(np.arange(1), state, {})
    np.testing.assert_allclose(engine.fields["sensordata"][0], expected, rtol=1e-5, atol=1e-5)
    engine.step(torch.zeros(1, 1), 1)
    mujoco.mj_step(model, data)
    np.testing.assert_allclose(engine.fields["qvel"][0], data.qvel, rtol=1e-5)
