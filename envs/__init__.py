"""Things that are acted on: batched environments of dm_control's tasks."""

import os
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "disabled")  # before dm_control's import, which else looks for OpenGL

import torch
from torch import Tensor

from envs import distractions, tasks
from envs.batched import BatchedEnv
from envs.checks import check_choice, check_positive
from envs.distractions import DISTRACTIONS
from envs.renderer import Renderer

__all__ = ["DISTRACTIONS", "TASKS", "BatchedEnv", "make"]

TASKS = tuple(tasks.TASKS)


def make(
    task: str,
    num_envs: int = 1,
    device: torch.device | str = "cpu",
    pixels: bool = False,
    distraction: str = "none",
    seed: int = 0,
    *,
    action_repeat: int = 1,
    size: int = 64,
    state: bool = False,
    background: str = "sky+floor",
    distraction_window: int = 64,
    video_change: int = 50,
    video_split: str = "train",
    video_dir: str | Path | None = None,
    stagger: bool = False,
    time_limit: int | None = None,
    threads: int | None = None,
) -> BatchedEnv:
    """Make N environments of a task, named as in dm_control with an underscore: "walker_stand".

    device: where timesteps go; physics and pixels are made on processor threads.
    pixels: observe frames (N, size, size, 3) uint8, else the state (N, O) float32; `state` gives both.
    action_repeat: control steps an action is held. time_limit: control steps of an episode, dm_control's by default.
    background, distraction_window, video_*: see `envs.distractions.make` and `envs.renderer.Renderer`.
    stagger: let the first episodes end in turn instead of all at once.
    Raises ValueError, in one line, for names and numbers that make no sense.
    """
    check_choice("task", task, TASKS)
    check_positive(num_envs=num_envs, action_repeat=action_repeat, time_limit=time_limit)
    if distraction != "none" and not pixels:
        raise ValueError(f"the distraction {distraction!r} needs pixels")
    functions, workers = tasks.TASKS[task](), threads or os.cpu_count() or 1
    renderer = Renderer(functions.model, num_envs, size, background=background, threads=workers) if pixels else None
    return BatchedEnv(
        name=task,
        task=functions,
        num_envs=num_envs,
        device=torch.device(device),
        seed=seed,
        action_repeat=action_repeat,
        time_limit=time_limit,
        state=state,
        stagger=stagger,
        threads=workers,
        renderer=renderer,
        distraction=distractions.make(
            distraction,
            num_envs,
            size=size,
            window=distraction_window,
            change=video_change,
            split=video_split,
            seed=seed,
            video_dir=video_dir,
            record=lambda clips, frames, stream: record(task, clips, frames, stream, size, workers),
        ),
    )


def record(task: str, clips: int, frames: int, seed: int, size: int, threads: int) -> Tensor:
    """Record the clean task under smooth random actions: (clips, frames, size, size, 3) uint8."""
    env = make(task, clips, pixels=True, seed=seed, size=size, threads=threads)
    random = torch.Generator().manual_seed(seed)
    pictures, action = [env.reset()["pixels"]], torch.zeros(clips, env.action_dim)
    for _ in range(frames - 1):
        action = 0.9 * action + 0.4 * torch.randn(action.shape, generator=random)  # stationary, std about 0.9
        pictures.append(env.step(action)["pixels"])
    env.close()
    return torch.stack(pictures, 1)
