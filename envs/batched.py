"""N environments of one task, stepped together; the meaning of time is written here.

A timestep is a TensorDict (N,) with the observation and

    reward       (N,) float32   sum over the action repeat, for the action that led here; 0 on first rows
    is_first     (N,) bool      an episode begins here; the action before was ignored
    is_last      (N,) bool      the episode ends here, by termination or time limit
    is_terminal  (N,) bool      it ended by termination, so the value from here is 0

Stepping a row that was last resets it and ignores its action, as in dm_env (next-step reset).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict
from torch import Tensor

from envs.distractions import Distraction
from envs.engines import CEngine
from envs.renderer import KINEMATICS, Renderer
from envs.resets import Resets
from envs.tasks.task import Task


class BatchedEnv:
    """Physics on processor threads, pixels by ray casting, timesteps delivered on `device`.

    Everything random comes from `seed`; the number of threads changes nothing.
    """

    def __init__(
        self,
        name: str,
        task: Task,
        num_envs: int,
        device: torch.device,
        seed: int,
        action_repeat: int,
        time_limit: int | None,
        state: bool,
        stagger: bool,
        threads: int,
        renderer: Renderer | None,
        distraction: Distraction | None,
    ) -> None:
        model = task.model
        self.task, self.num_envs, self.device, self.action_repeat = name, num_envs, device, action_repeat
        self.action_dim = model.nu
        self.step_limit = task.step_limit if time_limit is None else time_limit
        self.episode_length = -(-self.step_limit // action_repeat)
        self.step_seconds = action_repeat * task.substeps * model.opt.timestep  # of simulated time
        self.stagger = stagger
        self._functions, self._renderer, self._distraction = task, renderer, distraction
        poses = KINEMATICS if renderer is not None else ()
        fields = tuple(dict.fromkeys((*task.fields, *poses)))
        self._engine = CEngine(model, num_envs, threads, fields, task.model_fields)
        self._resets = Resets(task, num_envs, threads, seed)
        low, high = torch.from_numpy(model.actuator_ctrlrange.copy()).unbind(1)  # (A,)
        self._middle, self._half = (high + low) / 2, (high - low) / 2
        self._age = torch.zeros(num_envs, dtype=torch.int64)  # control steps since the episode began
        self._last = torch.ones(num_envs, dtype=torch.bool)
        self.observation_shapes: dict[str, tuple[int, ...]] = {}
        if renderer is not None:
            self.observation_shapes["pixels"] = (renderer.size, renderer.size, 3)
        if state or renderer is None:
            self.observation_shapes["state"] = tuple(task.observe(self._engine.fields).shape[1:])

    def reset(self) -> TensorDict:
        """Begin new episodes everywhere: (N,) first rows; staggered ages make the first episodes end in turn."""
        self._last[:] = True
        timestep = self.step(torch.zeros(self.num_envs, self.action_dim))
        if self.stagger:
            self._age = torch.arange(self.num_envs) * self.step_limit // self.num_envs
        return timestep

    def step(self, action: Tensor) -> TensorDict:
        """Apply actions (N, A) in [-1, 1] for the action repeat, or until the episode ends; reset rows that were last.

        Actions outside are clipped. Raises ValueError for another shape and for actions that are not finite.
        """
        if action.shape != (self.num_envs, self.action_dim):
            raise ValueError(f"actions must be {(self.num_envs, self.action_dim)}, not {tuple(action.shape)}")
        action = action.detach().to("cpu", torch.float64)
        if not action.isfinite().all():
            raise ValueError("actions must be finite: the policy gave NaN or infinity")
        control = self._middle + self._half * action.clamp(-1, 1)  # (N, A)
        first, running = self._last, ~self._last  # (N,)
        reward = torch.zeros(self.num_envs, dtype=torch.float64)
        terminal = torch.zeros_like(first)
        for _ in range(self.action_repeat):
            if not running.any():
                break
            rows = None if running.all() else running.numpy()
            self._engine.step(control, self._functions.substeps, rows)
            reward += torch.where(running, self._functions.reward(self._engine.fields), 0.0)
            self._age += running
            running = running & (self._age < self.step_limit)
        if first.any():
            indices = first.numpy().nonzero()[0]
            self._engine.set_state(indices, *self._resets.take(len(indices)))
            self._age[first] = 0
        self._last = ~first & (self._age >= self.step_limit)
        return self._timestep(reward, first, terminal, 0 if first.all() else self.action_repeat)

    def _timestep(self, reward: Tensor, first: Tensor, terminal: Tensor, steps: int) -> TensorDict:
        values = {"reward": reward.float(), "is_first": first, "is_last": self._last, "is_terminal": terminal}
        fields = self._engine.fields
        if "state" in self.observation_shapes:
            values["state"] = self._functions.observe(fields).float()
        if self._renderer is not None:
            if self._distraction is not None:
                self._distraction.advance(first, steps)
            backdrop = None if self._distraction is None else self._distraction.backdrop
            values["pixels"] = self._renderer.render({name: fields[name] for name in KINEMATICS}, backdrop)
        return TensorDict(values, batch_size=[self.num_envs]).to(self.device)

    @property
    def kinematics(self) -> dict[str, Tensor]:
        """Copies of the poses that a renderer draws, (N, ...): for pictures that people watch."""
        return {name: self._engine.fields[name].clone() for name in KINEMATICS}

    @property
    def context(self) -> Mapping[str, Tensor]:
        """Live views of the simulation's fields that the task reads, (N, ...) float64."""
        return self._engine.fields

    def state_dict(self) -> dict[str, Any]:
        """Return what the environments' future depends on; draws and videos included."""
        parameters = {name: torch.from_numpy(values.copy()) for name, values in self._engine.parameters.items()}
        return {
            "physics": torch.from_numpy(self._engine.batch.state.copy()),
            "parameters": parameters,
            "age": self._age.clone(),
            "last": self._last.clone(),
            "resets": self._resets.state_dict(),
            "distraction": None if self._distraction is None else self._distraction.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state` was taken."""
        everywhere = np.arange(self.num_envs)
        parameters = {name: values.numpy() for name, values in state["parameters"].items()}
        self._engine.set_state(everywhere, state["physics"].numpy(), parameters)
        self._age, self._last = state["age"].clone(), state["last"].clone()
        self._resets.load_state_dict(state["resets"])
        if self._distraction is not None:
            self._distraction.load_state_dict(state["distraction"])

    def close(self) -> None:
        """Stop the render threads."""
        if self._renderer is not None:
            self._renderer.close()
