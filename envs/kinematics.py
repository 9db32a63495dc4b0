"""Serial arms in batches: where joints and tool are, and how the tool moves with the joints, on any device."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Reach(NamedTuple):
    """Where N arms of J joints have their tools, in the frame of the base."""

    place: Tensor  # (N, 3) metres
    turn: Tensor  # (N, 3, 3) rotation matrices
    jacobian: Tensor  # (N, 6, J): linear and angular velocity of the tool for each joint's speed


def links(parameters: Sequence[tuple[float, float, float]]) -> Tensor:
    """Prepare an arm whose links are given in Craig's Denavit-Hartenberg parameters a, d, alpha: (3, J, 4, 4).

    The frame of joint i in that of joint i - 1, at angle q, is cos(q) [0] + sin(q) [1] + [2].
    """
    frames = torch.stack([_fixed(*link) for link in parameters])  # (J, 4, 4)
    cosine, sine, rest = torch.zeros(3, 4, 4, dtype=frames.dtype).unbind()
    cosine[0, 0] = cosine[1, 1] = sine[1, 0] = rest[2, 2] = rest[3, 3] = 1
    sine[0, 1] = -1
    return torch.stack([frames @ part for part in (cosine, sine, rest)])


def _fixed(a: float, d: float, alpha: float) -> Tensor:
    """Turn by alpha about x, go a along x and d along the new z: (4, 4)."""
    c, s = torch.tensor(alpha, dtype=torch.float64).cos(), torch.tensor(alpha, dtype=torch.float64).sin()
    rows = [[1, 0, 0, a], [0, c, -s, -d * s], [0, s, c, d * c], [0, 0, 0, 1]]
    return torch.tensor(rows, dtype=torch.float64)


def forward(links: Tensor, tool: Tensor, angles: Tensor) -> Reach:
    """Follow arms made by `links` at joint angles (N, J) to a tool that is fixed (4, 4) in the last joint's frame."""
    q = angles[..., None, None]  # (N, J, 1, 1)
    local = torch.cos(q) * links[0] + torch.sin(q) * links[1] + links[2]  # (N, J, 4, 4)
    frames = [local[:, 0]]
    for joint in range(1, angles.shape[1]):
        frames.append(frames[-1] @ local[:, joint])
    end = frames[-1] @ tool  # (N, 4, 4)
    joints = torch.stack(frames, 1)  # (N, J, 4, 4)
    axes, arms = joints[..., :3, 2], end[:, None, :3, 3] - joints[..., :3, 3]  # (N, J, 3)
    jacobian = torch.cat([torch.linalg.cross(axes, arms), axes], 2).transpose(1, 2)  # (N, 6, J)
    return Reach(end[:, :3, 3], end[:, :3, :3], jacobian)


def rotation(vector: Tensor) -> Tensor:
    """Return rotation matrices (N, 3, 3) about vectors (N, 3) by their lengths in radians: Rodrigues' formula."""
    angle = vector.norm(dim=1).clamp(min=1e-9)[:, None, None]
    x, y, z = vector.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
    half = (angle / 2).sin() / (angle / 2)
    eye = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return eye + (angle.sin() / angle) * cross + half.square() / 2 * (cross @ cross)


def turned(goal: Tensor, now: Tensor) -> Tensor:
    """Return the vectors (N, 3) about which `now` (N, 3, 3) turns to `goal`; their length is the angle's sine."""
    away = goal @ now.transpose(1, 2)
    parts = [away[:, 2, 1] - away[:, 1, 2], away[:, 0, 2] - away[:, 2, 0], away[:, 1, 0] - away[:, 0, 1]]
    return torch.stack(parts, 1) / 2
