"""What moves behind the agent: which frame each environment shows, and when it changes."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from envs.generators import go_on
from envs.scene import Backdrop, Scene
from envs.videos import Bank


class Clips:
    """Play the clips of a bank behind each environment, to and fro, one frame a control step.

    An environment gets a new random clip and start at every episode and, if `change` is not 0, whenever `change`
    control steps have passed. Draws come from a generator of its own, the same number in every call. `around` the scene
    or in a window: see `Backdrop`.
    """

    fields: tuple[str, ...] = ()

    def __init__(self, bank: Bank, num_envs: int, change: int, seed: int, around: bool = False) -> None:
        self.bank, self.num_envs, self.change, self.around = bank, num_envs, change, around
        self._starts = bank.lengths.cumsum(0) - bank.lengths  # (videos,) where each begins
        self._periods = (2 * (bank.lengths - 1)).clamp(min=1)  # (videos,) to and fro; a still picture stays
        self._generator = torch.Generator(bank.frames.device).manual_seed(seed)
        self.clip, self.phase = self._draw()  # (N,) int64
        self.age = torch.zeros_like(self.clip)  # (N,) control steps since the clip was drawn

    def advance(self, is_first: Tensor, steps: int, action: Tensor, poses: Mapping[str, Tensor]) -> None:
        """Move on by `steps` control steps; rows that begin an episode, is_first (N,) bool, get a new clip."""
        age = self.age + steps
        due = torch.zeros_like(is_first)
        if self.change:  # the remainder is kept, so that with action repeat a clip still lasts so long on average
            due, age = age >= self.change, age % self.change
        self.age = torch.where(is_first, 0, age)
        clip, phase = self._draw()
        renew = is_first | due
        self.clip = torch.where(renew, clip, self.clip)
        self.phase = torch.where(renew, phase, (self.phase + steps) % self._periods[self.clip])

    @property
    def backdrop(self) -> Backdrop:
        """What to show now."""
        frame = torch.minimum(self.phase, self._periods[self.clip] - self.phase)
        return Backdrop(self.bank.frames, (self._starts[self.clip] + frame).to(torch.int32), self.around)

    def apply(self, scene: Scene) -> Scene:
        """Return the scene in front of the clips."""
        return scene._replace(backdrop=self.backdrop)

    def seed(self, seed: int) -> None:
        """Draw from another seed from now on, of the same bank."""
        self._generator.manual_seed(seed)

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
        """Go on exactly where `state` was taken; raises ValueError for videos of another number or other lengths."""
        device = self.bank.frames.device
        if not torch.equal(state["lengths"].to(device), self.bank.lengths):
            raise ValueError("the videos have changed since this state was saved: their number or lengths differ")
        for name in ("clip", "phase", "age"):
            setattr(self, name, state[name].to(device, copy=True))
        go_on(self._generator, state["generator"])

    def _draw(self) -> tuple[Tensor, Tensor]:
        device = self.bank.frames.device
        clip = torch.randint(len(self.bank.lengths), (self.num_envs,), generator=self._generator, device=device)
        phase = torch.randint(2**31, (self.num_envs,), generator=self._generator, device=device)
        return clip, phase % self._periods[clip]


class Noise:
    """Show fresh uniform noise in every frame."""

    fields: tuple[str, ...] = ()

    def __init__(self, window: int, num_envs: int, seed: int, device: torch.device) -> None:
        self._shape = (num_envs, window, window, 3)
        self._current = torch.arange(num_envs, dtype=torch.int32, device=device)
        self._generator = torch.Generator(device).manual_seed(seed)
        self._redraw()

    def advance(self, is_first: Tensor, steps: int, action: Tensor, poses: Mapping[str, Tensor]) -> None:
        """Draw the next frames; neither episodes nor steps make a difference."""
        self._redraw()

    @property
    def backdrop(self) -> Backdrop:
        """What to show now."""
        return Backdrop(self._frames, self._current)

    def apply(self, scene: Scene) -> Scene:
        """Return the scene in front of the noise."""
        return scene._replace(backdrop=self.backdrop)

    def seed(self, seed: int) -> None:
        """Draw from another seed from now on."""
        self._generator.manual_seed(seed)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the generator as it was before the present frames, which are drawn again when it is loaded."""
        return {"generator": self._before}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on exactly where `state` was taken."""
        go_on(self._generator, state["generator"])
        self._redraw()

    def _redraw(self) -> None:
        self._before = self._generator.get_state()
        count = int(np.prod(self._shape))
        # Eight bytes a draw: eight times faster than a byte a draw.
        words = torch.randint(
            -(2**63), 2**63 - 1, (-(-count // 8),), generator=self._generator, device=self._current.device
        )
        self._frames = words.view(torch.uint8)[:count].view(self._shape)
