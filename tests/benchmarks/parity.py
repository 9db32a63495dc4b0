"""Compare every task on both engines, one control step from every state of dm_control's own trajectories.

python tests/benchmarks/parity.py [--write docs/parity.md]: C MuJoCo against dm_control, MuJoCo Warp against C MuJoCo,
and the room that contacts took. Differences are |a - b| / max(1, |b|), the largest of an observation's numbers.
Never open loop: walkers diverge within 50 steps in any two ways of adding up floating-point numbers.
"""

import argparse
import os
import sys
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

os.environ.setdefault("MUJOCO_GL", "disable")
sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

import mujoco
import numpy as np
import torch
from dm_control.mujoco import Physics
from oracle import dm_control

import envs
from envs.cores import cores
from envs.engines import STATE, CEngine
from envs.tasks import TASKS
from envs.tasks.task import Task, control_ranges, place
from envs.warp_engine import WarpEngine

Physics.contexts = None  # quadruped_escape hands its terrain to OpenGL, which need not be here
ELLIPTIC = int(mujoco.mjtCone.mjCONE_ELLIPTIC)
HELD = 5  # control steps that an action is held, so that bodies get somewhere
ROOMY: dict[str, Any] = {"contacts": 512, "constraints": 1024}
HEAD = """# Parity

One control step from every state of dm_control's own trajectories under random actions, {steps} steps in each of
{episodes} episodes, {day}. Differences are |a - b| / max(1, |b|), the largest among an observation's numbers. Made by
`python tests/benchmarks/parity.py --write docs/parity.md`.

- **C** is C MuJoCo in float64 against dm_control.
- **Warp** is MuJoCo Warp in float32{device} against C MuJoCo.
- **Flips** are control steps in which the two found other numbers of contacts: a foot lands one physics step earlier or
  later, and speeds differ by as much as the impact.
- **Elliptic** is the same comparison, without flips, when both take elliptic friction cones. The models ask for
  pyramids, and where a capsule stands steeply on the ground MuJoCo Warp turns the pyramid another way about its axis,
  so that friction differs by direction. A cone has no such direction: what differs much more on the left is this.
- **Contacts** and **rows** are the most contacts and constraint rows in one environment. The room that
  [`envs/room.py`](../envs/room.py) gives is based on them.

| task | C | C reward | Warp 50 % | 99 % | most | reward 50 % | most | flips | elliptic 99 % | most | contacts | rows |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
"""


@dataclass
class Trajectory:
    """Control steps of one episode of dm_control: the state before, the action, and what followed."""

    parameters: dict[str, np.ndarray]
    states: list[np.ndarray] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)
    observations: list[np.ndarray] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)


def play(name: str, task: Task, seed: int, steps: int) -> Trajectory:
    """Play one episode of random actions in dm_control."""
    environment, random = dm_control(name, seed), np.random.default_rng(seed)
    environment.reset()
    physics, (low, high) = environment.physics, control_ranges(task.model).T
    trajectory = Trajectory({name: getattr(physics.model, name).copy() for name in task.model_fields})
    for step in range(steps):
        if step % HELD == 0:
            action = random.uniform(low, high)
        trajectory.states.append(physics.get_state(STATE))
        timestep = environment.step(action)
        trajectory.actions.append(action)
        trajectory.observations.append(np.concatenate([np.ravel(value) for value in timestep.observation.values()]))
        trajectory.rewards.append(timestep.reward)
        if timestep.last():
            break
    return trajectory


@dataclass
class Stepped:
    """What an engine made of a trajectory's steps, (T, ...)."""

    observations: np.ndarray
    rewards: np.ndarray
    contacts: np.ndarray  # (T, 1 + substeps) how many before the first physics step and after each
    rows: int  # most constraint rows in one environment


def step_c(name: str, trajectory: Trajectory, cone: int | None = None) -> Stepped:
    """Step all states with C MuJoCo, with the model's friction cones or with others."""
    task, count = TASKS[name](), len(trajectory.states)
    task.model.opt.cone = task.model.opt.cone if cone is None else cone
    fields = (*task.fields, "ncon", "nefc")
    engine = CEngine(task.model, count, fields, task.model_fields, cores())
    set_states(engine, trajectory)
    action, c, contacts, rows = torch.from_numpy(np.stack(trajectory.actions)), engine.fields, [], 0
    for step in range(1 + task.substeps):
        if step:
            engine.step(action, 1)
        contacts.append(c["ncon"].flatten().numpy().copy())
        rows = max(rows, int(c["nefc"].max()))
    return Stepped(task.observe(c).numpy(), task.reward(c).numpy(), np.stack(contacts, 1), rows)


