"""What steps dm_control's tasks today, each as a function that makes one call which steps `per_call` environments.

A peer is (task, pixels, num_envs) -> (step, per_call). Every one is used as its documentation shows. It runs in a
process of its own: python tests/benchmarks/peers.py PEER TASK MODE NUM_ENVS, then a line of seconds on stdin is
answered by a line with the rate.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

SIZE = 64  # pixels
PROCESSES = len(os.sched_getaffinity(0))
Peer = tuple[Callable[[], object], int]


def turns(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield uniform actions again and again."""
    return cycle(np.random.default_rng(0).uniform(-1, 1, (97, *shape)))


def ours(task: str, pixels: bool, num_envs: int, policy: bool = False, device: str = "cpu", **options: Any) -> Peer:
    """This suite: observations, rewards, resets and torch tensors; pixels with a video over sky and floor."""
    import torch

    import envs

    torch.set_num_threads(1)
    seen: dict[str, Any] = {"pixels": pixels, "distraction": "video" if pixels else "none", "size": SIZE}
    env = envs.make(task, num_envs, device, stagger=True, **seen, **options)
    timestep = env.reset()
    if not policy:
        actions = cycle(torch.rand(97, num_envs, env.action_dim, device=device) * 2 - 1)
        return lambda: env.step(next(actions)), num_envs
    layers = [timestep["state"].shape[1], 256, 256, env.action_dim]
    pairs = [[torch.nn.Linear(one, other), torch.nn.Tanh()] for one, other in pairwise(layers)]
    actor = torch.nn.Sequential(*(module for pair in pairs for module in pair)).to(device)

    def step() -> None:
        nonlocal timestep
        with torch.no_grad():
            timestep = env.step(actor(timestep["state"]))

    return step, num_envs


def learning(task: str, pixels: bool, num_envs: int) -> Peer:
    """This suite with stable-baselines3's PPO: a call is a rollout of 32 steps and the update that learns from it."""
    import torch

    import envs
    from agents.registry import CLASSES, preset
    from agents.replay import ReplayBuffer
    from agents.spaces import Spaces

    torch.set_num_threads(1)
    env, config = envs.make(task, num_envs), preset("sb3-ppo").agent
    agent = CLASSES[type(config)](Spaces(env.observation_shapes, env.action_dim), config, "cpu")
    replay = ReplayBuffer(num_envs * 64, num_envs, torch.device("cpu"))
    timestep, carry = env.reset(), agent.initial_carry(num_envs)

    def step() -> None:
        nonlocal timestep, carry
        for _ in range(32):
            out, carry = agent.act(timestep, carry)
            replay.add(timestep.clone().update(out))
            timestep = env.step(out["action"])
        agent.update(replay)

    return step, 32 * num_envs


def envpool(task: str, pixels: bool, num_envs: int) -> Peer:
    """EnvPool's own C++ version of the task, synchronous."""
    import envpool as library

    name = "".join(part.capitalize() for part in task.split("_")) + "-v1"
    env = library.make_dm(name, num_envs=num_envs)
    first = env.reset()
    count = env.action_spec().shape[0]
    assert len(first.reward) == num_envs
    actions = turns((num_envs, count))
    return lambda: env.step(next(actions)), num_envs


def rollout(task: str, pixels: bool, num_envs: int, fresh: bool = True) -> Peer:
    """mujoco.rollout on threads: states and sensors, without rewards, resets or tensors.

    Its sensors belong to the state before the last physics step; `fresh` takes one step more to have them of the last.
    """
    import mujoco
    from mujoco.rollout import Rollout

    from envs import tasks

    functions = tasks.TASKS[task]()
    model = functions.model
    data = [mujoco.MjData(model) for _ in range(PROCESSES)]
    pool = Rollout(nthread=PROCESSES)
    full = mujoco.mjtState.mjSTATE_FULLPHYSICS
    state = np.zeros((num_envs, mujoco.mj_stateSize(model, full)))
    mujoco.mj_getState(model, data[0], state[0], full)
    state[:] = state[0]
    actions = turns((num_envs, 1, model.nu))
    length = functions.substeps + fresh
    count = 0

    def step() -> None:
        nonlocal count
        control = np.broadcast_to(next(actions), (num_envs, length, model.nu))
        states, _ = pool.rollout(model, data, state, control)
        count += 1
        if count % functions.step_limit:
            state[:] = states[:, functions.substeps - 1]

    return step, num_envs


def stale_rollout(task: str, pixels: bool, num_envs: int) -> Peer:
    """mujoco.rollout as it is."""
    return rollout(task, pixels, num_envs, fresh=False)


def dm_control(task: str, pixels: bool, num_envs: int) -> Peer:
    """One environment in one process: dm_control knows no other way."""
    env = DmControl(task, pixels)
    env.reset()
    actions = turns(env.action_space.shape)

    def step() -> None:
        if env.step(next(actions))[3]:
            env.reset()

    return step, 1


def sb3(task: str, pixels: bool, num_envs: int) -> Peer:
    """stable-baselines3's SubprocVecEnv over dm_control, a process a core."""
    from stable_baselines3.common.vec_env import SubprocVecEnv

    env: Any = SubprocVecEnv([partial(DmControl, task, pixels)] * PROCESSES)
    env.reset()
    actions = turns((PROCESSES, *env.action_space.shape))
    return lambda: env.step(next(actions)), PROCESSES


def async_(task: str, pixels: bool, num_envs: int) -> Peer:
    """gymnasium's AsyncVectorEnv over dm_control, a process a core."""
    from gymnasium.vector import AsyncVectorEnv

    env: Any = AsyncVectorEnv([partial(DmControl, task, pixels)] * PROCESSES)
    env.reset()
    actions = turns(env.action_space.shape)
    return lambda: env.step(next(actions)), PROCESSES


def DmControl(task: str, pixels: bool) -> Any:
    """Make dm_control a gymnasium environment, with as little in between as that takes."""
    import gymnasium
    from oracle import dm_control

    class Env(gymnasium.Env):
        def __init__(self) -> None:
            self.env = dm_control(task)
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


PEERS: dict[str, Callable[[str, bool, int], Peer]] = {
    "ours": ours,
    "ours, compiled": partial(ours, compile=True),
    "ours+policy": partial(ours, policy=True),
    "ours+learning": learning,
    "ours, cuda": partial(ours, device="cuda"),
    "ours+policy, cuda": partial(ours, policy=True, device="cuda"),
    "envpool": envpool,
    "rollout": rollout,
    "stale rollout": stale_rollout,
    "dm_control": dm_control,
    "sb3": sb3,
    "async": async_,
}


def megabytes() -> float:
    """Most memory that this process has held, its libraries included and its children not."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def serve(peer: str, task: str, mode: str, num_envs: int) -> None:
    """Say when the first step is done and what memory it took, then answer seconds with environment steps a second."""
    step, per_call = PEERS[peer](task, mode == "pixels", num_envs)
    step()
    print(json.dumps({"megabytes": megabytes()}), flush=True)
    for line in sys.stdin:
        calls, start = 0, time.perf_counter()
        while calls < 2 or time.perf_counter() - start < float(line):
            step()
            calls += 1
        if "cuda" in peer:
            import torch

            torch.cuda.synchronize()
        print(per_call * calls / (time.perf_counter() - start), flush=True)
    os._exit(0)  # OpenGL contexts complain when Python takes them down


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
