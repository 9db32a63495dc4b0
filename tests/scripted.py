"""Three environments whose every number is known: what a `BatchedEnv` says, worked out one row at a time."""

import torch
from tensordict import TensorDict
from torch import Tensor

LENGTHS = (2, 3, 5)  # steps of an episode; the second environment's episodes end by termination, the others' by time


class Scripted:
    """Observe the episode's number and the step in it; get ten times the environment's number, and the step."""

    task, num_envs, action_dim, step_seconds = "scripted", 3, 1, 0.05
    device, signal_shapes = torch.device("cpu"), {}

    def __init__(self, measures: bool = False) -> None:
        self.observation_shapes = {"state": (2,)}
        self.measures, self.seeds = measures, []
        self.episode, self.age, self.ended = [0, 0, 0], [0, 0, 0], [True, True, True]
        self.closed = False

    def seed(self, seed: int) -> None:
        self.seeds.append(seed)

    def reset(self, rows: Tensor | None = None) -> TensorDict:
        first = [True] * 3 if rows is None else rows.tolist()
        for n in range(3):
            if first[n]:
                self.begin(n)
        return self.timestep([0.0] * 3, first)

    def step(self, action: Tensor) -> TensorDict:
        assert action.shape == (3, 1)
        first, reward = list(self.ended), [0.0] * 3
        for n in range(3):
            if first[n]:
                self.begin(n)
            else:
                self.age[n] += 1
                self.ended[n] = self.age[n] == LENGTHS[n]
                reward[n] = 10.0 * n + self.age[n]
        return self.timestep(reward, first)

    def begin(self, n: int) -> None:
        self.episode[n], self.age[n], self.ended[n] = self.episode[n] + 1, 0, False

    def timestep(self, reward: list[float], first: list[bool]) -> TensorDict:
        values = {
            "state": torch.tensor(list(zip(self.episode, self.age, strict=True)), dtype=torch.float32),
            "reward": torch.tensor(reward),
            "is_first": torch.tensor(first),
            "is_last": torch.tensor(self.ended),
            "is_terminal": torch.tensor([False, self.ended[1], False]),
        }
        if self.measures:
            values["measures"] = torch.tensor(self.age, dtype=torch.float32).unsqueeze(1)
        return TensorDict(values, batch_size=[3])

    def close(self) -> None:
        self.closed = True
