"""Things that are acted on: batched environments of dm_control's tasks."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("MUJOCO_GL", "disabled")  # before dm_control's import, which else looks for OpenGL

import gymnasium
import torch
from torch import Tensor

from envs import control, distracting, distractions, room, tasks
from envs.batched import BatchedEnv
from envs.checks import check_choice, check_device, check_whole
from envs.compiled import compiled
from envs.cores import cores
from envs.distractions import DISTRACTIONS, Distraction
from envs.engines import CEngine, Engine
from envs.measures import Measure, Measures
from envs.resets import Resets
from envs.scene import poses_drawn
from envs.signals import Signal, effort
from envs.tasks.task import Task, place

if TYPE_CHECKING:
    from envs.renderer import Renderer

__all__ = ["DISTRACTIONS", "ENGINES", "SUITE", "TASKS", "BatchedEnv", "make"]

TASKS, SUITE = tuple(tasks.TASKS), tasks.SUITE  # all of them, and those that dm_control has
ENGINES = ("auto", "c", "warp")
for _task in TASKS:
    gymnasium.register(
        f"empower/{_task}-v0", "envs.gym:Env", vector_entry_point="envs.gym:make_vec", kwargs={"task": _task}
    )
# Of pixels, 0 for other tasks: quadruped's as in Dreamer and the Distracting Control Suite, dog_fetch's sees the dog.
CAMERAS = {f"quadruped_{task}": 2 for task in ("walk", "run", "escape", "fetch")} | {"dog_fetch": 2}


@torch.inference_mode(False)  # what environments keep must not be of a mode that the caller leaves
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
    measures: bool | Sequence[str] = False,
    signals: bool = False,
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
    compile: bool = False,
    contacts: int | None = None,
    constraints: int | None = None,
    deterministic: bool = False,
) -> BatchedEnv:
    """Make N environments of a task, named as in dm_control with an underscore: "walker_stand".

    device: where timesteps go. engine: "c" simulates and draws on processor threads, "warp" on the device, or "auto".
    pixels: observe frames (N, size, size, 3) uint8, else the state (N, O) float32; `state` gives both.
    measures: of the episode so far (N, M), all or those named; signals: what agents' own rewards read, each by its
    name; distractor: of the background (N, 48). See `BatchedEnv.measure_names` and `.signal_shapes`.
    action_repeat: control steps an action is held. time_limit: control steps of an episode, dm_control's by default.
    background, distraction_window, video_*: see `distractions.make`, `Renderer`. stagger: first episodes end in turn.
    contacts, constraints, deterministic: see `WarpEngine`. compile: see `compiled`. Raises ValueError for nonsense.
    """
    check_choice("task", task, TASKS)
    check_choice("engine", engine, ENGINES)
    check_whole(1, num_envs=num_envs, action_repeat=action_repeat, time_limit=time_limit, size=size, threads=threads)
    videos = (distraction_window, video_change, video_split)
    distractions.check(distraction, *videos, video_dir, background, pixels, distractor)
    functions, where, workers = tasks.TASKS[task](), check_device(device), threads or cores()
    warp = engine == "warp" or (engine == "auto" and where.type == "cuda")
    home = where if warp else torch.device("cpu")
    renderer = moving = None
    if pixels:
        look = (*distracting.replaced(distraction, task, background), CAMERAS.get(task, 0))
        renderer = draw(functions.model, num_envs, size, *look, home, workers)
        shown = (num_envs, functions.model, size, *videos, seed, home, video_dir)
        more: Any = {"record": partial(record, task, size=size, threads=workers), "camera": look[-1]}
        moving = distractions.make(distraction, *shown, **more, action_dim=control.action_dim(functions))
    described = Measures(chosen(functions.measures, measures, task), num_envs, home) if measures else None
    read = {"effort": effort(), **functions.signals} if signals else {}
    fields = fields_read(functions, control.of(functions), moving, described, *read.values())
    of_warp = (home, *room.of(task, contacts, constraints), deterministic)
    functions, physics = simulate(functions, num_envs, fields, workers, compile, *(of_warp if warp else ()))
    times = (Resets(functions, num_envs, workers, seed), where, action_repeat, time_limit or functions.step_limit)
    return BatchedEnv(task, functions, physics, *times, state, stagger, renderer, moving, described, read, distractor)


# Warp takes seconds to import, and states in C need none of it: these two import it when they are called.


def draw(*arguments: Any) -> "Renderer":
    """Make a renderer."""
    from envs.renderer import Renderer

    return Renderer(*arguments)


def simulate(
    functions: Task, num_envs: int, fields: tuple[str, ...], threads: int, compile: bool, *of_warp: Any
) -> tuple[Task, Engine]:
    """Make a task's physics, in C or as `of_warp` says, and have its functions work there; compiled, if asked for."""
    of_task = (functions.model, num_envs, fields, functions.model_fields)
    if of_warp:
        from envs.warp_engine import WarpEngine

        physics: Engine = WarpEngine(*of_task, *of_warp)
    else:
        physics = CEngine(*of_task, threads)
    for part in filter(None, (functions, control.of(functions))):
        place(part, physics.device, physics.dtype)
    return compiled(functions, physics) if compile else functions, physics


def chosen(measures: Mapping[str, Measure], asked: bool | Sequence[str], task: str) -> dict[str, Measure]:
    """Choose measures by name, in the order asked for; all, if asked for with True."""
    names = tuple(measures) if isinstance(asked, bool) else (asked,) if isinstance(asked, str) else tuple(asked)
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"measure {name} is named twice (option measures)")
        if name not in measures:
            raise ValueError(f"{task} has no measure {name!r} (option measures): it has {', '.join(measures)}")
    return {name: measures[name] for name in names}


def fields_read(task: Task, *parts: control.Controller | Distraction | Measures | Signal | None) -> tuple[str, ...]:
    """Name every field of the physics that something reads: alarms, too, and pictures for people, made at any time."""
    readers = (part.fields for part in (task, *parts) if part is not None)
    drawn = (name for name in poses_drawn(task.model) if name not in task.model_fields)
    return tuple(dict.fromkeys(chain(drawn, ("qpos", "qvel"), *readers)))


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
