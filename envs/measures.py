"""Numbers that describe a whole episode, by which skills and archives tell behaviours apart."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import mujoco
import torch
from torch import Tensor

Context = Mapping[str, Tensor]
KINDS = ("mean", "maximum", "change")
TOUCHING = 0.01  # metres between the lowest point of a shape and the ground: our choice


class Measure(NamedTuple):
    """One number for an episode, made of what `read` says after each of its control steps.

    read    a context's (N, ...) fields -> (N,)
    fields  what it reads of the context
    over    "mean" of the steps, "maximum" of the start and the steps, or "change" from the start to the last step
    range   its least and largest value; None where nothing bounds it
    """

    read: Callable[[Context], Tensor]
    fields: tuple[str, ...]
    over: Literal["mean", "maximum", "change"] = "mean"
    range: tuple[float, float] | None = None


class Measures:
    """Follow the measures of N running episodes, on the device of the physics: (N, M), in the order of `names`."""

    def __init__(self, measures: Mapping[str, Measure], num_envs: int, device: torch.device) -> None:
        self.names, self.ranges = tuple(measures), tuple(measure.range for measure in measures.values())
        self.kinds = tuple(measure.over for measure in measures.values())
        self.fields = tuple(field for measure in measures.values() for field in measure.fields)
        self._measures = tuple(measures.values())
        float32: Any = {"dtype": torch.float32, "device": device}
        self._first, self._sum, self._maximum, self._latest = torch.zeros(4, num_envs, len(measures), **float32)
        self._count = torch.zeros(num_envs, 1, **float32)  # control steps
        self._kinds = {kind: torch.tensor([each == kind for each in self.kinds], device=device) for kind in KINDS}

    def start(self, c: Context, rows: Tensor) -> None:
        """Begin anew in the rows (N,) bool whose context is an episode's first."""
        values, rows = self._read(c), rows.unsqueeze(1)  # (N, M), (N, 1)
        self._first = torch.where(rows, values, self._first)
        self._latest = torch.where(rows, values, self._latest)
        self._maximum = torch.where(rows, values, self._maximum)
        self._sum = torch.where(rows, 0.0, self._sum)
        self._count = torch.where(rows, 0.0, self._count)

    def add(self, c: Context, rows: Tensor | None = None) -> None:
        """Take in one control step of the rows (N,) bool, by default of all."""
        values = self._read(c)  # (N, M)
        most, added = torch.maximum(self._maximum, values), values
        steps: Tensor | int = 1
        if rows is not None:
            steps = rows.unsqueeze(1)  # (N, 1)
            most, added = torch.where(steps, most, self._maximum), torch.where(steps, values, 0.0)
            values = torch.where(steps, values, self._latest)
        self._sum += added
        self._count += steps
        self._maximum, self._latest = most, values

    @property
    def readings(self) -> Tensor:
        """What was read last, (N, M) float32, of which `values` are made."""
        return self._latest

    @property
    def values(self) -> Tensor:
        """The measures of each episode so far (N, M) float32; of a whole one where it has just ended."""
        mean, change = self._sum / self._count.clamp(min=1), self._latest - self._first  # (N, M)
        return torch.where(self._kinds["mean"], mean, torch.where(self._kinds["maximum"], self._maximum, change))

    def state_dict(self) -> dict[str, Any]:
        """Return what the running episodes have shown so far."""
        return {name: getattr(self, name).clone() for name in ("_first", "_sum", "_maximum", "_latest", "_count")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state` was taken."""
        if state["_sum"].shape != self._sum.shape:
            raise ValueError(
                f"the state is of {state['_sum'].shape[1]} measures, these environments have {len(self.names)}"
            )
        for name, value in state.items():
            setattr(self, name, value.to(self._sum.device, copy=True))

    def _read(self, c: Context) -> Tensor:
        return torch.stack([measure.read(c) for measure in self._measures], 1).to(torch.float32)  # (N, M)


def height(model: mujoco.MjModel, body: str, over: Literal["mean", "maximum", "change"] = "mean") -> Measure:
    """Height of a body's frame, in metres."""
    number = model.body(body).id
    return Measure(lambda c: c["xpos"][:, number, 2], ("xpos",), over)


def displacement(model: mujoco.MjModel, body: str, axis: int) -> Measure:
    """How far a body's frame has come along a world axis, in metres."""
    number = model.body(body).id
    return Measure(lambda c: c["xpos"][:, number, axis], ("xpos",), "change")


def turn(model: mujoco.MjModel, hinge: str) -> Measure:
    """How far a hinge has turned, in radians, whole turns included."""
    number = int(model.joint(hinge).qposadr[0])
    return Measure(lambda c: c["qpos"][:, number], ("qpos",), "change")


def speed(model: mujoco.MjModel, *joints: str) -> Measure:
    """Speed of joints taken together, in metres a second for slides and in radians a second for hinges.

    A free joint counts by its three linear velocities.
    """
    dofs: list[int] = []
    for joint in map(model.joint, joints):
        linear = 3 if joint.type[0] == int(mujoco.mjtJoint.mjJNT_FREE) else 1
        dofs += range(joint.dofadr[0], joint.dofadr[0] + linear)
    return Measure(lambda c: torch.stack([c["qvel"][:, dof] for dof in dofs], 1).norm(dim=1), ("qvel",))


def upright(model: mujoco.MjModel, *bodies: str) -> Measure:
    """Cosine of the angle between a body's z axis and the world's, its mean if there are several bodies."""
    numbers = [model.body(body).id for body in bodies]
    read = lambda c: torch.stack([c["xmat"][:, number, 8] for number in numbers], 1).mean(1)  # noqa: E731
    return Measure(read, ("xmat",), range=(-1.0, 1.0))


def ground_contact(model: mujoco.MjModel, geom: str) -> Measure:
    """Fraction of the steps in which a sphere or a capsule touches the plane z = 0."""
    number = model.geom(geom).id
    kind, (radius, half, _) = model.geom_type[number], model.geom_size[number].tolist()
    assert kind in (int(mujoco.mjtGeom.mjGEOM_SPHERE), int(mujoco.mjtGeom.mjGEOM_CAPSULE)), f"{geom} is another shape"
    half = half if kind == int(mujoco.mjtGeom.mjGEOM_CAPSULE) else 0.0

    def read(c: Context) -> Tensor:
        lowest = c["geom_xpos"][:, number, 2] - half * c["geom_xmat"][:, number, 8].abs() - radius  # 8: axis z, world z
        return (lowest < TOUCHING).to(lowest.dtype)

    return Measure(read, ("geom_xpos", "geom_xmat"), range=(0.0, 1.0))


def touch(model: mujoco.MjModel, *sensors: str) -> Measure:
    """Fraction of the steps in which anything presses on any of some sensors of touch."""
    places = [int(model.sensor(sensor).adr[0]) for sensor in sensors]

    def read(c: Context) -> Tensor:
        pressed = torch.stack([c["sensordata"][:, place] for place in places], 1)  # (N, sensors) newtons
        return (pressed > 0).any(1).to(pressed.dtype)

    return Measure(read, ("sensordata",), range=(0.0, 1.0))


def horizontal_speed(model: mujoco.MjModel, joint: str) -> Measure:
    """Horizontal speed of the body on a free joint, in metres a second."""
    start = int(model.joint(joint).dofadr[0])
    return Measure(lambda c: c["qvel"][:, start : start + 2].norm(dim=1), ("qvel",))
