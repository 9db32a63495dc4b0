"""Time environment steps beside what people use today: python tests/benchmarks/stepping.py [--num-envs 1 64 1024].

Every peer of `peers.py` runs in a process of its own; they are measured in turns, and the median of the turns counts.
Ours draws 64x64 pixels with a video over sky and floor; the peers draw with dm_control's own OpenGL and no video, which
is less work. A peer that is not installed, or has no OpenGL here, is left out and named: `pip install envpool`,
`apt-get install libosmesa6`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any, cast

PEERS = Path(__file__).with_name("peers.py")
TASKS = ("cartpole_swingup", "cheetah_run", "walker_walk", "humanoid_walk")
# Those that step many environments in a call, and those that step one environment a process whatever is asked for.
BATCHED = {
    "state": ("ours", "ours, compiled", "ours+policy", "ours+learning", "envpool", "rollout", "stale rollout"),
    "pixels": ("ours",),
}
SINGLE = ("dm_control", "sb3", "async")
NAMES = (*BATCHED["state"], "ours, cuda", "ours+policy, cuda", *SINGLE)
CUDA = {"state": ("ours, cuda", "ours+policy, cuda"), "pixels": ("ours, cuda",)}
TIMEOUT = 900  # seconds to the first step, kernels compiled


class Child:
    """A peer that waits in its own process."""

    def __init__(self, peer: str, task: str, mode: str, num_envs: int, gl: str, **environment: str) -> None:
        command = [sys.executable, str(PEERS), peer, task, mode, str(num_envs)]
        settings = os.environ | {"MUJOCO_GL": gl if peer in SINGLE else "disable"} | environment
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        began = time.perf_counter()
        self.process = cast(Any, subprocess.Popen(command, env=settings, text=True, **pipes))
        line = self.process.stdout.readline()
        while line and not line.startswith("{"):
            line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{peer}: {self.process.stderr.read().strip().splitlines()[-1]}")
        self.facts: dict[str, float] = {"first_step_s": time.perf_counter() - began, **json.loads(line)}

    def rate(self, seconds: float) -> float:
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(60)


def measure(task: str, mode: str, peers: list[tuple[str, int]], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure peers in turns -> a row for each that could be started."""
    children, rows = {}, []
    for peer, num_envs in peers:
        try:
            children[peer, num_envs] = Child(peer, task, mode, num_envs, arguments.gl)
        except RuntimeError as error:
            print(f"left out: {error}", file=sys.stderr)
    rates: dict[tuple[str, int], list[float]] = {key: [] for key in children}
    for _ in range(1 + arguments.repetitions):
        for key, child in children.items():
            rates[key].append(child.rate(arguments.seconds))
    for (peer, num_envs), child in children.items():
        child.close()
        turns = rates[peer, num_envs][1:]  # the first warms up
        row = {"task": task, "mode": mode, "peer": peer, "num_envs": num_envs, "steps_s": median(turns)}
        rows.append(row | {"least": min(turns), "most": max(turns)} | child.facts)
    return rows


def first_steps(arguments: argparse.Namespace) -> None:
    """Print the seconds from the command to the first step, without and with compiled kernels on disk."""
    print("seconds from the command to the first step")
    for task in arguments.tasks:
        for mode in arguments.modes:
            with tempfile.TemporaryDirectory() as cache:
                cold, warm = (Child("ours", task, mode, 64, "disable", WARP_CACHE_PATH=cache) for _ in range(2))
                print(f"{task + ', ' + mode:34}{cold.facts['first_step_s']:8.1f} cold", end="")
                print(f"{warm.facts['first_step_s']:8.1f} warm", flush=True)
                cold.close()
                warm.close()


def fastest_gl() -> str:
    """Name the MUJOCO_GL with which dm_control draws fastest here; "disable" where it cannot draw."""
    code = (
        "import time, os; from dm_control import suite; e = suite.load('cheetah', 'run'); e.reset()\n"
        "e.physics.render(64, 64); t = time.perf_counter(); [e.physics.render(64, 64) for _ in range(20)]\n"
        "print(time.perf_counter() - t, flush=True); os._exit(0)"
    )
    times = {}
    for gl in ("osmesa", "egl"):
        settings = os.environ | {"MUJOCO_GL": gl}
        done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True)
        if done.returncode == 0:
            times[gl] = float(done.stdout.splitlines()[-1])
    return min(times, key=times.__getitem__, default="disable")


def has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def table(rows: list[dict[str, Any]]) -> str:
    """Print steps a second, ours in the first column, and how many times a peer's that is."""
    lines = []
    for task, mode in dict.fromkeys((row["task"], row["mode"]) for row in rows):
        here = [row for row in rows if (row["task"], row["mode"]) == (task, mode)]
        lines += [f"\n{task}, {mode}", f"{'':20}{'environments':>14}{'steps/s':>12}{'ours is':>10}{'MB':>10}"]
        for row in here:
            same = [o["steps_s"] for o in here if o["peer"] == "ours" and o["num_envs"] == row["num_envs"]]
            best = max((o["steps_s"] for o in here if o["peer"] == "ours"), default=0.0)
            ratio = (same[0] if same and row["peer"] not in SINGLE else best) / row["steps_s"]
            lines.append(
                f"{row['peer']:20}{row['num_envs']:>14,}{row['steps_s']:>12,.0f}{ratio:>9.2f}x"
                f"{row['megabytes']:>10,.0f}"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--modes", nargs="+", default=["pixels", "state"], choices=["pixels", "state"])
    parser.add_argument("--peers", nargs="+", default=[*NAMES], choices=[*NAMES])
    parser.add_argument("--num-envs", nargs="+", type=int, default=[64])
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    parser.add_argument("--repetitions", type=int, default=5, help="turns that count")
    parser.add_argument("--first-step", action="store_true", help="time the first step instead")
    parser.add_argument("--json", type=Path, help="file to write")
    arguments = parser.parse_args()
    if arguments.first_step:
        first_steps(arguments)
        return
    singles = [peer for peer in SINGLE if peer in arguments.peers]
    arguments.gl = fastest_gl() if singles and "pixels" in arguments.modes else "disable"
    rows = []
    for mode in arguments.modes:
        some = [*BATCHED[mode], *(CUDA[mode] if has_cuda() else ())]
        drawn = singles if mode == "state" or arguments.gl != "disable" else []
        if drawn != singles:
            print("left out: what draws with dm_control, for there is no OpenGL here", file=sys.stderr)
        for task in arguments.tasks:
            peers = [(peer, count) for count in arguments.num_envs for peer in some if peer in arguments.peers]
            rows += measure(task, mode, [*peers, *((peer, 1) for peer in drawn)], arguments)
    cores = len(os.sched_getaffinity(0))
    print(f"environment steps a second, {date.today()}, {platform.machine()}, {cores} cores, {arguments.gl}")
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
