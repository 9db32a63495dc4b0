"""Plans of skills: what they cost, how they are weighted, where they begin."""

import pytest
import torch
from tensordict import TensorDict
from test_skills import row
from torch import Tensor

from agents.skills.goals import Waypoints
from agents.skills.planning import PlanConfig, Planner, weights


class Steps:
    """Each skill moves a place by itself: what a plan imagines, in two equal models."""

    hold = 3

    def imagine(self, timestep: TensorDict, skills: Tensor) -> Tensor:
        return (timestep["position"].view(-1, 1, 1, 2) + skills.cumsum(2)).expand(2, -1, -1, -1, -1)


def test_what_a_plan_costs_by_hand() -> None:
    """Way-points (1, 0) and (1, 2): after the first skill 2 are left, after the second 1."""
    points = Waypoints(torch.tensor([[1.0, 0.0], [1.0, 2.0]]), 0.1, 2, "cpu")
    planner = Planner(lambda state, skill: skill, Steps(), 2, points, PlanConfig(horizon=2))
    skills = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]]).unsqueeze(0)  # (1, 2, 2, 2)
    cost = planner.cost(Steps().imagine(row([[0.0, 0.0]]), skills), torch.zeros(1, dtype=torch.int64))
    torch.testing.assert_close(cost, torch.tensor([[2.0 + 1.0, (2**0.5 + 2) + (1.0 + 2)]]))
    torch.testing.assert_close(weights(torch.tensor([[0.0, 2.0]]), 0.5), torch.softmax(torch.tensor([[0.0, -4.0]]), 1))


def test_weights_do_not_depend_on_the_unit_of_costs() -> None:
    cost = torch.tensor([[0.0, 2.0, 7.0]])
    torch.testing.assert_close(weights(10 * cost, 0.5), weights(cost, 0.5))


def test_the_way_along_three_way_points_by_hand() -> None:
    points = Waypoints(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]), 0.1, 2, "cpu")
    planner = Planner(lambda state, skill: skill, Steps(), 2, points, PlanConfig(horizon=2))
    assert planner.rest().tolist() == [[1 + 2, 2, 0]]


def test_plans_go_along_way_points_and_are_held() -> None:
    torch.manual_seed(0)
    points = Waypoints(torch.tensor([[3.0, 0.0], [3.0, 3.0]]), 0.5, 2, "cpu")
    planner = Planner(lambda state, skill: skill, Steps(), 2, points, PlanConfig(horizon=5))
    carry, place, passed = planner.initial_carry(1), torch.zeros(1, 2), []
    for step in range(27):
        out, carry = planner.act(row(place.tolist(), step == 0), carry)
        place = place + out["skill"] / 3
        passed.append(out["skill"])
    assert all(torch.equal(passed[3 * n], passed[3 * n + 2]) for n in range(9))
    torch.testing.assert_close(passed[0], torch.tensor([[1.0, 0.0]]), atol=0.3, rtol=0)
    assert (place - torch.tensor([3.0, 3.0])).norm() < 1


def test_plans_begin_where_the_last_ended_and_anew_with_an_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan n, counted from 1, is 10 n + 1 to 10 n + 5, each held for 3 rows.

    Both environments plan in rows 0 and 3. In row 4 the second one's next episode begins, and the first goes on.
    """
    points = Waypoints(torch.tensor([[0.0, 0.0], [9.0, 9.0]]), 0.5, 2, "cpu")
    planner = Planner(lambda state, skill: skill, Steps(), 2, points, PlanConfig(horizon=5))
    asked: list[tuple[list[list[float]], list[int]]] = []

    def planned(timestep: TensorDict, mean: Tensor, number: Tensor) -> Tensor:
        asked.append((mean[:, :, 0].tolist(), number.tolist()))
        return (torch.arange(1.0, 6) + 10 * len(asked)).view(1, 5, 1).expand(2, 5, 2)

    monkeypatch.setattr(planner, "planned", planned)
    carry, plans = planner.initial_carry(2), []
    for time in range(7):
        timestep = row([[0.0, 0.0], [0.0, 0.0] if time < 4 else [5.0, 5.0]], time == 0)
        timestep["is_first"][1] = time in (0, 4)
        _, carry = planner.act(timestep, carry)
        plans.append(carry["plan"][:, 0, 0].tolist())
    assert plans == [[11, 11]] * 3 + [[21, 21], [21, 31], [21, 31], [41, 31]]
    means, numbers = zip(*asked, strict=True)
    assert means[0] == [[0] * 5] * 2 and means[1] == [[12, 13, 14, 15, 0]] * 2
    assert means[2][1] == [0] * 5 and means[3][0] == [22, 23, 24, 25, 0]
    assert numbers[1:3] == ([1, 1], [1, 0])
