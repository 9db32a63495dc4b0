"""Pictures for people: what an agent sees beside the clean scene, large, with shadows and smooth outlines."""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tensordict import TensorDict
from torch import Tensor

from envs.batched import BatchedEnv

SIZE = 480  # pixels of a side
RATE = 30  # frames of a second, as nearly as control steps allow
SECONDS = 10  # of simulated time, at most
BATCH = 8  # frames that are drawn at a time


class Film:
    """Film the first environment, which must show pixels, at the speed of the simulation.

    Call `take` with every timestep, the first included, then `save`. Smooth when the action repeat is 1.
    """

    def __init__(self, env: BatchedEnv) -> None:
        self._env = env
        self._stride = max(1, round(1 / RATE / env.step_seconds))  # timesteps from frame to frame
        self.steps = round(SECONDS / env.step_seconds)  # after which it ends
        self._taken = 0
        self._seen: list[Tensor] = []  # (size, size, 3) uint8
        self._poses: list[dict[str, Tensor]] = []  # name -> (1, ...)

    def take(self, timestep: TensorDict) -> None:
        """Take in a timestep (N,), at the moment when the environments are there."""
        if self._taken % self._stride == 0 and self._taken <= self.steps:
            self._seen.append(timestep["pixels"][0].cpu())
            self._poses.append({name: value[:1].clone() for name, value in self._env.kinematics.items()})
        self._taken += 1

    def save(self, path: Path) -> str:
        """Draw the film and write it as an animated WebP, which browsers play; return its name.

        Takes about 0.2 seconds of a processor for each frame. Raises OSError where it cannot be written.
        """
        large = self._draw()
        frames = [
            Image.fromarray(np.concatenate(pair, 1)) for pair in zip(map(_enlarged, self._seen), large, strict=True)
        ]
        duration = round(1000 * self._stride * self._env.step_seconds)  # milliseconds
        aside = path.with_name(path.name + ".unfinished")
        options = {"duration": duration, "loop": 0, "quality": 70, "method": 2}
        frames[0].save(aside, "WEBP", save_all=True, append_images=frames[1:], **options)
        os.replace(aside, path)
        return path.name

    def _draw(self) -> list[np.ndarray]:
        """Draw the clean scene: (SIZE, SIZE, 3) uint8 each."""
        from envs.renderer import Renderer  # takes seconds to import

        device = self._poses[0]["geom_xpos"].device
        env, large = self._env, list[np.ndarray]()
        renderer = Renderer(env.model, BATCH, SIZE, camera=env.camera, device=device, quality=True)
        for start in range(0, len(self._poses), BATCH):
            some = self._poses[start : start + BATCH]
            some += some[-1:] * (BATCH - len(some))
            large += list(
                renderer.render({name: torch.cat([pose[name] for pose in some]) for name in renderer.fields})
                .cpu()
                .numpy()
            )
        renderer.close()
        return large[: len(self._poses)]


def _enlarged(frame: Tensor) -> np.ndarray:
    return np.array(Image.fromarray(frame.numpy()).resize((SIZE, SIZE), Image.Resampling.NEAREST))
