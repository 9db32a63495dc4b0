"""Augmentation of frames."""

import torch
from torch import Tensor


def random_shift(pixels: Tensor, limit: int) -> Tensor:
    """Shift each sequence of frames (B, T, H, W, C) by up to `limit` pixels, one offset a sequence, grey entering.

    DrQ's random shift (arXiv 2004.13649), by slices: no gather and no interpolation. The offsets are drawn on the
    host, so a device is never waited for.
    """
    height, width = pixels.shape[2:4]
    shifted = torch.full_like(pixels, 127)
    for b, (y, x) in enumerate(torch.randint(-limit, limit + 1, (len(pixels), 2)).tolist()):
        source = pixels[b, :, max(-y, 0) : height - max(y, 0), max(-x, 0) : width - max(x, 0)]
        shifted[b, :, max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)] = source
    return shifted
