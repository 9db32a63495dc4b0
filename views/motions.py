"""What solutions do, as a page replays it: coordinates of whole episodes, in 16 bits, and where things lie in each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np
import torch
from tensordict import TensorDict
from torch import Tensor

from agents.agent import Policy
from envs.batched import BatchedEnv
from views.blocks import Quantised, packed, quantise

INTERVAL = 0.04  # seconds between recorded rows, or one action where that takes longer: a page draws what lies between
PLACES = ("body_pos", "body_quat", "geom_pos", "site_pos")  # fields of a model that say where something is in its body
LENGTHS = {
    int(mujoco.mjtJoint.mjJNT_FREE): 3,
    int(mujoco.mjtJoint.mjJNT_BALL): 0,
}  # numbers before a joint's quaternion


@dataclass(frozen=True)
class Motion:
    """One episode.

    coordinates  qpos (T, Q), rows at equal intervals from the start
    places       what an environment's model had elsewhere: field -> number -> numbers
    total        the episode's return
    measures     of the whole episode, in the order of the environments'
    """

    coordinates: Quantised
    seconds: float
    """Between two rows."""
    total: float
    measures: tuple[float, ...] = ()
    places: Mapping[str, Mapping[int, list[float]]] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """Return what the page's `interpolate` and `forward` read, in types that JSON has."""
        told = {"seconds": self.seconds, "places": self.places, "total": self.total, "measures": list(self.measures)}
        return {**packed(self.coordinates), **told}


def record(
    policy: Policy, envs: BatchedEnv, seconds: float = 0.0, watch: Callable[[TensorDict], object] | None = None
) -> list[Motion]:
    """Let a policy play one episode in each environment, all together; return what each showed (N,).

    Environment n stands for whatever the policy plays there: an elite, a skill. The policy does not explore.
    seconds: of each episode to record, from the start; 0 records all. Totals and measures are those of the whole.
    watch: sees every timestep (N,), the first included.
    """
    stride = max(1, int(INTERVAL / envs.step_seconds + 1e-9))
    timestep, carry = envs.reset(), policy.initial_carry(envs.num_envs)
    rows, places = [envs.coordinates.cpu().numpy()], [places_of(envs, n) for n in range(envs.num_envs)]
    total = torch.zeros_like(timestep["reward"])  # (N,)
    running = torch.ones_like(timestep["is_last"])  # (N,)
    steps = torch.zeros(envs.num_envs, dtype=torch.int64, device=total.device)
    measures = torch.zeros(envs.num_envs, len(envs.measure_names), device=total.device)  # (N, M)
    played = 0
    if watch is not None:
        watch(timestep)
    while running.any():
        out, carry = policy.act(timestep, carry, explore=False)
        timestep = envs.step(out["action"])
        if watch is not None:
            watch(timestep)
        played += 1
        total += torch.where(running, timestep["reward"], 0)
        steps += running
        if played % stride == 0 and (not seconds or played * envs.step_seconds <= seconds):
            rows.append(envs.coordinates.cpu().numpy())
        if envs.measure_names:
            measures = torch.where(running.unsqueeze(1), timestep["measures"], measures)
        running = running & ~timestep["is_last"]
    track = np.stack(rows, 1)  # (N, T, Q)
    lengths = (steps // stride + 1).tolist()
    return [
        Motion(
            quantise(continuous(track[n, : lengths[n]], envs.model)),
            stride * envs.step_seconds,
            round_to(total[n]),
            tuple(round_to(value) for value in measures[n]),
            places[n],
        )
        for n in range(envs.num_envs)
    ]


def continuous(track: np.ndarray, model: mujoco.MjModel) -> np.ndarray:
    """Choose the signs of quaternions in coordinates (T, Q) so that none jumps: q and -q are the same turn."""
    track = track.astype(np.float64)
    for kind, address in zip(model.jnt_type.tolist(), model.jnt_qposadr.tolist(), strict=True):
        if kind in LENGTHS:
            turn = track[:, address + LENGTHS[kind] :][:, :4]  # (T, 4), a view
            jumps = (turn[1:] * turn[:-1]).sum(1) < 0  # (T-1,)
            turn[1:] *= np.where(jumps.cumsum() % 2 == 1, -1.0, 1.0)[:, None]
    return track


def places_of(envs: BatchedEnv, number: int) -> dict[str, dict[int, list[float]]]:
    """Return what one environment's model has in another place than the model itself."""
    found: dict[str, dict[int, list[float]]] = {}
    for name in PLACES:
        if name not in envs.parameters:
            continue
        usual, own = getattr(envs.model, name), envs.parameters[name].cpu().numpy()
        own = (own[number] if own.ndim > usual.ndim else own).reshape(usual.shape)
        moved = np.flatnonzero(np.abs(own - usual).max(1) > 0)
        if len(moved):
            found[name] = {int(n): [float(f"{value:.7g}") for value in own[n]] for n in moved}
    return found


def round_to(value: Tensor) -> float:
    """Write a number in as many digits as people read."""
    return float(f"{float(value):.6g}")
