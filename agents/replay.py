"""One replay buffer for every agent: a ring of rows on one device.

Row t of one environment holds what arrived and what was done about it,

    obs_t, reward_t, is_first_t, is_last_t, is_terminal_t | action_t, ...

so reward_t answers action_{t-1}, and the row after an is_last row is a reset. Slices cross episode ends on purpose.
Row (t, n) of the ring (L, N) lies at t * N + n of flat storage: gathering rows is then one `index_select`, a memory
copy a row, several times faster than indexing (L, N) with two tensors.
"""

import copy
import logging
import os
import shutil
import tempfile
from math import prod
from pathlib import Path
from typing import Any, cast

import torch
from tensordict import TensorDict
from torch import Tensor

log = logging.getLogger(__name__)

Index = Tensor  # (B, T) int64: where rows lie in flat storage


class ReplayBuffer:
    """Keep the last `capacity` rows of N environments; the first `add` fixes keys, shapes and types."""

    def __init__(
        self, capacity: int, num_envs: int, device: torch.device | str = "cpu", directory: str | Path | None = None
    ) -> None:
        """Plan a ring of L = capacity // num_envs rows for each environment.

        directory: where pixels (uint8 images) lie in a memory-mapped scratch file instead of on the device. The file
        has no name after it is opened, so that nothing is left behind however the process ends.
        """
        if num_envs < 1 or capacity < num_envs:
            raise ValueError(f"replay capacity {capacity} must be at least the number of environments, {num_envs}")
        self.length, self.num_envs = capacity // num_envs, num_envs
        self.readable = range(num_envs)  # environments whose rows are read
        self.shared = 0.0  # share of a drawn batch that comes from all environments nevertheless
        self.device = torch.device(device)
        self.directory = Path(directory) if directory is not None else None
        self.rows: dict[str, Tensor] = {}  # key -> (L * N, ...), allocated by the first add
        self.head = 0  # next time step to write, in [0, L)
        self.size = 0  # time steps that hold data

    def __len__(self) -> int:
        return self.size * len(self.readable)

    def part(self, envs: range, shared: float = 0.0) -> "ReplayBuffer":
        """Return a reader of the rows of some neighbouring environments; it is up to date until the next `add`.

        shared: the share of each batch that `sample` draws from everybody's rows; they come first. `latest` are its own
        in any case. Where rows lie stays the same, so `write_back` takes its indices too.
        """
        assert envs.step == 1 and 0 <= envs.start < envs.stop <= self.num_envs, (envs, self.num_envs)
        assert 0 <= shared <= 1, shared
        reader = copy.copy(self)
        reader.readable, reader.shared = envs, shared
        return reader

    def clear(self) -> None:
        """Hold nothing, in the same storage."""
        self.head = self.size = 0

    @torch.no_grad()
    def add(self, row: TensorDict) -> None:
        """Append one row (N,); overwrite the oldest when the ring is full."""
        assert row.batch_size == (self.num_envs,), (row.batch_size, self.num_envs)
        if not self.rows:
            self.allocate({key: (tuple(value.shape[1:]), value.dtype) for key, value in row.items()})
        assert row.keys() == self.rows.keys(), (sorted(row.keys()), sorted(self.rows))
        for key, value in row.items():
            self.rows[key].narrow(0, self.head * self.num_envs, self.num_envs).copy_(cast(Tensor, value))
        self.head = (self.head + 1) % self.length
        self.size = min(self.size + 1, self.length)

    @torch.no_grad()
    def sample(self, batch: int, length: int) -> tuple[TensorDict, Index]:
        """Draw slices (B, T) uniformly, never across the write head, and say where they lie (B, T).

        Draws from torch's default generator of the device. Raises ValueError while fewer than `length` steps are held.
        """
        if self.size < length:
            more = "--prefill" if self.length >= length else "--replay-size, or lower --num-envs"
            raise ValueError(
                f"slices of {length} steps need as many in the replay, which holds {self.size} of each environment: "
                f"raise {more}"
            )
        start = torch.randint(self.size - length + 1, (batch, 1), device=self.device)  # (B, 1), 0 is the oldest
        shared = round(self.shared * batch)
        anybody = torch.randint(self.num_envs, (shared, 1), device=self.device)
        own = torch.randint(self.readable.start, self.readable.stop, (batch - shared, 1), device=self.device)
        env = torch.cat([anybody, own])  # (B, 1)
        time = self.head - self.size + start + torch.arange(length, device=self.device)  # (B, T)
        index = time % self.length * self.num_envs + env  # (B, T)
        return self.gather(index), index

    @torch.no_grad()
    def latest(self, length: int) -> TensorDict:
        """Return the last `length` rows of every environment (N, T), oldest first: what an on-policy learner reads."""
        if self.size < length:
            raise ValueError(f"the latest {length} steps were asked for, the replay holds {self.size}")
        time = (self.head - length + torch.arange(length, device=self.device)) % self.length  # (T,)
        env = torch.arange(self.readable.start, self.readable.stop, device=self.device).unsqueeze(1)  # (N, 1)
        return self.gather(time * self.num_envs + env)

    @torch.no_grad()
    def write_back(self, index: Index, values: TensorDict) -> None:
        """Overwrite stored keys with values (B, T), e.g. refreshed latent states, before the next `add`.

        Slices may overlap: which of several values for one place stays is not defined on CUDA.
        """
        assert index.shape == values.batch_size, (index.shape, values.batch_size)
        for key, value in values.items():
            rows = self.rows[key]
            rows[index.flatten().to(rows.device)] = value.flatten(0, 1).to(rows.device)

    def gather(self, index: Index) -> TensorDict:
        """Copy the rows at flat places (B, T) out of the ring."""
        rows = {}
        for key, stored in self.rows.items():
            picked = stored.index_select(0, index.flatten().to(stored.device))
            rows[key] = picked.to(self.device).unflatten(0, index.shape)
        return TensorDict(rows, batch_size=index.shape, device=self.device)

    def allocate(self, spec: dict[str, tuple[tuple[int, ...], torch.dtype]]) -> None:
        """Reserve storage for keys of the given shapes (without N) and types; state its size.

        Raises ValueError when it does not fit, with what is needed, what is there and which options change it.
        """
        count = self.length * self.num_envs
        need = {key: count * prod(shape) * dtype.itemsize for key, (shape, dtype) in spec.items()}
        on_disk = {key for key, (shape, dtype) in spec.items() if dtype == torch.uint8 and len(shape) == 3}
        on_disk = on_disk if self.directory is not None else set()
        disk_bytes = sum(need[key] for key in on_disk)
        bytes_here = sum(need.values()) - disk_bytes
        available = available_memory(self.device)
        if bytes_here > available:
            raise ValueError(
                f"the replay of {count} rows needs {gigabytes(bytes_here)} on {self.device}, "
                f"{gigabytes(available)} are available: lower --replay-size or keep pixels on disk with --replay-dir"
            )
        if on_disk:
            log.info("replay: %d rows, %s on %s, %s in %s", count, gigabytes(bytes_here), self.device,
                     gigabytes(disk_bytes), self.directory)  # fmt: skip
        else:
            log.info("replay: %d rows, %s on %s", count, gigabytes(bytes_here), self.device)
        for key, (shape, dtype) in spec.items():
            if key in on_disk and self.directory is not None:
                self.rows[key] = map_scratch_file(self.directory, need[key]).view(count, *shape)
            else:
                self.rows[key] = torch.empty(count, *shape, dtype=dtype, device=self.device)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows held and the place of the write head.

        On CPU the rows share the ring's memory, but not more of it than is filled: save them before the next `add`.
        """
        held = {key: rows[: self.size * self.num_envs].cpu() for key, rows in self.rows.items()}
        # torch.save writes a tensor's whole storage: make storages that end where the data ends
        rows = {key: torch.from_numpy(value.numpy()) for key, value in held.items()}
        return {"rows": rows, "head": self.head, "size": self.size, "length": self.length, "num_envs": self.num_envs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Hold exactly what a buffer of the same shape held; raise ValueError for another shape."""
        if (state_dict["length"], state_dict["num_envs"]) != (self.length, self.num_envs):
            saved = f"{state_dict['length']} x {state_dict['num_envs']}"
            raise ValueError(f"the saved replay is {saved} rows, this one {self.length} x {self.num_envs}")
        rows = state_dict["rows"]
        if rows and not self.rows:
            self.allocate({key: (tuple(value.shape[1:]), value.dtype) for key, value in rows.items()})
        self.head, self.size = state_dict["head"], state_dict["size"]
        for key, value in rows.items():
            self.rows[key][: self.size * self.num_envs] = value


def map_scratch_file(directory: Path, size: int) -> Tensor:
    """Map `size` bytes (uint8) of a new nameless file; raise ValueError when the disk cannot hold them."""
    directory.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    with tempfile.NamedTemporaryFile(dir=directory, prefix="replay-") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk says so here, not by a signal in `add`
        except OSError as error:
            raise ValueError(
                f"the replay's pixels need {gigabytes(size)} in {directory}, {gigabytes(free)} are available: "
                f"lower --replay-size or choose another --replay-dir"
            ) from error
        return torch.from_file(file.name, shared=True, size=size, dtype=torch.uint8)


def available_memory(device: torch.device) -> int:
    """Return bytes that can still be allocated on a device; on CPU, within the control group's limit."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    group = Path("/sys/fs/cgroup")
    limit, used = group / "memory.max", group / "memory.current"
    if limit.exists() and limit.read_text().strip() != "max":
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        in_use = int(used.read_text()) - int(stat["inactive_file"])  # page cache is given back on demand
        available = min(available, int(limit.read_text()) - in_use)
    return available


def gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