def step_warp(name: str, trajectory: Trajectory, device: torch.device, cone: int | None = None) -> Stepped:
    """Step all states with MuJoCo Warp, with the model's friction cones or with others."""
    task, count = TASKS[name](), len(trajectory.states)
    task.model.opt.cone = task.model.opt.cone if cone is None else cone
    engine = WarpEngine(task.model, count, task.fields, task.model_fields, device, **ROOMY)
    place(task, device, torch.float32)
    set_states(engine, trajectory)
    action, c, contacts, rows = torch.from_numpy(np.stack(trajectory.actions)).float(), engine.fields, [], 0
    for step in range(1 + task.substeps):
        if step:
            engine.step(action.to(device), 1)
        worlds = engine.data.contact.worldid.numpy()[: int(engine.data.nacon.numpy()[0])]
        contacts.append(np.bincount(worlds, minlength=count))
        rows = max(rows, int(engine.data.nefc.numpy().max()))
    assert not any(lost.item() for lost in engine.lost()), f"{name}: {ROOMY} is too little room"
    observations, rewards = (values.double().cpu().numpy() for values in (task.observe(c), task.reward(c)))
    return Stepped(observations, rewards, np.stack(contacts, 1), rows)


def set_states(engine: CEngine | WarpEngine, trajectory: Trajectory) -> None:
    """Make each environment one state of the trajectory."""
    count = len(trajectory.states)
    parameters = {}
    for name, values in trajectory.parameters.items():
        shape = engine.parameters[name].shape[1:]
        parameters[name] = np.broadcast_to(values.reshape(shape), (count, *shape)).copy()
    engine.set_state(np.arange(count), np.stack(trajectory.states), parameters)


def difference(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """|a - b| / max(1, |b|), the largest of each row: (T,)."""
    relative = np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))
    return relative.reshape(len(relative), -1).max(1)


def compare(name: str, arguments: argparse.Namespace) -> str:
    """Return a task's row of the table."""
    device, found = torch.device(arguments.device), dict[str, list[np.ndarray]]()
    contacts = rows = 0
    for seed in range(arguments.episodes):
        trajectory = play(name, TASKS[name](), seed, arguments.steps)
        c, warp = step_c(name, trajectory), step_warp(name, trajectory, device)
        c_cones, warp_cones = step_c(name, trajectory, ELLIPTIC), step_warp(name, trajectory, device, ELLIPTIC)
        same = (warp_cones.contacts == c_cones.contacts).all(1)
        for key, values in {
            "c": difference(c.observations, np.stack(trajectory.observations)),
            "c reward": difference(c.rewards, np.array(trajectory.rewards)),
            "warp": difference(warp.observations, c.observations),
            "warp reward": difference(warp.rewards, c.rewards),
            "flips": (warp.contacts != c.contacts).any(1),
            "elliptic": difference(warp_cones.observations, c_cones.observations)[same],
        }.items():
            found.setdefault(key, []).append(values)
        contacts = max(contacts, warp.contacts.max(), c.contacts.max())
        rows = max(rows, warp.rows, c.rows)
    of = {key: np.concatenate(values) for key, values in found.items()}
    warp_, reward, elliptic = of["warp"], of["warp reward"], of["elliptic"]
    figures = [of["c"].max(), of["c reward"].max(), np.median(warp_), np.quantile(warp_, 0.99), warp_.max()]
    figures += [np.median(reward), reward.max()]
    cells = [
        *map(short, figures),
        f"{of['flips'].mean():.1%}",
        short(np.quantile(elliptic, 0.99)),
        short(elliptic.max()),
    ]
    return f"| `{name}` | " + " | ".join([*cells, str(contacts), str(rows)]) + " |"


def short(figure: float) -> str:
    return "0" if figure < 1e-18 else f"{figure:.0e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(envs.SUITE))
    parser.add_argument("--steps", type=int, default=150, help="control steps of an episode")
    parser.add_argument("--episodes", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="of MuJoCo Warp")
    parser.add_argument("--write", type=Path, help="Markdown file for the table")
    arguments = parser.parse_args()
    device = "" if arguments.device == "cuda" else ", on Warp's CPU device"
    head = HEAD.format(steps=arguments.steps, episodes=arguments.episodes, day=date.today(), device=device)
    lines = []
    for name in arguments.tasks:
        lines.append(compare(name, arguments))
        print(lines[-1], flush=True)
    if arguments.write:
        arguments.write.write_text(head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
