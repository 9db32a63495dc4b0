"""Strings and springs as MuJoCo draws them: tendons between two sites, straight, or hanging where they are slack."""

from typing import NamedTuple

import mujoco
import numpy as np
import torch
from torch import Tensor

from envs.scene import visible_tendons

PIECES = 16  # of a tendon, each straight
STEPS = 6  # of Newton's method, after which the solution is wrong by 1e-12 of it at most
TAUT = 1 + 1e-6  # least length of what hangs, in distances between its ends


class Capsules(NamedTuple):
    """Where M capsules are in N environments."""

    centre: Tensor  # (N, M, 3) metres
    frame: Tensor  # (N, M, 9), whose third axis is the capsule's
    half_length: Tensor  # (N, M) metres, without the round ends


class Tendons:
    """The T visible tendons of a model: where their pieces are, from where the sites are."""

    def __init__(self, model: mujoco.MjModel, device: torch.device) -> None:
        self.ids = ids = visible_tendons(model)
        ends = model.wrap_objid[model.tendon_adr[ids, None] + np.arange(2)]  # (T, 2) sites
        falls = (
            np.linalg.norm(model.opt.gravity) > 0 and not model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_GRAVITY
        )
        hangs = model.tendon_limited[ids].astype(bool) & (model.tendon_stiffness[ids] == 0) & bool(falls)
        up = -model.opt.gravity / np.linalg.norm(model.opt.gravity) if falls else np.zeros(3)
        self._ends = torch.from_numpy(ends).long().to(device)
        self._hangs = torch.from_numpy(hangs)[:, None, None].to(device)
        self._longest = torch.from_numpy(model.tendon_range[ids, 1]).to(device)  # (T,) metres
        self._up = torch.from_numpy(up).to(device)

    def capsules(self, sites: Tensor) -> Capsules:
        """Place the pieces of all tendons, one tendon after the other; sites: (N, sites, 3)."""
        begin, end = sites.double()[:, self._ends].unbind(2)  # (N, T, 3) each
        fractions = torch.linspace(0, 1, PIECES + 1, dtype=begin.dtype, device=begin.device)  # (P + 1,)
        straight = torch.lerp(begin[:, :, None], end[:, :, None], fractions[:, None])
        curve = torch.where(self._hangs, catenary(begin, end, self._up, self._longest, fractions), straight)
        along = curve.diff(dim=2)  # (N, T, P, 3)
        length = along.norm(dim=-1)
        frame = frames(along / length.clamp(min=1e-9)[..., None])
        centre = (curve[:, :, 1:] + curve[:, :, :-1]) / 2
        return Capsules(centre.flatten(1, 2), frame.flatten(3).flatten(1, 2), length.flatten(1) / 2)


def catenary(begin: Tensor, end: Tensor, up: Tensor, length: Tensor, fractions: Tensor) -> Tensor:
    """Hang strings of `length` (T,) between two points (..., T, 3): points at fractions (P,) of them (..., T, P, 3).

    In the plane of the string its height at a distance x along the ground is b cosh(x / b), from the lowest point on,
    and its length from there b sinh(x / b). Where the ends are further apart than it is long, it is straight.
    """
    across = end - begin
    rise = across @ up  # (..., T)
    ground = across - rise[..., None] * up
    length = torch.maximum(length, across.norm(dim=-1) * TAUT).clamp(min=1e-9)
    run = ground.norm(dim=-1).clamp(min=1e-4 * length)
    ratio = ((length.square() - rise.square()).clamp(min=0).sqrt() / run).clamp(min=TAUT)
    s = torch.where(ratio < 3, (6 * (ratio - 1)).sqrt(), (2 * ratio).log() + (2 * ratio).log().log())
    for _ in range(STEPS):  # sinh(s) = ratio s, in which s = run / (2 b)
        s = s - (s.sinh() - ratio * s) / (s.cosh() - ratio)
    b = (run / (2 * s))[..., None]
    lowest = run[..., None] / 2 - b * (rise / length).clamp(-1 + 1e-12, 1 - 1e-12)[..., None].atanh()
    arc = b * (-lowest / b).sinh() + length[..., None] * fractions  # (..., T, P) from the lowest point
    x, height = lowest + b * (arc / b).asinh(), torch.hypot(b, arc)
    height = height - height[..., :1]
    onward = ground / run[..., None]
    return begin[..., None, :] + x[..., None] * onward[..., None, :] + height[..., None] * up


def frames(z: Tensor) -> Tensor:
    """Complete unit vectors (..., 3) to rotations (..., 3, 3) whose third columns they are (Duff et al. 2017)."""
    sign = torch.where(z[..., 2] < 0, -1.0, 1.0).to(z.dtype)
    a = -1 / (sign + z[..., 2])
    b = z[..., 0] * z[..., 1] * a
    x = torch.stack([1 + sign * z[..., 0].square() * a, sign * b, -sign * z[..., 0]], -1)
    y = torch.stack([b, sign + z[..., 1].square() * a, -z[..., 1]], -1)
    return torch.stack([x, y, z], -1)
