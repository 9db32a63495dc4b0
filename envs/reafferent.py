"""A background that acting brings about: a fixed function of time and action (PSP, arXiv 2412.05766).

It can be predicted perfectly and is of no use, so a world model that spends itself on what it can predict fails. A grid
of coloured cells is drawn for every pair of a cell of the action space and a time. The grid's 16 cells a side and the
order of the pairs are those of the authors' code; how many pairs there are is our choice.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from envs import videos
from envs.scene import Backdrop, Scene

SIDE = 16  # cells of the grid along each side
TIMES = 32  # frames after which time begins again
ACTIONS = 64  # cells of the action space, at most


class Reafferent:
    """Show behind each environment what its action and the number of frames since its episode began make of it.

    The first action dimensions, at most six, are cut into equal intervals. A row that begins an episode, whose action
    is ignored, shows what the action 0 would. Nothing is random but the colours, and those never change.
    """

    fields: tuple[str, ...] = ()

    def __init__(
        self,
        window: int,
        num_envs: int,
        action_dim: int,
        seed: list[int],
        device: torch.device,
        memory: int = videos.MEMORY,
    ) -> None:
        self._dims = min(action_dim, ACTIONS.bit_length() - 1)
        self._intervals = int(ACTIONS ** (1 / self._dims) + 1e-9)  # of each dimension: the root rounded down
        cells = self._intervals**self._dims
        self._frames = videos.equal(cells, TIMES, window, device, memory).frames
        grids = np.random.default_rng(seed).integers(256, size=(cells * TIMES, SIDE, SIDE, 3), dtype=np.uint8)
        nearest = torch.arange(window, device=device) * SIDE // window  # the grid's cell at each pixel
        self._frames.copy_(torch.from_numpy(grids).to(device)[:, nearest][:, :, nearest])
        places = self._intervals ** np.arange(self._dims)[::-1]
        self._places = torch.from_numpy(places.copy()).to(device)  # (dims,) of the digits of a cell's number
        self._time = torch.zeros(num_envs, dtype=torch.int64, device=device)  # frames since the episode began
        self._current = torch.zeros(num_envs, dtype=torch.int32, device=device)

    def advance(self, is_first: Tensor, steps: int, action: Tensor, poses: Mapping[str, Tensor]) -> None:
        """Move on by one frame, to what the actions (N, A) make of it."""
        moved = is_first | (steps > 0)
        self._time = torch.where(is_first, 0, self._time + int(steps > 0))
        action = torch.where(is_first.unsqueeze(1), 0.0, action)[:, : self._dims]
        digits = ((action + 1) / 2 * self._intervals).long().clamp(0, self._intervals - 1)  # (N, dims)
        cell = (digits * self._places).sum(1)
        self._current = torch.where(moved, (cell * TIMES + self._time % TIMES).to(torch.int32), self._current)

    @property
    def backdrop(self) -> Backdrop:
        """What to show now."""
        return Backdrop(self._frames, self._current)

    def apply(self, scene: Scene) -> Scene:
        """Return the scene in front of it."""
        return scene._replace(backdrop=self.backdrop)

    def seed(self, seed: int) -> None:
        """Draw nothing: the colours were drawn when it was made."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return the time and what is shown; the grids are made again from their seed."""
        return {"time": self._time.clone(), "current": self._current.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on exactly where `state` was taken."""
        self._time = state["time"].to(self._time.device, copy=True)
        self._current = state["current"].to(self._time.device, copy=True)
