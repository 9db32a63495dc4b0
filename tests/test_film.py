"""Films: which moments they show, how fast, and what stands where."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

import envs
from envs import film
from envs.renderer import Renderer


def test_a_film_shows_every_third_control_step_of_cheetah(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its control steps last 10 ms: three of them are nearest to a thirtieth of a second."""
    monkeypatch.setattr(film, "SIZE", 128)
    monkeypatch.setattr(film, "SECONDS", 0.1)
    env = envs.make("cheetah_run", 2, pixels=True, distraction="video", seed=1)
    movie, timestep, seen, large = film.Film(env), env.reset(), [], []
    renderer = Renderer(env.model, 2, 128, quality=True)
    for step in range(14):  # longer than the film
        movie.take(timestep)
        if step in (0, 3, 6, 9):
            seen.append(timestep["pixels"][0])
            large.append(renderer.render(env.kinematics)[0])
        timestep = env.step(torch.ones(2, 6))
    assert movie.steps == 10
    assert movie.save(tmp_path / "film.webp") == "film.webp"
    with Image.open(tmp_path / "film.webp") as picture:
        frames = [np.array(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(picture)]
        assert picture.info["duration"] == 30 and picture.info["loop"] == 0
    assert [frame.shape for frame in frames] == [(128, 256, 3)] * 4
    for frame, left, right in zip(frames, seen, large, strict=True):
        assert np.abs(frame[:, :128] - left.numpy().repeat(2, 0).repeat(2, 1)).mean() < 6  # WebP loses a little
        assert np.abs(frame[:, 128:] - right.numpy()).mean() < 6
    assert np.abs(frames[0][:, 128:] - large[3].numpy()).mean() > 6
    assert [path.name for path in tmp_path.iterdir()] == ["film.webp"]
