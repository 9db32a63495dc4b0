"""Moving pictures to distract with: generated from a seed, or read from a folder."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs import video_folder

SPLITS = ("train", "held_out")
CLIPS, LENGTH = 40, 100  # clips of a generated set, frames of a clip

MEMORY = 512  # MiB that a bank may take

# Every kind draws its parameters from a NumPy generator, so that the videos are the same on every device.
Draw = np.random.Generator
Kind = Callable[[Draw, int, int, torch.device], Tensor]


class Bank(NamedTuple):
    """Hold videos end to end."""

    frames: Tensor  # (sum of lengths, size, size, 3) uint8
    lengths: Tensor  # (videos,) int64


def procedural(
    seed: int,
    split: str,
    size: int,
    device: torch.device,
    clips: int = CLIPS,
    length: int = LENGTH,
    memory: int = MEMORY,
) -> Bank:
    """Generate `clips` videos of `length` frames, the kinds in turn.

    Each clip has a random stream of its own, named by (seed, split, clip): no two sets share one. Raises ValueError
    if they would take more than `memory` MiB.
    """
    bank = equal(clips, length, size, device, memory)
    for clip, frames in enumerate(bank.frames.unflatten(0, (clips, length))):
        draw = np.random.default_rng([seed, SPLITS.index(split), clip])
        video = list(KINDS.values())[clip % len(KINDS)](draw, length, size, device)  # (length, size, size, 3) in [0, 1]
        frames.copy_(video.clamp_(0, 1).mul_(255).round_())
    return bank


def equal(clips: int, length: int, size: int, device: torch.device, memory: int = MEMORY) -> Bank:
    """Make an empty bank of `clips` videos of `length` frames each; raises ValueError beyond `memory` MiB."""
    need = clips * length * size * size * 3 / 2**20
    if need > memory:
        raise ValueError(
            f"{clips} videos of {length} frames take {need:.0f} MiB at {size}x{size}, more than the {memory} MiB "
            "allowed: use a smaller picture or window"
        )
    frames = torch.empty(clips * length, size, size, 3, dtype=torch.uint8, device=device)
    return Bank(frames, torch.full((clips,), length, device=device))


def from_folder(
    folder: str | Path, split: str, size: int, device: torch.device, memory: int = MEMORY, number: int | None = None
) -> Bank:
    """Read the videos of a folder that belong to `split`; see `video_folder.read` for what it accepts and refuses."""
    videos = video_folder.read(folder, split, size, memory * 2**20, number)
    return Bank(torch.cat(videos).to(device), torch.tensor([len(video) for video in videos], device=device))


def plasma(draw: Draw, length: int, size: int, device: torch.device) -> Tensor:
    """Fold travelling waves into each other and colour them by a cyclic palette."""
    t, y, x = _grid(length, size, device)
    freedom = _uniform(draw, device, (9, 5))
    warp_y, warp_x = y, x
    for wave in range(3):
        ky, kx, speed, phase, depth = freedom[wave]
        angle = 2 * math.pi * ((2 * ky - 1) * 2 * y + (2 * kx - 1) * 2 * x + phase) + (2 * speed - 1) * 0.25 * t
        warp_y, warp_x = warp_y + 0.12 * depth * angle.sin(), warp_x + 0.12 * depth * angle.cos()
    field = torch.zeros(length, size, size, device=device)
    for wave in range(3, 8):
        ky, kx, speed, phase, depth = freedom[wave]
        angle = (36 * ky - 18) * warp_y + (36 * kx - 18) * warp_x + 2 * math.pi * phase + (0.7 * speed - 0.35) * t
        field += (0.3 + 0.7 * depth) * angle.sin()
    hue = freedom[8, :3]
    return 0.5 + 0.5 * torch.cos(1.6 * field[..., None] + 2 * math.pi * hue)


def blobs(draw: Draw, length: int, size: int, device: torch.device) -> Tensor:
    """Let soft coloured discs wander over each other and over a slowly turning gradient."""
    count = int(draw.integers(7, 14))
    t = torch.arange(length, device=device, dtype=torch.float32)[:, None]
    rate, phase = 0.13 * _uniform(draw, device, (2, 2, count)) - 0.065, _uniform(draw, device, (2, 2, count))
    path = (
        0.5
        + 0.35 * torch.sin(rate[0][None] * t[..., None] + 2 * math.pi * phase[0])
        + 0.2 * torch.sin(2.3 * rate[1][None] * t[..., None] + 2 * math.pi * phase[1])
    )  # (length, 2, count)
    radius = 0.06 + 0.14 * _uniform(draw, device, (count,))
    colour = _uniform(draw, device, (count, 3))
    _, y, x = _grid(length, size, device)
    turn = 0.03 * t[..., None] + 2 * math.pi * _uniform(draw, device, (1,))
    mix = 0.5 + 0.7 * ((x - 0.5) * turn.cos() + (y - 0.5) * turn.sin())  # (length, size, size)
    ends = _uniform(draw, device, (2, 3)) * 0.8
    image = ends[0] + (ends[1] - ends[0]) * mix[..., None]
    for blob in range(count):
        square = (y - path[:, 0, blob, None, None]) ** 2 + (x - path[:, 1, blob, None, None]) ** 2
        cover = torch.sigmoid((1 - square / radius[blob] ** 2) * 4)[..., None]
        image = image + (colour[blob] - image) * cover
    return image


def rain(draw: Draw, length: int, size: int, device: torch.device) -> Tensor:
    """Drive three depths of slanting drops past a graded sky that lightning brightens now and then."""
    t, y, x = _grid(length, size, device)
    sky = _uniform(draw, device, (2, 3)) * 0.55
    image = (sky[0] + (sky[1] - sky[0]) * y[..., None]).expand(length, size, size, 3).clone()
    flash = torch.zeros(length, device=device)
    for strike in draw.integers(0, length, 2):
        flash[strike:] += 0.5 * torch.exp(-0.3 * torch.arange(length - strike, device=device))
    image += flash[:, None, None, None]
    slant, drop = float(draw.uniform(-0.5, 0.5)), 0.5 + 0.5 * _uniform(draw, device, (3,))
    for layer in range(3):
        columns = int(size * (0.35, 0.6, 0.9)[layer]) + 1
        speed = (0.055, 0.035, 0.02)[layer] * float(draw.uniform(0.8, 1.3))
        across = (x + slant * y) * columns
        column = torch.remainder(torch.floor(across), columns).long()  # (length?, size, size)
        offset, long = _uniform(draw, device, (2, columns))
        place = torch.remainder(offset[column] - y + speed * t * (0.8 + 0.4 * long[column]), 1.0)
        tail = (1 - place / (0.08 + 0.22 * long[column])).clamp(min=0)
        bright = (0.9, 0.6, 0.35)[layer] * tail * (_uniform(draw, device, (columns,)) < 0.6).float()[column]
        image += (drop - image) * bright[..., None]
    return image


def nbody(draw: Draw, length: int, size: int, device: torch.device) -> Tensor:
    """Integrate glowing bodies that attract each other, with trails."""
    count = int(draw.integers(6, 16))
    place = draw.normal(size=(count, 2)) * 0.26  # the picture is 1 wide, its centre 0
    speed = np.stack([-place[:, 1], place[:, 0]], 1) * draw.uniform(1.5, 3.5) + draw.normal(size=(count, 2)) * 0.15
    mass = draw.uniform(0.2, 1.0, count)
    path = np.empty((length, count, 2))
    for frame in range(length):
        for _ in range(4):
            gap = place[None] - place[:, None]  # (count, count, 2)
            pull = (mass[None, :, None] * gap / (np.square(gap).sum(-1, keepdims=True) + 0.004) ** 1.5).sum(1)
            speed += (0.04 * pull - 5 * place) * 0.01
            place = place + speed * 0.01
        path[frame] = place + 0.5
    path_ = torch.as_tensor(path, dtype=torch.float32, device=device)
    radius = 0.02 + 0.035 * torch.as_tensor(mass, dtype=torch.float32, device=device)[:, None]
    pixel = (torch.arange(size, device=device) + 0.5) / size
    bell_y, bell_x = (torch.exp(-0.5 * ((pixel - path_[..., axis, None]) / radius) ** 2) for axis in (0, 1))
    colour = 0.1 + 0.9 * _uniform(draw, device, (count, 3)) ** 2
    image = torch.einsum("tky,tkx,kc->tyxc", bell_y, bell_x, 2 * colour)
    for frame in range(1, length):
        torch.maximum(image[frame], 0.88 * image[frame - 1], out=image[frame])
    dark = 0.3 * _uniform(draw, device, (3,))
    return dark + (1 - dark) * (1 - torch.exp(-image))


KINDS: dict[str, Kind] = {"plasma": plasma, "blobs": blobs, "rain": rain, "nbody": nbody}


def _grid(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Make time (length, 1, 1), row (1, size, 1) and column (1, 1, size), the last two in [0, 1]."""
    pixel = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) / size
    time = torch.arange(length, device=device, dtype=torch.float32)
    return time[:, None, None], pixel[None, :, None], pixel[None, None, :]


def _uniform(draw: Draw, device: torch.device, shape: tuple[int, ...]) -> Tensor:
    return torch.as_tensor(draw.random(shape), dtype=torch.float32, device=device)
