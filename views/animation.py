"""What the first of several environments shows, as an animated picture."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from tensordict import TensorDict
from torch import Tensor

FRAMES, SCALE = 125, 3  # of an animated picture: its longest, and its enlargement


@dataclass
class Frames:
    """Keep the frames that the first environment shows."""

    frames: list[Tensor] = field(default_factory=list)  # (size, size, 3) uint8

    def take(self, row: TensorDict) -> None:
        """Look at rows (N,)."""
        if len(self.frames) < FRAMES:
            self.frames.append(row["pixels"][0].cpu())

    def save(self, path: Path, seconds: float) -> str:
        """Write the frames, `seconds` apart, as an endless GIF; return its name."""
        images = [Image.fromarray(frame.numpy()) for frame in self.frames]
        images = [
            image.resize((image.width * SCALE, image.height * SCALE), Image.Resampling.NEAREST) for image in images
        ]
        aside = path.with_suffix(".gif.unfinished")
        duration = max(20, round(1000 * seconds))  # ms; viewers slow down below 20
        images[0].save(aside, "GIF", save_all=True, append_images=images[1:], duration=duration, loop=0)
        os.replace(aside, path)
        return path.name
