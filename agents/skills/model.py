"""What holding a skill leads to: an ensemble of models of states and places over the steps of one hold.

(state, z) -> change of the state and of the position; learned from rows in which random skills were held.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from agents.evaluation import Environments
from agents.optimization import descend
from world_models.ensemble import Ensemble, EnsembleConfig

HELD_OUT = 0.1  # of the transitions


class Trials(NamedTuple):
    """Skills that were held to the end of their time: T rows in a line."""

    state: Tensor  # (T, O)
    skill: Tensor  # (T, Z)
    change: Tensor  # (T, O + 1 + G) of the state; the reward, left out; of the position


@torch.no_grad()
def try_skills(env: Environments, draw: Callable[[int], Tensor], steps: int) -> Trials:
    """Hold skills that `draw` gives, (N, Z) for N, for `steps` times; those that an episode's end cut are left out.

    env: its actions are skills, as of `agents/skills/env.py`.
    """
    rows = []
    timestep = env.reset()
    for _ in range(steps):
        skill = draw(env.num_envs)
        after = env.step(skill)
        kept = ~after["is_first"] & ~after["is_last"]  # (N,)
        moves = [after[name] - timestep[name] for name in ("state", "position")]
        change = torch.cat([moves[0], torch.zeros_like(moves[0][:, :1]), moves[1]], 1)
        rows.append([x[kept] for x in (timestep["state"], skill, change)])
        timestep = after
    return Trials(*(torch.cat(column) for column in zip(*rows, strict=True)))


class SkillModel(nn.Module):
    """Imagine where sequences of skills lead, each held for `hold` steps."""

    def __init__(self, state_dim: int, skill_dim: int, place_dim: int, hold: int) -> None:
        super().__init__()
        self.hold, self.place_dim = hold, place_dim
        self.ensemble = Ensemble(state_dim, skill_dim, place_dim, EnsembleConfig())

    def fit(self, held: Trials, steps: int) -> dict[str, float]:
        """Learn from transitions in gradient steps; return errors of the position on held-out ones, in its units.

        Beside the root mean square `error` stands `motion`, that of a model by which nothing moves.
        """
        order = torch.randperm(len(held.state), device=held.state.device)
        cut = max(1, int(HELD_OUT * len(order)))
        held_out, seen = (Trials(*(column[some] for column in held)) for some in (order[:cut], order[cut:]))
        self.ensemble.standardize(*seen)
        parameters = list(self.ensemble.parameters())
        config = self.ensemble.config
        optimizer = self.ensemble.optimizer()
        rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            drawn = torch.randint(len(seen.state), (config.members, config.batch), device=order.device)
            descend(optimizer, self.ensemble.loss(*(column[drawn] for column in seen)).mean(), parameters)
            rate.step()
        with torch.no_grad():
            state, skill = (x.expand(config.members, *x.shape) for x in (held_out.state, held_out.skill))
            found = self.ensemble.step(state, skill)[2].mean(0)  # (T, G)
        moved = held_out.change[:, -self.place_dim :]
        errors = {"error": found - moved, "motion": moved}
        return {name: error.square().sum(1).mean().sqrt().item() for name, error in errors.items()}

    @torch.no_grad()
    def imagine(self, timestep: TensorDict, skills: Tensor) -> Tensor:
        """Return places (K, N, n, H, G) after each of the skills (N, n, H, Z), as each of K models sees them."""
        environments, samples, horizon, _ = skills.shape
        members = self.ensemble.config.members
        state, place = (
            timestep[name].repeat_interleave(samples, 0).expand(members, -1, -1) for name in ("state", "position")
        )  # (K, N * n, ...)
        places = []
        for step in range(horizon):
            skill = skills[:, :, step].reshape(1, environments * samples, -1).expand(members, -1, -1)
            state, _, moved, _ = self.ensemble.step(state, skill)
            place = place + moved
            places.append(place.view(members, environments, samples, -1))
        return torch.stack(places, 3)
