"""Physics in batches: MuJoCo Warp, on CUDA or on Warp's CPU device."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields as fields_of
from functools import partial
from typing import Any, no_type_check

import mujoco
import mujoco_warp as mjw
import numpy as np
import torch
import warp as wp
from torch import Tensor

from envs import warp_runtime
from envs.engines import STATE
from envs.simulations import ACTUATION

log = logging.getLogger(__name__)

# The bits of MuJoCo Warp's overflow that mean lost contacts, by the option that gives more room.
OVERFLOW = {
    "contacts": mjw.OverflowType.BROADPHASE
    | mjw.OverflowType.NARROWPHASE
    | mjw.OverflowType.CCD
    | mjw.OverflowType.HFIELD,
    "constraints": mjw.OverflowType.NEFC | mjw.OverflowType.NJMAX_NNZ,
}
MOVING = {"body_pos", "body_quat", "geom_pos", "geom_quat"}  # fields of the model that place a shape


@no_type_check  # a kernel is Warp, not Python
@wp.kernel(enable_backward=False)
def _keep_others(
    taken: wp.array[wp.bool],  # (N,)
    before: wp.array2d[float],  # (N, sensors)
    now: wp.array2d[float],  # (N, sensors)
):
    n, sensor = wp.tid()
    if not taken[n]:
        now[n, sensor] = before[n, sensor]


@no_type_check
@wp.kernel(enable_backward=False)
def _place_static(
    moved: wp.array[int],  # geoms
    body: wp.array[int],  # (geoms,)
    position: wp.array2d[wp.vec3],  # (N or 1, geoms) in the body
    quaternion: wp.array2d[wp.quat],  # (N or 1, geoms) w, x, y, z
    xpos: wp.array2d[wp.vec3],  # (N, bodies)
    xmat: wp.array2d[wp.mat33],
    geom_xpos: wp.array2d[wp.vec3],  # (N, geoms)
    geom_xmat: wp.array2d[wp.mat33],
):
    n, k = wp.tid()
    geom = moved[k]
    turn = quaternion[n % quaternion.shape[0], geom]
    frame = xmat[n, body[geom]]
    geom_xpos[n, geom] = xpos[n, body[geom]] + frame * position[n % position.shape[0], geom]
    geom_xmat[n, geom] = frame * wp.quat_to_matrix(wp.quat(turn[1], turn[2], turn[3], turn[0]))


class WarpEngine:
    """N worlds of MuJoCo Warp in float32; see `envs.engines.Engine`. A control step is one CUDA graph.

    Traps of MuJoCo Warp that are stepped around here:
    - `step1` clears the sensors of force and acceleration: what follows from a new state is refreshed piece by piece;
    - `step2` adds touch to what was felt before, so sensors are cleared first, and integrates by Euler where the model
      asks for Runge-Kutta, so such models take whole steps;
    - contacts beyond its buffers are dropped in silence: `lost` tells;
    - shapes that are fixed to the world are placed once: those that a reset moves are placed here.
    A model field that it keeps once for all worlds is drawn anew only when all of them are reset together.
    """

    dtype, skips_rows = torch.float32, False

    def __init__(
        self,
        model: mujoco.MjModel,
        num_envs: int,
        fields: Sequence[str],
        model_fields: Sequence[str],
        device: torch.device,
        contacts: int | None = None,
        constraints: int | None = None,
        deterministic: bool = False,
    ) -> None:
        """Put the model on a device.

        contacts: room for the contacts of a world, on average over the worlds; constraints: room for the constraint
        rows of each world; None takes MuJoCo Warp's guess. deterministic: the same bits in every run; on
        CUDA where no contact or limit acts, as MuJoCo Warp 3.17 does not order constraints yet.
        """
        warp_runtime.start()
        self.device = device
        self._runge_kutta = model.opt.integrator == int(mujoco.mjtIntegrator.mjINT_RK4)
        self._shared = [name for name in model_fields if not is_batched(name) and name != "hfield_data"]
        for name in self._shared:
            log.warning("MuJoCo Warp keeps %s once for all environments: it is drawn when all are reset together", name)
        own = {name: num_envs for name in model_fields if is_batched(name)}
        with warp_runtime.scope(device):
            self.model = mjw.put_model(model, batch_sizes=own)
            if "hfield_data" in model_fields:
                own_terrain(self.model, model, num_envs)
            self.model.opt.warn_overflow = 0  # BatchedEnv says it
            self.model.opt.deterministic = deterministic
            self.data = mjw.make_data(model, nworld=num_envs, nconmax=contacts, njmax=constraints)
            self._given = wp.zeros((num_envs, mujoco.mj_stateSize(model, STATE)), dtype=float)
            self._taken = wp.zeros(num_envs, dtype=wp.bool)
            self._sensors_before = wp.zeros_like(self.data.sensordata)
            self._moved: wp.array = wp.array(static_geoms(model) if MOVING & own.keys() else [], dtype=int)
        self.parameters = {}
        for name in model_fields:
            view = wp.to_torch(getattr(self.model, name))
            shape = (num_envs, *view.shape) if name in self._shared else (num_envs, *np.shape(getattr(model, name)))
            self.parameters[name] = view.expand(shape) if name in self._shared else view.view(shape)
        self.fields = {name: flat_matrices(getattr(self.data, name)) for name in fields}
        self._ctrl = wp.to_torch(self.data.ctrl)  # (N, A)
        self._sensors = wp.to_torch(self.data.sensordata)  # (N, sensors)
        self._overflow = wp.to_torch(self.data.overflow)  # (N,) int32, bits of OVERFLOW
        self.room = {"contacts": self.data.naconmax // num_envs, "constraints": self.data.njmax}
        self._given_, self._taken_ = wp.to_torch(self._given), wp.to_torch(self._taken)
        self._control_steps: dict[int, warp_runtime.Graph] = {}  # by their number of substeps
        self._taking = warp_runtime.Graph(self._launch_taking, device)
        self._reading = warp_runtime.Graph(self._launch_reading, device)
        self._run(self._taking)

    def step(self, ctrl: Tensor, substeps: int, rows: np.ndarray | None = None) -> None:
        """See `Engine`. All worlds are stepped; those outside the mask are put back."""
        if rows is not None:
            state, sensors, others = self.state(), self._sensors.clone(), self._upload(~rows)
        self._ctrl.copy_(ctrl)
        if substeps not in self._control_steps:
            self._control_steps[substeps] = warp_runtime.Graph(partial(self._launch_step, substeps), self.device)
        self._run(self._control_steps[substeps])
        if rows is not None:
            self._take(state, others)
            self._sensors.copy_(torch.where(others.unsqueeze(1), sensors, self._sensors))

    def state(self) -> Tensor:
        """See `Engine`."""
        self._run(self._reading)
        return self._given_.clone()

    def set_state(self, rows: np.ndarray, state: np.ndarray, parameters: Mapping[str, np.ndarray]) -> None:
        """See `Engine`."""
        index = self._upload(rows)
        for name, values in parameters.items():
            own = self.parameters[name]
            if name not in self._shared:
                own.index_copy_(0, index, self._upload(values).reshape(len(rows), *own.shape[1:]))
            elif len(rows) == len(self._given_):
                own[0].copy_(self._upload(values[0]).reshape(own[0].shape))
        self._take(
            self._given_.index_copy(0, index, self._upload(state)),
            torch.zeros_like(self._taken_).index_fill_(0, index, True),
        )

    def lost(self) -> tuple[Tensor, ...]:
        """See `Engine`."""
        return tuple((self._overflow & int(bits) != 0).any() for bits in OVERFLOW.values())

    def recapture(self) -> None:
        """Record the CUDA graphs anew: to be called when an array of `model` or `data` was replaced by another."""
        for graph in (*self._control_steps.values(), self._taking, self._reading):
            graph.forget()

    def _take(self, state: Tensor, rows: Tensor) -> None:
        """Put the worlds where the mask (N,) is set into states (N, S); the others stay, with all their fields."""
        self._given_.copy_(state)
        self._taken_.copy_(rows)
        self._run(self._taking)

    def _run(self, graph: warp_runtime.Graph) -> None:
        with warp_runtime.scope(self.device):
            graph()

    def _launch_step(self, substeps: int) -> None:
        if self._runge_kutta:
            mjw.step(self.model, self.data)
        else:
            self.data.sensordata.zero_()  # sensors of touch add to what is there
            mjw.step2(self.model, self.data)
        for _ in range(substeps - 1):
            mjw.step(self.model, self.data)
        mjw.fwd_position(self.model, self.data)
        mjw.sensor_pos(self.model, self.data)
        mjw.fwd_velocity(self.model, self.data)
        mjw.sensor_vel(self.model, self.data)

    def _launch_taking(self) -> None:
        wp.copy(self._sensors_before, self.data.sensordata)
        mjw.set_state(self.model, self.data, self._given, STATE, self._taken)
        if self._moved.size:
            mjw.kinematics(self.model, self.data)
            model, data = self.model, self.data
            frames = [model.geom_pos, model.geom_quat, data.xpos, data.xmat]
            wp.launch(
                _place_static,
                dim=(data.nworld, self._moved.size),
                inputs=[self._moved, model.geom_bodyid, *frames],
                outputs=[data.geom_xpos, data.geom_xmat],
            )
        self.model.opt.disableflags |= ACTUATION
        mjw.forward(self.model, self.data)
        self.model.opt.disableflags &= ~ACTUATION
        # What others felt in their last step does not follow from their state alone.
        wp.launch(
            _keep_others,
            dim=self.data.sensordata.shape,
            inputs=[self._taken, self._sensors_before],
            outputs=[self.data.sensordata],
        )

    def _launch_reading(self) -> None:
        mjw.get_state(self.model, self.data, self._given, STATE)

    def _upload(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        tensor = tensor.float() if tensor.is_floating_point() else tensor
        return tensor.to(self.device, non_blocking=True)


def static_geoms(model: mujoco.MjModel) -> np.ndarray:
    """Number the geoms of bodies that are welded to the world."""
    return np.flatnonzero(model.body_weldid[model.geom_bodyid] == 0)


def is_batched(name: str) -> bool:
    """Whether MuJoCo Warp can keep a field of the model for each world."""
    specifications: dict[str, Any] = {field.name: field.type for field in fields_of(mjw.Model)}
    return specifications[name].shape[0] == "*"


def flat_matrices(array: wp.array) -> Tensor:
    """View an array of MuJoCo Warp as MuJoCo shapes it: matrices (N, k, 3, 3) are (N, k, 9)."""
    tensor = wp.to_torch(array)
    return tensor.flatten(-2) if array.dtype is wp.mat33 else tensor


def own_terrain(model: mjw.Model, of: mujoco.MjModel, num_envs: int) -> None:
    """Give each world of MuJoCo Warp a terrain of its own: its `hfield_data` then holds N times those of the model.

    MuJoCo Warp keeps terrain once for all worlds, but says for each world which terrain a shape is.
    """
    assert of.nhfield == 1, f"a model with {of.nhfield} terrains"
    model.nhfield, model.nhfielddata = num_envs, num_envs * of.nhfielddata
    for name in ("hfield_size", "hfield_nrow", "hfield_ncol", "hfield_data"):
        array = getattr(model, name)
        setattr(model, name, wp.array(np.concatenate([array.numpy()] * num_envs), dtype=array.dtype))
    model.hfield_adr = wp.array(np.arange(num_envs) * of.nhfielddata, dtype=int)
    terrain = of.geom_type == int(mujoco.mjtGeom.mjGEOM_HFIELD)  # (geoms,)
    dataid = np.where(terrain, np.arange(num_envs)[:, None], of.geom_dataid)  # (N, geoms)
    model.geom_dataid = wp.array(dataid, dtype=int)
