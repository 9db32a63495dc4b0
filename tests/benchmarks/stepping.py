"""Time environment steps against dm_control and stable-baselines3: python tests/benchmarks/stepping.py [--seconds 2].

Pixels: ours draw 64x64 with a video over sky and floor; the peers draw with dm_control's own OpenGL and add no video,
which is less work. Every peer runs in a process of its own, one after the other. A peer whose OpenGL is missing is
skipped and says so: `apt-get install libosmesa6` brings one that needs no display.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
TASKS = ("cartpole_swingup", "cheetah_run", "walker_walk")
PEERS = ("ours", "dm_control", "sb3")
LABELS = {"ours": "ours", "dm_control": "dm_control", "sb3": "SubprocVecEnv x2"}
PROCESSES = 2
SIZE = 64


def rate(step: Callable[[], object], per_call: int, seconds: float) -> float:
    """Environment steps a second: the median of three windows, after two calls that are not counted."""
    rates = []
    for window in range(4):
        calls, start = 0, time.perf_counter()
        while calls < 2 or (window and time.perf_counter() - start < seconds / 3):
            step()
            calls += 1
        rates.append(per_call * calls / (time.perf_counter() - start))
    return sorted(rates[1:])[1]


def ours(task: str, pixels: bool, num_envs: int, seconds: float) -> float:
    import torch

    import envs

    torch.set_num_threads(1)
    env = envs.make(task, num_envs, pixels=pixels, distraction="video" if pixels else "none", size=SIZE)
    env.reset()
    actions = torch.rand(97, num_envs, env.action_dim) * 2 - 1
    turn = iter(range(10**9))
    result = rate(lambda: env.step(actions[next(turn) % 97]), num_envs, seconds)
    env.close()
    return result


def dm_control(task: str, pixels: bool, num_envs: int, seconds: float) -> float:
    """One environment in one process: dm_control knows no other way."""
    env = DmControl(task, pixels)
    env.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (97, *env.action_space.shape))
    turn = iter(range(10**9))

    def step() -> None:
        if env.step(actions[next(turn) % 97])[3]:
            env.reset()

    return rate(step, 1, seconds)


def sb3(task: str, pixels: bool, num_envs: int, seconds: float) -> float:
    from functools import partial

    from stable_baselines3.common.vec_env import SubprocVecEnv

    env = SubprocVecEnv([partial(DmControl, task, pixels)] * PROCESSES)
    env.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (97, PROCESSES, *env.action_space.shape))
    turn = iter(range(10**9))
    result = rate(lambda: env.step(actions[next(turn) % 97]), PROCESSES, seconds)
    env.close()
    return result


def DmControl(task: str, pixels: bool) -> object:
    """Make dm_control a gymnasium environment, with as little in between as that takes."""
    import gymnasium
    from dm_control import suite

    class Env(gymnasium.Env):
        def __init__(self) -> None:
            self.env = suite.load(*task.split("_", 1))
            spec = self.env.action_spec()
            self.action_space = gymnasium.spaces.Box(-1.0, 1.0, spec.shape, np.float32)
            shape, high, dtype = (
                ((SIZE, SIZE, 3), 255, np.uint8) if pixels else (self._state().shape, np.inf, np.float32)
            )
            self.observation_space = gymnasium.spaces.Box(-high * (not pixels), high, shape, dtype)

        def _state(self) -> np.ndarray:
            values = self.env.task.get_observation(self.env.physics).values()
            return np.concatenate([np.ravel(value) for value in values]).astype(np.float32)

        def _observe(self, observation: dict[str, np.ndarray]) -> np.ndarray:
            if pixels:
                return self.env.physics.render(SIZE, SIZE, camera_id=0)
            return np.concatenate([np.ravel(value) for value in observation.values()]).astype(np.float32)

        def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
            return self._observe(self.env.reset().observation), {}

        def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
            timestep = self.env.step(action)
            return self._observe(timestep.observation), timestep.reward or 0.0, False, timestep.last(), {}

    return Env()


def run_peer(peer: str, modes: list[bool], arguments: argparse.Namespace, gl: str) -> dict[str, float]:
    """Measure one peer in a fresh process -> rates by "task/mode"."""
    command = [sys.executable, __file__, "--peer", peer, "--modes", json.dumps(modes), "--tasks", *arguments.tasks]
    command += ["--seconds", str(arguments.seconds), "--num-envs", str(arguments.num_envs)]
    done = subprocess.run(command, env=os.environ | {"MUJOCO_GL": gl}, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{LABELS[peer]} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(arguments: argparse.Namespace) -> None:
    """Measure one peer in this process and print its rates as the last line."""
    sys.path.insert(0, str(ROOT))
    work = {"ours": ours, "dm_control": dm_control, "sb3": sb3}[arguments.peer]
    rates = {}
    for pixels in json.loads(arguments.modes):
        for task in arguments.tasks:
            mode = "pixels" if pixels else "state"
            rates[f"{task}/{mode}"] = work(task, pixels, arguments.num_envs, arguments.seconds)
    print(json.dumps(rates), flush=True)
    os._exit(0)  # OpenGL contexts complain when Python takes them down


def fastest_gl() -> str | None:
    """Name the MUJOCO_GL with which dm_control draws fastest here, or None where it cannot draw."""
    code = (
        "import time, os; from dm_control import suite; e = suite.load('cheetah', 'run'); e.reset()\n"
        "e.physics.render(64, 64); t = time.perf_counter(); [e.physics.render(64, 64) for _ in range(20)]\n"
        "print(time.perf_counter() - t, flush=True); os._exit(0)"
    )
    times = {}
    for gl in ("osmesa", "egl"):
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"MUJOCO_GL": gl}, capture_output=True, text=True
        )
        if done.returncode == 0:
            times[gl] = float(done.stdout.splitlines()[-1])
    return min(times, key=times.__getitem__, default=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="measured for each figure")
    parser.add_argument("--num-envs", type=int, default=64)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--modes", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        return measure(arguments)
    gl = fastest_gl()
    if gl is None:
        print("dm_control and SubprocVecEnv: pixels skipped, there is no OpenGL here (apt-get install libosmesa6)")
    rates = {"ours": run_peer("ours", [True, False], arguments, "disable")}
    for peer in PEERS[1:]:
        rates[peer] = run_peer(peer, [True, False] if gl else [False], arguments, gl or "disable")

    print(f"environment steps a second, {date.today()}, {platform.machine()}, {os.cpu_count()} cores")
    print(f"pixels: {SIZE}x{SIZE}; ours: {arguments.num_envs} environments, a video over sky and floor; peers: {gl}")
    print(f"{'':24}" + "".join(f"{LABELS[peer]:>18}" for peer in PEERS) + f"{'/ dm_control':>14}{'/ Subproc':>11}")
    for mode in ("pixels", "state"):
        for task in arguments.tasks:
            row = [rates[peer].get(f"{task}/{mode}") for peer in PEERS]
            cells = "".join(f"{value:18,.0f}" if value else f"{'skipped':>18}" for value in row)
            ratios = [f"{row[0] / value:.1f}x" if value else "-" for value in row[1:]]
            print(f"{task + ' ' + mode:24}{cells}{ratios[0]:>14}{ratios[1]:>11}")


if __name__ == "__main__":
    main()
