"""The environments as gymnasium's: `gymnasium.make_vec("envs:empower/walker_walk-v0", num_envs=64)`.

`envs:` makes gymnasium import this package, which registers the ids; after `import envs` they go without it. Options
are those of `envs.make`. Time is gymnasium's: the end by time limit is `truncated`, by termination `terminated`.
"""

import inspect
from types import ModuleType
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import torch
from gymnasium.error import ResetNeeded
from gymnasium.logger import warn
from gymnasium.spaces import Box, Dict, Space
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space, iterate
from gymnasium.wrappers.vector import ArrayConversion
from tensordict import TensorDict
from torch import Tensor

from envs import CAMERAS, BatchedEnv, make
from envs.checks import check_choice, check_rows, check_whole

if TYPE_CHECKING:
    from envs.renderer import Renderer  # takes seconds to import

RENDER_MODES = ["rgb_array"]
ARRAYS: dict[str, ModuleType] = {"numpy": np, "torch": torch}
MODES = {mode.value: mode for mode in AutoresetMode}
OPTIONS = tuple(inspect.signature(make).parameters)
OF_VECTORS = ("num_envs", "arrays", "autoreset_mode")
RESET_MASK = "reset_mask"  # gymnasium's reset option: which rows (N,) bool begin anew


def make_vec(task: str, num_envs: int = 1, arrays: str = "numpy", **options: Any) -> gymnasium.vector.VectorEnv:
    """Make N environments of a task for `gymnasium.make_vec`; for options, see `make_torch`.

    arrays: "numpy", as gymnasium's users and wrappers expect, or "torch" for tensors on the environments' device.
    """
    check_choice("arrays", arrays, tuple(ARRAYS))
    env = make_torch(task, num_envs, **options)
    return env if arrays == "torch" else NumpyVectorEnv(env, env_xp=torch, target_xp=np)


def make_torch(
    task: str,
    num_envs: int = 1,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    render_mode: str | None = None,
    render_size: int = 480,
    seed: int | None = None,
    **options: Any,
) -> "VectorEnv":
    """Make N environments of a task in torch tensors.

    render_mode: "rgb_array" lets `render` give frames: what the agent sees where it sees pixels, else pictures for
    people, `render_size` pixels wide.
    seed: of starts and videos; None draws one, so that environments that are made alike differ, as in gymnasium.
    options: see `envs.make`. Raises ValueError, in one line, for names and numbers that make no sense.
    """
    if not isinstance(autoreset_mode, AutoresetMode):
        check_choice("autoreset_mode", autoreset_mode, tuple(MODES))
        autoreset_mode = MODES[autoreset_mode]
    if render_mode is not None:
        check_choice("render_mode", render_mode, RENDER_MODES)
    for name in options:
        check_choice("option", name, OPTIONS)
    check_whole(1, render_size=render_size)
    seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
    return VectorEnv(make(task, num_envs, seed=seed, **options), autoreset_mode, render_mode, render_size)


