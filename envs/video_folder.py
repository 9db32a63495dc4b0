"""Read a user's folder of videos: subfolders of images, animated images, and what FFmpeg decodes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageSequence, UnidentifiedImageError
from torch import Tensor

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")
ANIMATIONS = (".gif", ".webp", ".apng")
FILMS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
HELD_OUT_SHARE = 5  # on average, one video in five is held out


def read(folder: str | Path, split: str, size: int, limit: int, number: int | None = None) -> list[Tensor]:
    """Read the videos of one split, or its first `number` -> one (frames, size, size, 3) uint8 for each.

    A video is a file, or a subfolder of images in the order of their names. Frames are cropped to their central
    square and averaged down. Raises FileNotFoundError where there is no folder, ValueError where there are fewer than
    two videos (they could not be split), where one cannot be read, and as soon as they exceed `limit` bytes.
    """
    videos, total = [], 0
    for path in choose(folder, split)[:number]:
        frames = []
        for frame in _frames(path, size):
            frames.append(torch.from_numpy(frame))
            total += frame.nbytes
            if total > limit:
                raise ValueError(
                    f"the {split} videos of {str(folder)!r} take more than {limit / 2**20:.0f} MiB at {size}x{size}: "
                    "use fewer or shorter ones, or a smaller picture or window"
                )
        if len(frames) < 2:
            raise ValueError(f"video {str(path)!r} does not move: it has {len(frames)} frames, and needs at least 2")
        videos.append(torch.stack(frames))
    return videos


def choose(folder: str | Path, split: str) -> list[Path]:
    """List the videos of one split, by a hash of each one's name: the same on every machine, never in both splits.

    A video stays in its split when others come or go, but where a split would be left without any.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"video folder {str(folder)!r} does not exist or is not a folder")
    found = [path for path in folder.iterdir() if _is_video(path)]
    if not found:
        raise ValueError(
            f"video folder {str(folder)!r} holds no video: expected subfolders of images, "
            f"or files ending in {', '.join(ANIMATIONS + FILMS)}"
        )
    if len(found) == 1:
        raise ValueError(
            f"video folder {str(folder)!r} holds only one video, {found[0].name!r}: "
            "at least two are needed, so that training and held-out videos differ"
        )
    found.sort(key=_hash)
    held_out = [path for path in found if _hash(path) % HELD_OUT_SHARE == 0]
    held_out = held_out[: len(found) - 1] or found[:1]  # neither all nor none
    return sorted(held_out if split == "held_out" else set(found) - set(held_out))


def _hash(path: Path) -> int:
    return int.from_bytes(hashlib.sha256(path.name.encode()).digest())


def _is_video(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return bool(_images(path)) if path.is_dir() else path.suffix.lower() in ANIMATIONS + FILMS


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES and not path.name.startswith("."))


def _frames(path: Path, size: int) -> Iterator[np.ndarray]:
    """Yield the frames of one video, (size, size, 3) uint8 each."""
    file = path
    try:
        if path.is_dir():
            for file in _images(path):
                with Image.open(file) as image:
                    yield _square(image, size)
        elif path.suffix.lower() in ANIMATIONS:
            with Image.open(path) as image:
                for frame in ImageSequence.Iterator(image):
                    yield _square(frame, size)
        else:
            yield from _film(path, size)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:  # Pillow raises SyntaxError on broken PNG files
        raise ValueError(f"cannot read video {str(file)!r}: {error}") from error


def _film(path: Path, size: int) -> Iterator[np.ndarray]:
    import av  # here, because it loads all of FFmpeg; its errors are OSErrors or ValueErrors

    try:
        with av.open(str(path)) as film:
            if not film.streams.video:
                raise ValueError(f"cannot read video {str(path)!r}: it has no picture")
            for frame in film.decode(video=0):
                yield _square(frame.to_image(), size)
    except av.FFmpegError as error:
        raise ValueError(f"cannot read video {str(path)!r}: {error.strerror}") from error


def _square(image: Image.Image, size: int) -> np.ndarray:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.array(image.convert("RGB").resize((size, size), Image.Resampling.BOX, box))
