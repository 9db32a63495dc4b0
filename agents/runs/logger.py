"""What a run tells people: metrics.jsonl, TensorBoard events and a progress line; the only place that reads devices."""

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from agents.runs.console import say

SHOWN = {  # on the progress line, by the end of a metric's name
    "episode/return": "return",
    "eval/return": "eval",
    "archive/qd_score": "QD score",
    "archive/coverage": "coverage",
}


class Logger:
    """Average metrics on their device and write them when asked.

    `metrics.jsonl` has one object a line: `step`, then names such as `episode/return`, `loss/forward`. All of it but
    `speed/...` is a function of the run's configuration.
    """

    def __init__(self, run: Path, steps: int, num_envs: int, device: torch.device | str = "cpu") -> None:
        """steps: environment steps of the whole run, for the time left."""
        self.run, self.steps, self.device = run, steps, torch.device(device)
        self.sums: dict[str, Tensor] = {}  # since the last write, 0-dim
        self.counts: dict[str, int] = {}
        self.returns = torch.zeros(num_envs, device=self.device)  # (N,) of running episodes
        self.finished = torch.zeros(2, device=self.device)  # since the last write: sum of returns, episodes
        self.position = 0  # bytes of metrics.jsonl that count
        self.seconds = 0.0  # spent on this run before `start`
        self.updates = 0  # since the last write
        self.latest: dict[str, float] = {}  # returns on the progress line
        self.env_rate = self.update_rate = 0.0  # a second
        self.painted = 0.0  # when the terminal was last painted

    def start(self, step: int) -> None:
        """Open the files at a step; what they hold beyond it, of a process that was killed, is removed."""
        self.file = (self.run / "metrics.jsonl").open("ab", buffering=0)
        if self.file.tell() < self.position:
            raise ValueError(f"{self.file.name} is shorter than the checkpoint says, {self.position} bytes")
        self.file.truncate(self.position)
        self.file.seek(self.position)  # which `state_dict` asks for before the next line is written
        self.events = SummaryWriter(str(self.run), purge_step=step + 1)
        self.started = self.written_at = time.monotonic()
        self.written_step = step

    def close(self) -> None:
        if sys.stdout.isatty():
            say("")
        self.file.close()
        self.events.close()

    def add(self, metrics: Mapping[str, Tensor], updates: int = 0) -> None:
        """Take in 0-dim tensors, without waiting for their device; `updates` says how many they took."""
        for name, value in metrics.items():
            value = value.detach().to(self.device, torch.float32, non_blocking=True)
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1
        self.updates += updates

    def add_timestep(self, timestep: TensorDict) -> None:
        """Follow the returns of N running episodes."""
        self.returns += timestep["reward"]
        last = timestep["is_last"].float()  # (N,)
        self.finished += torch.stack([(self.returns * last).sum(), last.sum()])
        self.returns *= 1 - last

    def write(self, step: int) -> None:
        """Write averages since the last call; raise FloatingPointError, with its name, if a loss is not finite."""
        values = self.read()
        rates = self.measure_speed(step)
        speeds = {f"speed/{name}": rate for name, rate in rates.items()} | {"speed/minutes": self.minutes()}
        told = {name: value if math.isfinite(value) else None for name, value in {**values, **speeds}.items()}
        self.write_line(json.dumps({"step": step, **told}, allow_nan=False).encode() + b"\n")  # JSON knows no NaN
        for name, value in {**values, **speeds}.items():
            self.events.add_scalar(name, value, step)
        for end, label in SHOWN.items():
            found = {name.removesuffix(end) + label: value for name, value in values.items() if name.endswith(end)}
            self.latest |= found
        self.paint(step)
        self.sums, self.counts = {}, {}
        self.finished.zero_()
        raise_if_not_finite(values, step)

    def write_line(self, line: bytes) -> None:
        try:
            complete = self.file.write(line) == len(line)
        except OSError as error:
            raise OSError(f"cannot write {self.file.name}: {error.strerror}") from error
        if not complete:  # unbuffered files write what fits
            raise OSError(f"cannot write {self.file.name}: the disk is full")

    def check(self, step: int) -> None:
        """Raise FloatingPointError if a loss since the last write is not finite."""
        raise_if_not_finite(self.read(), step)

    def read(self) -> dict[str, float]:
        """Move all averages off their device at once."""
        total, episodes = self.finished
        names = [*self.sums, "episode/return", "episode/count"]
        means = [self.sums[name] / self.counts[name] for name in self.sums]
        values = dict(zip(names, torch.stack([*means, total / episodes, episodes]).tolist(), strict=True))
        if values.pop("episode/count") == 0:
            del values["episode/return"]
        return values

    def minutes(self) -> float:
        """Return minutes spent on this run by all the processes that worked on it."""
        return (self.seconds + time.monotonic() - self.started) / 60

    def measure_speed(self, step: int) -> dict[str, float]:
        """Return environment steps, episodes that ended and updates, each a second since the last write."""
        now = time.monotonic()
        elapsed = max(now - self.written_at, 1e-9)
        self.env_rate = (step - self.written_step) / elapsed
        self.update_rate = self.updates / elapsed
        self.written_at, self.written_step, self.updates = now, step, 0
        episodes = self.finished[1].item() / elapsed
        return {"env_steps": self.env_rate, "episodes": episodes, "updates": self.update_rate}

    def progress(self, step: int) -> None:
        """Repaint a terminal's progress line, at most once a second."""
        if sys.stdout.isatty() and time.monotonic() - self.painted > 1:
            self.paint(step)

    def paint(self, step: int) -> None:
        self.painted = time.monotonic()
        parts = [f"{step:,}/{self.steps:,} env steps"]  # first what a narrow terminal shall show
        parts += [
            f"{name} {value:.4g}" if abs(value) >= 0.01 else f"{name} {value:z.2f}"
            for name, value in self.latest.items()
        ]
        if self.env_rate > 0:
            parts.append(f"{timedelta(seconds=round(max(self.steps - step, 0) / self.env_rate))} left")
        parts += [f"{self.env_rate:,.0f}/s", f"{self.update_rate:,.3g} updates/s"]
        line = " | ".join(parts)
        if sys.stdout.isatty():
            say("\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K", end="")
        else:
            say(line)

    def state_dict(self) -> dict[str, Any]:
        """Return averages in progress and the place in metrics.jsonl; what is written so far is made to last."""
        os.fsync(self.file.fileno())
        self.events.flush()
        return {
            "position": self.file.tell(),
            "seconds": self.minutes() * 60,
            "sums": self.sums,
            "counts": self.counts,
            "returns": self.returns,
            "finished": self.finished,
            "latest": self.latest,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`; call `start` afterwards."""
        self.position, self.seconds = state_dict["position"], state_dict["seconds"]
        self.sums = {name: value.to(self.device) for name, value in state_dict["sums"].items()}
        self.counts = dict(state_dict["counts"])
        self.returns.copy_(state_dict["returns"])
        self.finished.copy_(state_dict["finished"])
        self.latest = dict(state_dict["latest"])


def raise_if_not_finite(values: Mapping[str, float], step: int) -> None:
    for name, value in values.items():
        if "loss" in name.split("/") and not math.isfinite(value):
            raise FloatingPointError(f"{name} is {value} at step {step}")