class VectorEnv(gymnasium.vector.VectorEnv):
    """A `BatchedEnv` in gymnasium's words, in torch tensors on its device.

    `info` holds, if they were asked for, the `measures` of the episodes so far (N, M), the `distractor` (N, 48) and the
    signals by name (N, ...), each with its mask, `_measures` (N,) bool.
    Next-step autoreset is its own. Same-step autoreset asks, in every step, whether an episode has ended, which makes
    a GPU wait, and draws all frames again when one has. `info` then holds `final_obs` (N, ...) and `final_info`, which
    count in the rows `_final_obs` (N,) bool.
    """

    def __init__(
        self, env: BatchedEnv, autoreset_mode: AutoresetMode, render_mode: str | None = None, render_size: int = 480
    ) -> None:
        self.env, self.num_envs, self.device = env, env.num_envs, env.device
        self.mode, self.render_mode, self.render_size = autoreset_mode, render_mode, render_size
        self.metadata = {
            "render_modes": RENDER_MODES,
            "render_fps": max(1, round(1 / env.step_seconds)),
            "autoreset_mode": autoreset_mode,
        }
        spaces = {name: space(name, shape) for name, shape in env.observation_shapes.items()}
        self.single_observation_space = next(iter(spaces.values())) if len(spaces) == 1 else Dict(spaces)
        self.single_action_space = Box(-1, 1, (env.action_dim,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._timestep: TensorDict | None = None
        self._renderer: Renderer | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin new episodes, everywhere or in the rows of `options["reset_mask"]` (N,) bool.

        One seed decides all environments. Without a distraction they begin as `envs.make` with this seed does; videos
        stay those that were made.
        """
        if seed is not None and not isinstance(seed, int | np.integer):
            raise ValueError(f"one seed decides all environments: give an int, not {seed}")
        super().reset(seed=seed)
        options = options or {}
        for name in options:
            check_choice("reset option", name, [RESET_MASK])
        rows = options.get(RESET_MASK)
        if seed is not None:
            if rows is not None:
                raise ValueError(f"a seed begins all episodes anew: give it without {RESET_MASK}")
            self.env.seed(int(seed))
        if rows is None:
            timestep = self._timestep = self.env.reset()
        elif self._timestep is None:
            raise ResetNeeded(f"reset all environments before some: {RESET_MASK} came first")
        else:
            rows = check_rows(RESET_MASK, torch.as_tensor(rows, device=self.device), self.num_envs)
            timestep = self._begin(rows, self._timestep)
        return self._observation(timestep), self._info(timestep)

    def step(self, actions: Any) -> tuple[Any, Tensor, Tensor, Tensor, dict[str, Any]]:
        """Apply actions (N, A); return observation, reward (N,), terminated (N,), truncated (N,), info."""
        if self._timestep is None:
            raise ResetNeeded("reset the environments before the first step")
        if self.mode is AutoresetMode.DISABLED and self._timestep["is_last"].any():
            raise ResetNeeded("an episode has ended: reset it before the next step")
        timestep = after = self._timestep = self.env.step(torch.as_tensor(actions))
        ended, terminated = timestep["is_last"], timestep["is_terminal"]
        final: dict[str, Any] = {}
        if self.mode is AutoresetMode.SAME_STEP and ended.any():
            final = {"final_obs": self._observation(timestep), "final_info": self._info(timestep)}
            final |= {f"_{name}": ended.clone() for name in final}
            after = self._begin(ended, timestep)
        info = self._info(after) | final
        return self._observation(after), timestep["reward"], terminated, ended & ~terminated, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Return a frame of each environment, (size, size, 3) uint8."""
        if self.render_mode is None or self._timestep is None:
            warn('render() needs a reset before it, and an environment that was made with render_mode="rgb_array"')
            return None
        if "pixels" in self._timestep:
            return tuple(self._timestep["pixels"].clone().cpu().numpy())
        if self._renderer is None:
            from envs.renderer import Renderer

            self._renderer = Renderer(
                self.env.model,
                self.num_envs,
                self.render_size,
                camera=CAMERAS.get(self.env.task, 0),
                device=self.env.context["geom_xpos"].device,
                quality=True,
            )
        return tuple(self._renderer.render(self.env.kinematics).cpu().numpy())

    def close_extras(self, **_: Any) -> None:
        """Stop the render threads."""
        self.env.close()
        if self._renderer is not None:
            self._renderer.close()

    def _begin(self, rows: Tensor, timestep: TensorDict) -> TensorDict:
        """Begin new episodes in rows (N,) bool of a timestep (N,); the others stay as they were."""
        self._timestep = self.env.reset(rows).where(rows, timestep)
        return self._timestep

    def _observation(self, timestep: TensorDict) -> Any:
        seen = {name: timestep[name] for name in self.env.observation_shapes}
        if self.mode is AutoresetMode.DISABLED:  # a masked reset gives the other rows out again
            seen = {name: value.clone() for name, value in seen.items()}
        return next(iter(seen.values())) if len(seen) == 1 else seen

    def _info(self, timestep: TensorDict) -> dict[str, Any]:
        """Return what was asked for beside observations, (N, ...) each, and that it counts in all rows."""
        told = [name for name in ("measures", "distractor", *self.env.signal_shapes) if name in timestep]
        if not told:
            return {}
        everywhere = torch.ones_like(timestep["is_last"])
        return {name: timestep[name] for name in told} | {f"_{name}": everywhere for name in told}


class NumpyVectorEnv(ArrayConversion):
    """gymnasium's conversion of tensors to NumPy and back, with `final_obs` as its wrappers read it.

    That is an array of N objects: an observation where an episode has ended, None elsewhere.
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if options is not None and RESET_MASK in options:
            options = options | {RESET_MASK: np.ascontiguousarray(options[RESET_MASK])}
        return super().reset(seed=seed, options=options)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        # torch knows no array that was turned around, and ends the process over one
        observation, reward, terminated, truncated, info = super().step(np.ascontiguousarray(actions))
        if "final_obs" in info:
            finals = np.full(self.num_envs, None, dtype=object)
            for n, final in enumerate(iterate(self.observation_space, info["final_obs"])):
                finals[n] = final if info["_final_obs"][n] else None
            info["final_obs"] = finals
        return observation, reward, terminated, truncated, info


class Env(gymnasium.Env):
    """One environment for `gymnasium.make`, in NumPy; for options, see `make_torch`, but for `OF_VECTORS`."""

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES}  # noqa: RUF012, as gymnasium has it

    def __init__(self, task: str, render_mode: str | None = None, **options: Any) -> None:
        for name in OF_VECTORS:
            if name in options:
                raise ValueError(f"{name} is for gymnasium.make_vec: gymnasium.make gives one environment, in NumPy")
        self._envs = make_torch(task, 1, AutoresetMode.DISABLED, render_mode, **options)
        self.render_mode = render_mode
        self.metadata = {name: self._envs.metadata[name] for name in ("render_modes", "render_fps")}
        self.observation_space = self._envs.single_observation_space
        self.action_space = self._envs.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin a new episode; a seed decides it and those that follow."""
        super().reset(seed=seed)
        observation, info = self._envs.reset(seed=seed, options=options)
        return row(to_numpy(observation), 0), row(to_numpy(info), 0)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Apply an action (A,)."""
        observation, reward, terminated, truncated, info = self._envs.step(np.ascontiguousarray(action)[None])
        seen, told = (row(to_numpy(values), 0) for values in (observation, info))
        return seen, float(reward), bool(terminated), bool(truncated), told

    def render(self) -> Any:
        """Return the present frame (size, size, 3) uint8."""
        frames = self._envs.render()
        return frames if frames is None else frames[0]

    def close(self) -> None:
        """Stop the render threads."""
        self._envs.close()


def to_numpy(values: Any) -> Any:
    """Move a tensor (N, ...), or several by name but for masks, to NumPy."""
    if isinstance(values, dict):
        return {name: to_numpy(value) for name, value in values.items() if not name.startswith("_")}
    return values.cpu().numpy()


def row(arrays: Any, n: int) -> Any:
    """Return environment n's part (...) of an array (N, ...), or of several by name."""
    return {name: array[n] for name, array in arrays.items()} if isinstance(arrays, dict) else arrays[n]


def space(name: str, shape: tuple[int, ...]) -> Space:
    """Bound what an observation can be."""
    if name == "pixels":
        return Box(0, 255, shape, np.uint8)
    return Box(-np.inf, np.inf, shape, np.float32)
