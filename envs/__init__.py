"""Things that are acted on: batched environments of dm_control's tasks."""

import os
from functools import partial
from itertools import chain
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "disabled")  # before dm_control's import, which else looks for OpenGL

import gymnasium
import torch
from torch import Tensor

from envs import distracting, distractions, room, tasks
from envs.batched import BatchedEnv
from envs.checks import check_choice, check_device, check_positive
from envs.distractions import DISTRACTIONS, Distraction
from envs.engines import CEngine, Engine
from envs.measures import Measures
from envs.renderer import Renderer, poses_drawn
from envs.resets import Resets
from envs.tasks.task import Task, place
from envs.warp_engine import WarpEngine

__all__ = ["DISTRACTIONS", "ENGINES", "TASKS", "BatchedEnv", "make"]

TASKS = tuple(tasks.TASKS)
ENGINES = ("auto", "c", "warp")
for _task in TASKS:
    gymnasium.register(
        f"empower/{_task}-v0", "envs.gym:Env", vector_entry_point="envs.gym:make_vec", kwargs={"task": _task}
    )
# Of pixels, 0 for other tasks: quadruped's as in Dreamer and the Distracting Control Suite, dog_fetch's sees the dog.
CAMERAS = {f"quadruped_{task}": 2 for task in ("walk", "run", "escape", "fetch")} | {"dog_fetch": 2}


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
    measures: bool = False,
    distractor: bool = False,
    background: str = "sky+floor",
    distraction_window: int = 64,
    video_change: int = 50,
    video_split: str = "train",
    video_dir: str | Path | None = None,
    stagger: bool = False,
    time_limit: int | None = None,
    threads: int | None = None,
    engine: str = "auto",
    contacts: int | None = None,
    constraints: int | None = None,
    deterministic: bool = False,
) -> BatchedEnv:
    """Make N environments of a task, named as in dm_control with an underscore: "walker_stand".

    device: where timesteps go. engine: "c" makes physics and pixels on processor threads, "warp" on the device;
    "auto" takes "warp" for CUDA.
    pixels: observe frames (N, size, size, 3) uint8, else the state (N, O) float32; `state` gives both.
    measures, distractor: of the episode so far, (N, M), see `BatchedEnv.measure_names`; of the background, (N, 48).
    action_repeat: control steps an action is held. time_limit: control steps of an episode, dm_control's by default.
    background, distraction_window, video_*: see `envs.distractions.make` and `envs.renderer.Renderer`.
    stagger: let the first episodes end in turn. contacts, constraints, deterministic: see `WarpEngine`.
    Raises ValueError, in one line, for names and numbers that make no sense.
    """
    check_choice("task", task, TASKS)
    check_choice("engine", engine, ENGINES)
    check_positive(num_envs=num_envs, action_repeat=action_repeat, time_limit=time_limit, threads=threads)
    check_positive(contacts=contacts, constraints=constraints)
    distractions.check(distraction, pixels, distractor)
    functions, where, workers = tasks.TASKS[task](), check_device(device), threads or os.cpu_count() or 1
    warp = engine == "warp" or (engine == "auto" and where.type == "cuda")
    home = where if warp else torch.device("cpu")
    renderer = moving = None
    if pixels:
        look = (*distracting.replaced(distraction, task, background), CAMERAS.get(task, 0))
        renderer = Renderer(functions.model, num_envs, size, *look, home, workers)
        shown = (size, distraction_window, video_change, video_split, seed, home, video_dir)
        clean = partial(record, task, size=size, threads=workers)
        moving = distractions.make(distraction, num_envs, functions.model, *shown, record=clean, camera=look[-1])
    described = Measures(functions.measures, num_envs, home) if measures else None
    batch = (functions.model, num_envs, fields_read(functions, moving, described), functions.model_fields)
    size_of = (*room.of(task, contacts, constraints), deterministic)
    physics: Engine = WarpEngine(*batch, home, *size_of) if warp else CEngine(*batch, workers)
    place(functions, physics.device, physics.dtype)
    resets, length = Resets(functions, num_envs, workers, seed), time_limit or functions.step_limit
    parts = (state, stagger, renderer, moving, described, distractor)
    return BatchedEnv(task, functions, physics, resets, where, action_repeat, length, *parts)


def fields_read(task: Task, distraction: Distraction | None, measures: Measures | None) -> tuple[str, ...]:
    """Name every field of the physics that something reads; pictures for people may be drawn at any time."""
    readers = (part.fields for part in (task, distraction, measures) if part is not None)
    return tuple(dict.fromkeys(chain(poses_drawn(task.model), *readers)))


def record(task: str, clips: int, frames: int, seed: int, *, size: int, threads: int) -> Tensor:
    """Record the clean task under smooth random actions: (clips, frames, size, size, 3) uint8."""
    env = make(task, clips, pixels=True, seed=seed, size=size, threads=threads)
    random = torch.Generator().manual_seed(seed)
    pictures, action = [env.reset()["pixels"]], torch.zeros(clips, env.action_dim)
    for _ in range(frames - 1):
        action = 0.9 * action + 0.4 * torch.randn(action.shape, generator=random)  # stationary, std about 0.9
        pictures.append(env.step(action)["pixels"])
    env.close()
    return torch.stack(pictures, 1)
