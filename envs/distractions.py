"""What moves behind the agent: which frame each environment shows, and when it changes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from envs import videos
from envs.checks import check_choice
from envs.renderer import Backdrop
from envs.videos import Bank

DISTRACTIONS = ("none", "video", "agent", "noise")
WINDOWS = (32, 40, 64)  # InfoPower's levels, in pixels of a picture 64 wide
AGENT_CLIPS, AGENT_LENGTH = 16, 100

# Record the clean task: (clips, frames of each, seed) -> (clips, frames, S, S, 3) uint8, any S.
Recorder = Callable[[int, int, int], Tensor]


class Clips:
    """Play the clips of a bank behind each environment, to and fro, one frame a control step.

    An environment gets a new random clip and start at every episode and, if `change` is not 0, whenever `change`
    control steps have passed. Draws come from a generator of its own, the same number in every call.
    """

    def __init__(self, bank: Bank, num_envs: int, change: int, seed: int) -> None:
        self.bank, self.num_envs, self.change = bank, num_envs, change
        self._starts = bank.lengths.cumsum(0) - bank.lengths  # (videos,) where each begins
        self._periods = (2 * (bank.lengths - 1)).clamp(min=1)  # (videos,) to and fro; a still picture stays
        self._generator = torch.Generator(bank.frames.device).manual_seed(seed)
        self.clip, self.phase = self._draw()  # (N,) int64
        self.age = torch.zeros_like(self.clip)  # (N,) control steps since the clip was drawn

    def advance(self, is_first: Tensor, steps: int) -> None:
        """Move on by `steps` control steps; rows that begin an episode, is_first (N,) bool, get a new clip."""
        age = self.age + steps
        # The remainder is kept, so that with action repeat a clip still lasts `change` steps on average.
        due = age >= self.change if self.change else torch.zeros_like(is_first)
        self.age = torch.where(is_first, 0, torch.where(due, age - self.change, age))
        clip, phase = self._draw()
        renew = is_first | due
        self.clip = torch.where(renew, clip, self.clip)
        self.phase = torch.where(renew, phase, (self.phase + steps) % self._periods[self.clip])

    @property
    def backdrop(self) -> Backdrop:
        """What to show now."""
        frame = torch.minimum(self.phase, self._periods[self.clip] - self.phase)
        return Backdrop(self.bank.frames, (self._starts[self.clip] + frame).to(torch.int32))

    def state_dict(self) -> dict[str, Tensor]:
        """Return what is shown and what will be drawn; the bank itself is made again from its seed or folder."""
        return {
            "clip": self.clip.clone(),
            "phase": self.phase.clone(),
            "age": self.age.clone(),
            "lengths": self.bank.lengths.clone(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on exactly where `state` was taken; raises ValueError if the videos are not those of then."""
        device = self.bank.frames.device
        if not torch.equal(state["lengths"].to(device), self.bank.lengths):
            raise ValueError("the videos have changed since this state was saved: their number or lengths differ")
        for name in ("clip", "phase", "age"):
            setattr(self, name, state[name].to(device, copy=True))
        self._generator.set_state(state["generator"].cpu())

    def _draw(self) -> tuple[Tensor, Tensor]:
        device = self.bank.frames.device
        clip = torch.randint(len(self.bank.lengths), (self.num_envs,), generator=self._generator, device=device)
        phase = torch.randint(2**31, (self.num_envs,), generator=self._generator, device=device)
        return clip, phase % self._periods[clip]


class Noise:
    """Show fresh uniform noise in every frame."""

    def __init__(self, window: int, num_envs: int, seed: int, device: torch.device) -> None:
        self._shape = (num_envs, window, window, 3)
        self._current = torch.arange(num_envs, dtype=torch.int32, device=device)
        self._generator = torch.Generator(device).manual_seed(seed)
        self._redraw()

    def advance(self, is_first: Tensor, steps: int) -> None:
        """Draw the next frames; episodes make no difference."""
        self._redraw()

    @property
    def backdrop(self) -> Backdrop:
        """What to show now."""
        return Backdrop(self._frames, self._current)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the generator as it was before the present frames, which are drawn again when it is loaded."""
        return {"generator": self._before}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on exactly where `state` was taken."""
        self._generator.set_state(state["generator"].cpu())
        self._redraw()

    def _redraw(self) -> None:
        self._before = self._generator.get_state()
        count = int(np.prod(self._shape))
        # Eight bytes a draw: eight times faster than a byte a draw.
        words = torch.randint(
            -(2**63), 2**63 - 1, (-(-count // 8),), generator=self._generator, device=self._current.device
        )
        self._frames = words.view(torch.uint8)[:count].view(self._shape)


Distraction = Clips | Noise


def make(
    name: str,
    num_envs: int,
    size: int = 64,
    window: int = 64,
    change: int = 50,
    split: str = "train",
    seed: int = 0,
    device: torch.device | str = "cpu",
    video_dir: str | Path | None = None,
    memory: int = videos.MEMORY,
    record: Recorder | None = None,
) -> Distraction | None:
    """Make the distraction `name`, or None for "none".

    `window` is in pixels of a picture 64 wide and grows with `size`. `split` says which videos: "train" and
    "held_out" have none in common. "video" reads `video_dir`, or generates its videos. "agent" plays what `record`
    recorded with the clean renderer. `memory` bounds the videos in MiB.
    Raises ValueError for names and numbers that make no sense, and what `videos.from_folder` raises.
    """
    check_choice("distraction", name, DISTRACTIONS)
    check_choice("video_split", split, videos.SPLITS)
    if window not in WINDOWS:
        raise ValueError(f"distraction_window must be one of {', '.join(map(str, WINDOWS))}, got {window}")
    if change < 0:
        raise ValueError(f"video_change must be 0 (every episode) or a number of control steps, got {change}")
    if video_dir is not None and name != "video":
        raise ValueError(f"video_dir is read by the distraction 'video', not by {name!r}")
    if name == "none":
        return None
    device, pixels = torch.device(device), round(window * size / 64)
    own_seed = int(np.random.SeedSequence([seed, DISTRACTIONS.index(name)]).generate_state(1)[0])
    if name == "noise":
        return Noise(pixels, num_envs, own_seed, device)
    if name == "agent":
        bank = _recorded(record, seed, split, pixels, device, memory)
    elif video_dir is not None:
        bank = videos.from_folder(video_dir, split, pixels, device, memory)
    else:
        bank = videos.procedural(seed, split, pixels, device, memory=memory)
    return Clips(bank, num_envs, change, own_seed)


def _recorded(record: Recorder | None, seed: int, split: str, pixels: int, device: torch.device, memory: int) -> Bank:
    """Fill a bank with rollouts, a random stream for each split."""
    if record is None:
        raise ValueError("the distraction 'agent' needs a recorder of the task")
    bank = videos.equal(AGENT_CLIPS, AGENT_LENGTH, pixels, device, memory)
    stream = int(np.random.SeedSequence([seed, videos.SPLITS.index(split)]).generate_state(1)[0])
    bank.frames.copy_(_resize(record(AGENT_CLIPS, AGENT_LENGTH, stream).flatten(0, 1), pixels))
    return bank


def _resize(frames: Tensor, size: int) -> Tensor:
    """Average pixels so that frames become `size` wide: (F, S, S, 3) -> (F, size, size, 3) uint8."""
    if frames.shape[1] == size:
        return frames
    small = torch.nn.functional.interpolate(frames.permute(0, 3, 1, 2).float(), (size, size), mode="area")
    return small.round().to(torch.uint8).permute(0, 2, 3, 1)
