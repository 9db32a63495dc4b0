"""Where held skills lead: tried in scripted environments, learned, imagined by hand."""

import pytest
import torch
from tensordict import TensorDict
from test_skill_env import Beneath, act
from torch import Tensor
from torch.nn import functional as F

from agents.skills.env import SkillEnv
from agents.skills.model import SkillModel, Trials, try_skills


class Placed(Beneath):
    """The place is the square of the step in the episode."""

    def timestep(self, reward: list[float], first: list[bool]) -> TensorDict:
        timestep = super().timestep(reward, first)
        return timestep.set("position", timestep["state"][:, 1:].square())


def test_skills_that_an_episode_s_end_cut_are_left_out() -> None:
    """Episodes of 2, 3 and 5 steps, held for 2; the skills say the time and the environment in which they are tried."""
    skills = iter(torch.cartesian_prod(torch.arange(4.0), torch.arange(3.0)).split(3))
    held = try_skills(SkillEnv(Placed(), act, 2, 2), lambda count: next(skills), 4)
    assert held.state.tolist() == [[1, 0], [1, 0], [1, 2], [3, 0]]  # 2 began within a hold, and was reset
    assert held.skill.tolist() == [[0, 1], [0, 2], [1, 2], [3, 1]]
    assert held.change.tolist() == [[0, 2, 0, 4], [0, 2, 0, 4], [0, 2, 0, 12], [0, 2, 0, 4]]


def test_places_that_skills_lead_to_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state moves by the skill, and the place by the new state, times the model's number."""
    model = SkillModel(1, 1, 1, 5)

    def step(state: Tensor, skill: Tensor) -> tuple[Tensor, None, Tensor, None]:
        after = state + skill
        return after, None, torch.arange(4.0).view(4, 1, 1) * after, None

    monkeypatch.setattr(model.ensemble, "step", step)
    start = {"state": torch.tensor([[1.0], [2.0]]), "position": torch.tensor([[10.0], [20.0]])}
    skills = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[7.0, 0.0], [-2.0, 1.0], [0.0, -2.0]]])  # (2, 3, 2)
    places = model.imagine(TensorDict(start, batch_size=[2]), skills.unsqueeze(-1)).squeeze(-1)  # (4, 2, 3, 2)
    assert places[0].tolist() == [[[10, 10]] * 3, [[20, 20]] * 3]
    assert places[1].tolist() == [[[12, 16], [14, 22], [16, 28]], [[29, 38], [20, 21], [22, 22]]]
    assert places[3, 0, 0].tolist() == [16, 28]


def test_it_learns_where_skills_lead() -> None:
    """All move the place by 3, in their direction."""
    torch.manual_seed(0)
    skill = F.normalize(torch.randn(307, 2), dim=1)
    state, model = torch.randn(307, 5), SkillModel(5, 2, 2, 5)
    errors = model.fit(Trials(state, skill, torch.cat([torch.zeros(307, 6), 3 * skill], 1)), 50)
    assert errors["motion"] == pytest.approx(3) and errors["error"] < 0.3


def test_what_errors_are_told_of_was_not_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 40 transitions, whose states are their numbers, a tenth is held out."""
    model, seen = SkillModel(1, 2, 2, 5), list[Tensor]()
    loss, step = model.ensemble.loss, model.ensemble.step
    monkeypatch.setattr(model.ensemble, "loss", lambda state, *rest: seen.append(state) or loss(state, *rest))
    monkeypatch.setattr(model.ensemble, "step", lambda state, *rest: seen.append(state) or step(state, *rest))
    model.fit(Trials(torch.arange(40.0).unsqueeze(1), torch.randn(40, 2), torch.randn(40, 4)), 5)
    *learned, asked = (set(state.flatten().tolist()) for state in seen)
    assert len(learned) == 5 and len(asked) == 4 and not asked & set.union(*learned)
