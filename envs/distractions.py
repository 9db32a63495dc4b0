"""What moves behind the agent: which frame each environment shows, and when it changes."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from envs import videos
from envs.renderer import Backdrop

DISTRACTIONS = ("none", "video", "agent", "noise")
WINDOWS = (32, 40, 64)  # InfoPower's levels, in pixels of a picture 64 wide
AGENT_CLIPS, AGENT_LENGTH = 16, 100

# Record the clean task: (clips, frames of each, seed) -> (clips, frames, S, S, 3) uint8, any S.
Recorder = Callable[[int, int, int], Tensor]


class Clips:
    """Play clips of a bank behind each environment, to and fro, one frame a control step.

    An environment gets a new random clip and start at every episode and, if `change` is not 0, whenever `change`
    control steps have passed. Draws come from a generator of its own, the same number in every call.
    """

    def __init__(self, bank: Tensor, num_envs: int, change: int, seed: int) -> None:
        if change < 0:
            raise ValueError(f"video_change must be 0 (every episode) or a number of control steps, got {change}")
        self.bank, self.num_envs, self.change = bank, num_envs, change  # bank (clips, length, window, window, 3) uint8
        self._frames = bank.flatten(0, 1)
        self._generator = torch.Generator(bank.device).manual_seed(seed)
        self.clip, self.phase = self._draw()  # (N,) int64
        self.age = torch.zeros_like(self.clip)  # (N,) control steps since the clip was drawn

    def advance(self, is_first: Tensor, steps: int) -> None:
        """Move on by `steps` control steps; rows that begin an episode, is_first (N,) bool, get a new clip."""
        self.age += steps
        renew = is_first | (self.age >= self.change) if self.change else is_first
        # The remainder is kept, so that with action repeat a clip still lasts `change` steps on average.
        age = torch.where(is_first, 0, self.age - self.change) if self.change else torch.zeros_like(self.age)
        self.age = torch.where(renew, age, self.age)
        clip, phase = self._draw()
        self.clip = torch.where(renew, clip, self.clip)
        self.phase = torch.where(renew, phase, (self.phase + steps) % self._period)

    @property
    def backdrop(self) -> Backdrop:
        """What to show now."""
        length = self.bank.shape[1]
        frame = torch.minimum(self.phase, self._period - self.phase)
        return Backdrop(self._frames, (self.clip * length + frame).to(torch.int32))

    def state_dict(self) -> dict[str, Tensor]:
        """Return what is shown and what will be drawn; the bank is rebuilt from its seed or folder."""
        return {
            "clip": self.clip.clone(),
            "phase": self.phase.clone(),
            "age": self.age.clone(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on exactly where `state` was taken."""
        for name in ("clip", "phase", "age"):
            setattr(self, name, state[name].to(self.bank.device, copy=True))
        self._generator.set_state(state["generator"].cpu())

    @property
    def _period(self) -> int:
        return max(2 * (self.bank.shape[1] - 1), 1)  # to and fro; a still picture repeats

    def _draw(self) -> tuple[Tensor, Tensor]:
        def draw(high: int) -> Tensor:
            return torch.randint(high, (self.num_envs,), generator=self._generator, device=self.bank.device)

        return draw(self.bank.shape[0]), draw(self._period)


class Noise:
    """Show fresh uniform noise in every frame."""

    def __init__(self, window: int, num_envs: int, seed: int, device: torch.device) -> None:
        self._shape = (num_envs, window, window, 3)
        self._index = torch.arange(num_envs, dtype=torch.int32, device=device)
        self._generator = torch.Generator(device).manual_seed(seed)
        self._redraw()

    def advance(self, is_first: Tensor, steps: int) -> None:
        """Draw the next frames; episodes make no difference."""
        self._redraw()

    @property
    def backdrop(self) -> Backdrop:
        """What to show now."""
        return Backdrop(self._frames, self._index)

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
            -(2**63), 2**63 - 1, (-(-count // 8),), generator=self._generator, device=self._index.device
        )
        self._frames = words.view(torch.uint8)[:count].view(self._shape)


Distraction = Clips | Noise


def make(
    name: str,
    num_envs: int,
    *,
    size: int = 64,
    window: int = 64,
    change: int = 50,
    split: str = "train",
    seed: int = 0,
    device: torch.device | str = "cpu",
    record: Recorder | None = None,
) -> Distraction | None:
    """Make the distraction `name`, or None for "none".

    `window` is in pixels of a picture 64 wide and grows with `size`. `split` says which videos: "train" and
    "held_out" have none in common. "agent" plays what `record` recorded with the clean renderer.
    """
    if name not in DISTRACTIONS:
        raise ValueError(f"unknown distraction {name!r}: choose one of {', '.join(DISTRACTIONS)}")
    if window not in WINDOWS:
        raise ValueError(f"distraction_window must be one of {WINDOWS}, got {window}")
    if split not in videos.SPLITS:
        raise ValueError(f"video_split must be one of {', '.join(videos.SPLITS)}, got {split!r}")
    if name == "none":
        return None
    device, pixels = torch.device(device), round(window * size / 64)
    own_seed = int(np.random.SeedSequence([seed, DISTRACTIONS.index(name)]).generate_state(1)[0])
    if name == "noise":
        return Noise(pixels, num_envs, own_seed, device)
    if name == "video":
        bank = videos.procedural(seed, split, pixels, device)
    else:
        if record is None:
            raise ValueError("the distraction 'agent' needs a recorder of the task")
        stream = np.random.SeedSequence([seed, videos.SPLITS.index(split)]).generate_state(1)
        bank = _resize(record(AGENT_CLIPS, AGENT_LENGTH, int(stream[0])), pixels).to(device)
    return Clips(bank, num_envs, change, own_seed)


def _resize(bank: Tensor, size: int) -> Tensor:
    """Average pixels so that frames become `size` wide: (..., S, S, 3) -> (..., size, size, 3) uint8."""
    if bank.shape[-2] == size:
        return bank
    flat = bank.flatten(0, -4).permute(0, 3, 1, 2).float()  # (frames, 3, S, S)
    small = torch.nn.functional.interpolate(flat, (size, size), mode="area")
    return small.round().to(torch.uint8).permute(0, 2, 3, 1).reshape(*bank.shape[:-3], size, size, 3).contiguous()
