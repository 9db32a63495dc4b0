"""What a task is, and what tasks share."""

import warnings
from collections.abc import Callable, Mapping
from typing import Protocol

import mujoco
import numpy as np
import torch
from torch import Tensor

from envs.draws import Draws
from envs.measures import Context, Measure
from envs.signals import Signal

XX, XZ, ZX, ZY, ZZ = 0, 2, 6, 7, 8  # places in a rotation matrix of 9 numbers: row x, column z is XZ
X, Y, Z = 0, 1, 2
HINGE, BALL, FREE = (int(getattr(mujoco.mjtJoint, f"mjJNT_{name}")) for name in ("HINGE", "BALL", "FREE"))
ATTEMPTS = 1000  # draws of a pose before giving up, dm_control's number


class Task(Protocol):
    """One task of one domain, as functions of a context of N environments, on the device and in the type it comes in.

    model           what is simulated; a task may change it before it is used
    substeps        physics steps in a control step
    step_limit      control steps in an episode
    fields          what `observe`, `reward` and `terminal` read of the context
    model_fields    fields of the model that differ between environments, drawn by `reset`
    terminal        context -> (N,) bool: where the episode ends here with no value beyond; None: by time limit alone
    measures        numbers that describe an episode, by name
    signals         what agents' own rewards read of every timestep, by name; `effort` joins them on every task
    controller      only where actions are not shares of the ranges of the controls: see `envs.control`

    Tensors among a task's attributes are constants, which `place` moves to where the context lives. Index fields by
    numbers, slices or such tensors: a list would be copied to the device at every step.
    """

    model: mujoco.MjModel
    substeps: int
    step_limit: int
    fields: tuple[str, ...]
    model_fields: tuple[str, ...]
    terminal: Callable[[Context], Tensor] | None
    measures: Mapping[str, Measure]
    signals: Mapping[str, Signal]

    def observe(self, c: Context) -> Tensor:
        """Return dm_control's observation, flat: (N, O)."""
        ...

    def reward(self, c: Context) -> Tensor:
        """Return the reward of the control step that led here: (N,)."""
        ...

    def reset(self, draws: Draws, random: np.random.Generator) -> None:
        """Draw initial states of all environments of `draws`, which come in the model's default state."""
        ...


Source = tuple[bytes | str, Mapping[str, bytes]]
"""A model as dm_control's `get_model_and_assets` functions give it: XML, and files by name."""


def load(
    source: Source, control_timestep: float | None, time_limit: float, textures: bool = True
) -> tuple[mujoco.MjModel, int, int]:
    """Compile a model of dm_control's suite; return it with its substeps and step limit.

    control_timestep, time_limit: seconds; None makes every physics step a control step. Without `textures` they are a
    pixel each, and the model is small.
    """
    xml, assets = source
    text = xml.decode() if isinstance(xml, bytes) else xml
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dm_control's own models use what is outdated
        spec = mujoco.MjSpec.from_string(text, dict(assets), dict(assets))  # files to include, and meshes
        for texture in () if textures else spec.textures:
            texture.width = texture.height = 1
        model = spec.compile()
    substeps = 1 if control_timestep is None else round(control_timestep / model.opt.timestep)
    return model, substeps, int(np.ceil(round(time_limit / (model.opt.timestep * substeps), 6)))


def place(task: object, device: torch.device, dtype: torch.dtype) -> None:
    """Move the constant tensors of a task, or of its controller, to where an engine's fields live, floating ones in
    its type."""
    for name, value in vars(task).items():
        if isinstance(value, Tensor):
            setattr(task, name, value.to(device, dtype if value.is_floating_point() else value.dtype))


def randomize_joints(draws: Draws, random: np.random.Generator, rows: np.ndarray) -> None:
    """Draw limited joints uniformly in their range and other rotations in all directions, as dm_control does.

    Unlimited slides and the places of free joints stay as they are. The quaternions of free joints have positive parts
    only: dm_control draws them from a cube, and keeps it so for the sake of published results.
    """
    model, qpos, count = draws.model, draws["qpos"], len(rows)
    for joint in range(model.njnt):
        kind, limited = int(model.jnt_type[joint]), bool(model.jnt_limited[joint])
        (low, high), at = model.jnt_range[joint], int(model.jnt_qposadr[joint])
        if kind == BALL:
            qpos[rows, at : at + 4] = rotations(count, high, random) if limited else unit_vectors(count, 4, random)
        elif kind == FREE:
            qpos[rows, at + 3 : at + 7] = unit(random.uniform(size=(count, 4)))
        elif limited or kind == HINGE:
            qpos[rows, at] = random.uniform(low, high, count) if limited else random.uniform(-np.pi, np.pi, count)


def rotations(count: int, limit: float, random: np.random.Generator) -> np.ndarray:
    """Draw quaternions (count, 4) of rotations about any axis by an angle uniform in [0, limit] radians."""
    axes, half = unit_vectors(count, 3, random), random.uniform(0, limit, (count, 1)) / 2
    return np.concatenate([np.cos(half), np.sin(half) * axes], 1)


def unit_vectors(count: int, size: int, random: np.random.Generator) -> np.ndarray:
    """Draw vectors (count, size) uniformly on the unit sphere."""
    return unit(random.standard_normal((count, size)))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale each row to length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def avoid_contacts(draws: Draws, draw: Callable[[np.ndarray], None]) -> None:
    """Draw rows with `draw` until nothing touches; raise RuntimeError if that does not come about."""
    rows = draws.rows
    for _ in range(ATTEMPTS):
        draw(rows)
        rows = rows[draws.contacts(rows) > 0]
        if not len(rows):
            return
    raise RuntimeError(f"no pose without contact in {ATTEMPTS} attempts")


def position(model: mujoco.MjModel, joint: str) -> int:
    """Where a hinge's or slide's position stands in qpos."""
    return int(model.joint(joint).qposadr[0])


def sensor(model: mujoco.MjModel, name: str) -> slice:
    """Where a sensor's values stand in sensordata."""
    start = int(model.sensor(name).adr[0])
    return slice(start, start + int(model.sensor(name).dim[0]))


def control_ranges(model: mujoco.MjModel) -> np.ndarray:
    """Return the least and largest control of each actuator, (A, 2); where there is no limit, -1 and 1: our choice."""
    return np.where(model.actuator_ctrllimited[:, None] == 1, model.actuator_ctrlrange, (-1.0, 1.0))


def velocity(c: Context, body: int, root: int, point: Tensor) -> Tensor:
    """Return the velocity, in world axes, of points (N, 3) that move with a body of the tree of `root`: (N, 3).

    It reads cvel and subtree_com.
    """
    turning, linear = c["cvel"][:, body].split(3, 1)  # cvel is the motion at the centre of mass of the body's tree
    return linear + turning.cross(point - c["subtree_com"][:, root], 1)
