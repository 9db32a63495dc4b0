"""N environments of one task, stepped together; the meaning of time is written here.

A timestep is a TensorDict (N,) with the observation and

    reward       (N,) float32   sum over the action repeat, for the action that led here; 0 on first rows
    is_first     (N,) bool      an episode begins here; the action before was ignored
    is_last      (N,) bool      the episode ends here, by termination or time limit
    is_terminal  (N,) bool      it ended by termination, so the value from here is 0

Stepping a row that was last resets it and ignores its action, as in dm_env (next-step reset).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
import torch
from tensordict import TensorDict
from torch import Tensor

from envs import control
from envs.alarms import Alarms
from envs.checks import check_rows, check_tensor
from envs.distractions import Distraction, colours
from envs.engines import STATE, Engine
from envs.measures import Measures
from envs.resets import Resets
from envs.scene import Scene, poses_drawn
from envs.signals import Signal
from envs.tasks.task import Task, control_ranges

if TYPE_CHECKING:
    from envs.renderer import Renderer  # takes seconds to import, and states need no pictures


class BatchedEnv:
    """Physics and pixels in batches, timesteps delivered on `device`.

    Everything random comes from `seed`; the number of threads changes nothing. When episodes end is known on the host,
    so a step waits for the device only if the task can end an episode early.
    """

    def __init__(
        self,
        name: str,
        task: Task,
        engine: Engine,
        resets: Resets,
        device: torch.device,
        action_repeat: int,
        step_limit: int,
        state: bool,
        stagger: bool,
        renderer: "Renderer | None",
        distraction: Distraction | None,
        measures: Measures | None,
        signals: Mapping[str, Signal],
        distractor: bool,
    ) -> None:
        self.model = model = task.model
        self.task, self.num_envs, self.device, self.action_repeat = name, resets.num_envs, device, action_repeat
        self.action_dim, self._controller = control.action_dim(task), control.of(task)
        self.step_limit, self.episode_length = step_limit, -(-step_limit // action_repeat)
        self.step_seconds = action_repeat * task.substeps * model.opt.timestep  # of simulated time
        self.stagger = stagger
        self._functions, self._engine, self._resets = task, engine, resets
        self._renderer, self._distraction, self._measures = renderer, distraction, measures
        self._signals, self._distractor = signals, distractor
        self._clean = Scene({**engine.parameters, **engine.fields})
        self._alarms = Alarms(engine, name)
        ranges = torch.from_numpy(control_ranges(model)).to(engine.device, engine.dtype)  # (A, 2)
        self._middle, self._half = ranges.mean(1), (ranges[:, 1] - ranges[:, 0]) / 2
        self._nothing = torch.zeros(self.num_envs, dtype=engine.dtype, device=engine.device)  # a reward
        self._age = np.zeros(self.num_envs, np.int64)  # control steps since the episode began
        self._last, self._terminal = np.ones(self.num_envs, bool), np.zeros(self.num_envs, bool)
        self.observation_shapes: dict[str, tuple[int, ...]] = {}
        self.camera = 0 if renderer is None else renderer.camera
        if renderer is not None:
            self.observation_shapes["pixels"] = (renderer.size, renderer.size, 3)
        if state or renderer is None:
            self.observation_shapes["state"] = tuple(task.observe(engine.fields).shape[1:])
        self.signal_shapes = {name: tuple(signal.read(engine.fields).shape[1:]) for name, signal in signals.items()}

    @property
    def measure_names(self) -> tuple[str, ...]:
        """What the columns of a timestep's `measures` are, if they were asked for."""
        return () if self._measures is None else self._measures.names

    @property
    def measure_ranges(self) -> tuple[tuple[float, float] | None, ...]:
        """Least and largest value of each measure, None where nothing bounds it."""
        return () if self._measures is None else self._measures.ranges

    @property
    def measure_kinds(self) -> tuple[str, ...]:
        """How each measure is made of a timestep's `readings`: their "mean", "maximum" or "change"."""
        return () if self._measures is None else self._measures.kinds

    @property
    def terminates(self) -> bool:
        """Whether the task can end an episode early, with no value beyond."""
        return self._functions.terminal is not None

    def seed(self, seed: int) -> None:
        """Draw starts and distractions from another seed; videos stay those that were made. Call `reset` next."""
        self._resets.seed(seed)
        if self._distraction is not None:
            self._distraction.seed(seed)

    @torch.inference_mode(False)  # what is kept from step to step must not be of a mode that the caller leaves
    def reset(self, rows: Tensor | None = None) -> TensorDict:
        """Begin new episodes in `rows` (N,) bool, by default everywhere; return (N,), where these are first rows.

        Other rows stay where they are and say so with reward 0. Where all begin, staggered ages make the first
        episodes end in turn. Raises ValueError for rows of another shape or kind.
        """
        engine = self._engine
        first = np.ones_like(self._last) if rows is None else check_rows("rows", rows, self.num_envs).cpu().numpy()
        if first.any():
            self._begin(first)
        self._last, self._terminal = self._last & ~first, self._terminal & ~first
        action = torch.zeros(self.num_envs, self.action_dim, dtype=engine.dtype, device=engine.device)
        timestep = self._timestep(self._nothing, first, 0, action)
        if self.stagger and rows is None:
            self._age = np.arange(self.num_envs) * self.step_limit // self.num_envs
        return timestep

    def step(self, action: Tensor) -> TensorDict:
        """Apply actions (N, A) in [-1, 1] for the action repeat, or until the episode ends; reset rows that were last.

        Actions outside are clipped. Raises ValueError for another shape, for actions that are not finite, where a
        simulation diverges and when contacts no longer fit; on CUDA the last three are found a few steps later.
        """
        if torch.is_inference_mode_enabled():  # as in `reset`; asking takes less time than a decorator
            with torch.inference_mode(False):
                return self.step(action)
        check_tensor("actions", action, (self.num_envs, self.action_dim))
        engine, functions = self._engine, self._functions
        first, running = self._last, ~self._last  # (N,)
        action = action.detach().to(engine.device, engine.dtype)
        begins = bool(np.count_nonzero(first))  # which takes less time than `any` and `all`
        if begins:
            action = action.masked_fill(self._on_device(first).unsqueeze(1), 0.0)
        self._alarms.check_actions(action)
        action = action.clamp(-1, 1)
        ctrl = action if self._controller else torch.addcmul(self._middle, self._half, action)  # (N, A)
        reward = self._nothing
        terminal = over = np.zeros(self.num_envs, bool)
        for _ in range(self.action_repeat):
            count = np.count_nonzero(running)
            if count == 0:
                break
            counted = None if count == self.num_envs else self._on_device(running)
            stepped = running if engine.skips_rows else running | first  # what is reset next may as well be stepped
            if self._controller is not None:
                ctrl = self._controller(engine.fields, action)  # (N, U)
            engine.step(ctrl, functions.substeps, None if counted is None or stepped.all() else stepped)
            earned = functions.reward(engine.fields)
            if counted is not None:
                earned = torch.where(counted, earned, 0.0)
            if self._measures is not None:
                self._measures.add(engine.fields, counted)
            # a sum is a new tensor: what is earned may be a view of the physics
            reward = earned if self.action_repeat == 1 else reward + earned
            self._age += 1 if counted is None else running
            over = self._age >= self.step_limit
            if functions.terminal is not None:
                terminal = terminal | (running & functions.terminal(engine.fields).cpu().numpy())
                over |= terminal
            running = running & ~over
        if begins:
            self._begin(first)
        self._alarms.check_physics()
        self._last, self._terminal = over & ~first, terminal
        return self._timestep(reward, first, 0 if begins and first.all() else self.action_repeat, action)

    def _begin(self, rows: np.ndarray) -> None:
        """Put rows (N,) bool, of which there are some, into initial states."""
        indices = rows.nonzero()[0]
        self._engine.set_state(indices, *self._resets.take(len(indices)))
        self._age[rows] = 0
        if self._measures is not None:
            self._measures.start(self._engine.fields, self._on_device(rows))

    def _on_device(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(rows).to(self._engine.device, non_blocking=True)

    def _timestep(self, reward: Tensor, first: np.ndarray, steps: int, action: Tensor) -> TensorDict:
        flags = {"is_first": first, "is_last": self._last, "is_terminal": self._terminal}  # (N,) bool, on the host
        values = {"reward": reward.to(torch.float32, copy=True)}
        values |= {name: torch.from_numpy(rows.copy()) for name, rows in flags.items()}
        fields = self._engine.fields
        if "state" in self.observation_shapes:
            values["state"] = self._functions.observe(fields).to(torch.float32, copy=True)
        if self._measures is not None:
            values |= {"measures": self._measures.values, "readings": self._measures.readings}
        # signals, as observations, may be views of the physics, which moves on
        values |= {name: signal.read(fields).to(torch.float32, copy=True) for name, signal in self._signals.items()}
        if self._renderer is not None:
            scene = self._clean
            if self._distraction is not None:
                self._distraction.advance(self._on_device(first), steps, action, scene.poses)
                scene = self._distraction.apply(scene)
                if self._distractor and scene.backdrop is not None:
                    values["distractor"] = colours(scene.backdrop)
            values["pixels"] = self._renderer.render(*scene)
        return TensorDict(values, batch_size=[self.num_envs], device=self.device, non_blocking=True)

    @property
    def kinematics(self) -> dict[str, Tensor]:
        """Copies of the poses that a renderer draws, (N, ...): for pictures that people watch."""
        return {name: self._clean.poses[name].clone() for name in poses_drawn(self.model)}

    @property
    def coordinates(self) -> Tensor:
        """A copy of the generalised coordinates (N, nq), from which the poses of all bodies follow."""
        return self._engine.fields["qpos"].clone()

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """Live views of what differs in the model between environments, (N, ...)."""
        return self._engine.parameters

    @property
    def context(self) -> Mapping[str, Tensor]:
        """Live views of the simulation's fields that the task reads, (N, ...)."""
        return self._engine.fields

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of what the environments' future depends on; draws and videos included."""
        return {
            "physics": self._engine.state().cpu(),
            "parameters": {name: values.cpu().clone() for name, values in self._engine.parameters.items()},
            "age": torch.from_numpy(self._age.copy()),
            "last": torch.from_numpy(self._last.copy()),
            "terminal": torch.from_numpy(self._terminal.copy()),
            "resets": self._resets.state_dict(),
            "distraction": None if self._distraction is None else self._distraction.state_dict(),
            "measures": None if self._measures is None else self._measures.state_dict(),
        }

    @torch.inference_mode(False)
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state` was taken; raises ValueError for that of environments made otherwise."""
        everywhere, physics = np.arange(self.num_envs), self._physics(state, self.num_envs)
        for part, own in (("distraction", self._distraction), ("measures", self._measures)):
            if (state[part] is None) != (own is None):
                raise ValueError(f"the state is of environments {'without' if own else 'with'} {part}, unlike these")
        if self._distraction is not None:  # which refuses other videos, before anything has changed
            self._distraction.load_state_dict(state["distraction"])
        if self._measures is not None:
            self._measures.load_state_dict(state["measures"])
        parameters = {name: values.numpy() for name, values in state["parameters"].items()}
        self._engine.set_state(everywhere, physics.numpy(), parameters)
        self._age, self._last, self._terminal = (state[name].numpy().copy() for name in ("age", "last", "terminal"))
        self._resets.load_state_dict(state["resets"])

    @torch.inference_mode(False)
    def place(self, state: dict[str, Any], source: Tensor) -> TensorDict:
        """Put environment n where environment source[n] was in a `state_dict` of environments made alike; return (N,).

        source: (N,) int64. Rewards are 0. What is drawn later, starts and backgrounds, stays these environments' own.
        Sensors of acceleration, force and touch say what there would be without actuators, as in first rows. Raises
        ValueError for a state of other physics, and for a source that it does not have.
        """
        count, engine = len(state["age"]), self._engine
        physics = self._physics(state, count)
        source = check_tensor("source", source, (self.num_envs,), torch.int64).cpu()
        if not ((source >= 0) & (source < count)).all():
            raise ValueError(f"source must lie in 0 to {count - 1}, not in {source.min()} to {source.max()}")
        parameters = {name: values[source].numpy() for name, values in state["parameters"].items()}
        engine.set_state(np.arange(self.num_envs), physics[source].numpy(), parameters)
        self._age, self._last, self._terminal = (state[name][source].numpy() for name in ("age", "last", "terminal"))
        if self._measures is not None:
            of = {name: values[source.to(values.device)] for name, values in state["measures"].items()}
            self._measures.load_state_dict(of)
        action = torch.zeros(self.num_envs, self.action_dim, dtype=engine.dtype, device=engine.device)
        return self._timestep(self._nothing, np.zeros_like(self._last), 0, action)

    def _physics(self, state: dict[str, Any], count: int) -> Tensor:
        """Return the physics (count, S) of a `state_dict`; raise ValueError for that of others."""
        shape = (count, mujoco.mj_stateSize(self.model, STATE))
        return check_tensor(f"the physics of {count} environments of {self.task}", state["physics"], shape)

    def close(self) -> None:
        """Stop the render threads."""
        if self._renderer is not None:
            self._renderer.close()
