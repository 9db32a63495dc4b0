"""What the first of several environments shows, as an animated picture."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from PIL import Image
from tensordict import TensorDict
from torch import Tensor

from agents.runs.tensor_folder import replace

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
        save_gif(images, path, seconds)
        return path.name


def save_gif(pictures: Sequence[Image.Image], path: Path, seconds: float) -> None:
    """Write pictures, `seconds` apart, as an endless GIF."""
    first, *others = pictures
    duration, file = max(20, round(1000 * seconds)), BytesIO()  # ms; viewers slow down below 20
    first.save(file, "GIF", save_all=True, append_images=others, duration=duration, loop=0)
    replace(path, file.getvalue())
