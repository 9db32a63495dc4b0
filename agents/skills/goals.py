"""Go to a goal, or along way-points, by the skill that phi says leads there, chosen anew in every step."""

from collections.abc import Callable

import torch
from tensordict import TensorDict
from torch import Tensor


class Waypoints:
    """Places to be at, one after the other; the last one stays the goal."""

    def __init__(self, places: Tensor, radius: float, size: int, device: torch.device | str) -> None:
        """places: (G,), way-points (W, G), or each environment's own (N, W, G). radius: how near counts as there."""
        if places.ndim not in (1, 2, 3) or places.shape[-1] != size or not places.numel():
            raise ValueError(f"a goal has {size} numbers, (G,), (W, G) or (N, W, G), not {tuple(places.shape)}")
        if radius <= 0:
            raise ValueError(f"the radius of way-points must be above 0, not {radius}")
        while places.ndim < 3:
            places = places.unsqueeze(0)
        self.places, self.radius = places.float().to(device), radius  # (N or 1, W, G)
        self.count = places.shape[1]

    def at(self, number: Tensor) -> Tensor:
        """Return way-points (N, ..., G) by their numbers (N, ...)."""
        places = self.places.expand(len(number), -1, -1)  # (N, W, G)
        index = number.reshape(len(number), -1, 1).expand(-1, -1, places.shape[2])
        return places.gather(1, index).view(*number.shape, -1)

    def advance(self, number: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Go on from way-points (N, ...) that places (N, ..., G) are at; return their numbers, and how far they are."""
        there = (place - self.at(number)).norm(dim=-1) < self.radius
        number = (number + there).clamp(max=self.count - 1)
        return number, (place - self.at(number)).norm(dim=-1)


class ToGoal:
    """A policy that takes z = unit(phi(g) - phi(s)) in every step."""

    def __init__(
        self,
        act: Callable[[Tensor, Tensor], Tensor],
        toward: Callable[[Tensor, Tensor], Tensor],
        reads: str,
        waypoints: Waypoints,
    ) -> None:
        """act: states and skills to actions. toward: places and goals to skills. reads: what is a place."""
        self.skilled, self.toward, self.reads, self.waypoints = act, toward, reads, waypoints

    def initial_carry(self, num_envs: int) -> TensorDict:
        """Return the numbers of the first way-points (N,)."""
        number = torch.zeros(num_envs, dtype=torch.int64, device=self.waypoints.places.device)
        return TensorDict({"number": number}, batch_size=[num_envs])

    @torch.no_grad()
    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        """Answer a timestep (N,); there is nothing to explore."""
        place = timestep[self.reads]  # (N, G)
        number, _ = self.waypoints.advance(carry["number"].masked_fill(timestep["is_first"], 0), place)
        skill = self.toward(place, self.waypoints.at(number))  # (N, Z)
        out = {"action": self.skilled(timestep["state"], skill), "skill": skill}
        batch = timestep.batch_size
        return TensorDict(out, batch_size=batch), TensorDict({"number": number}, batch_size=batch)
