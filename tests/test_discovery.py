"""phi: what it learns, the bound that it keeps to, and the multiplier that holds it there."""

import math

import pytest
import torch
from torch.nn import functional as F

from agents.slim.discovery import ConstrainedPhi, Discovery, DiscoveryConfig, Phi
from agents.slim.priors import drawn_skills, even_skills

CONFIG = DiscoveryConfig(hidden=19, steps=60, batch=67, lr=5e-3)


def walks(count: int = 997) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Steps that each skill takes in its own direction, turned by a right angle; a third axis rests."""
    skill = drawn_skills(torch.zeros(count, 2))
    before = F.pad(2 * torch.randn(count, 2), (0, 1))
    move = torch.stack([-skill[:, 1], skill[:, 0], torch.zeros(count)], 1) + 0.05 * torch.randn(count, 3)
    return before, before + 0.3 * move, skill


def learned(name: str, config: DiscoveryConfig = CONFIG) -> tuple[Discovery, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    discovery, steps = Discovery(name, 3, 2, config, "cpu"), walks()
    discovery.see(steps[0])
    for _ in range(8):
        metrics = discovery.learn(*steps)
    return discovery, metrics


@pytest.mark.parametrize("name", ["discovery", "metra", "lsd"])
def test_skills_lead_where_phi_says(name: str) -> None:
    discovery, metrics = learned(name)
    before, after, skill = walks()
    here, there = discovery.reward(before, after, skill), discovery.reward(before, after, -skill)
    assert (here > there).float().mean() > 0.8
    goal = torch.tensor([0.0, 5, 0]).expand(997, 3)  # along the second axis, where skill (1, 0) leads
    assert discovery.objective.toward(torch.zeros(997, 3), goal)[0, 0] > 0.9
    assert all(value.shape == () and value.isfinite() and not value.requires_grad for value in metrics.values())


def test_diayn_learns_which_skill_was_where() -> None:
    """Skills that stay at their own places: told from there, and not from elsewhere."""
    torch.manual_seed(0)
    discovery, skill = Discovery("diayn", 3, 2, CONFIG, "cpu"), drawn_skills(torch.zeros(997, 2))
    place = F.pad(2 * skill, (0, 1))
    discovery.see(place)
    for _ in range(8):
        metrics = discovery.learn(place, place, skill)
    assert (discovery.reward(place, place, skill) > discovery.reward(place, -place, skill) + 1).float().mean() > 0.9
    assert (discovery.objective.toward(-place, place) * skill).sum(1).mean() > 0.95
    assert all(value.shape == () and value.isfinite() and not value.requires_grad for value in metrics.values())


def test_diayn_asks_how_likely_the_skill_is() -> None:
    torch.manual_seed(0)
    discovery = Discovery("diayn", 3, 2, CONFIG, "cpu")
    before, after, skill = walks(5)
    mean, raw = discovery.phi(after).chunk(2, 1)
    expected = torch.distributions.Normal(mean, F.softplus(raw) + 0.1).log_prob(skill).sum(1)
    torch.testing.assert_close(discovery.reward(before, after, skill), expected.detach())


@pytest.mark.parametrize("name", ["discovery", "lsd"])
def test_phi_goes_no_farther_than_the_place(name: str) -> None:
    discovery, metrics = learned(name)
    before, after, _ = walks()
    coded = (discovery.phi(after) - discovery.phi(before)).norm(dim=1)
    gone = (after - before).norm(dim=1) / discovery.phi.unit
    assert (coded / gone).mean() < 1.01 and (coded / gone).max() < (1.001 if name == "lsd" else 1.4)
    assert metrics["discovery/gain"] > 0.6


def test_a_step_of_time_is_as_long_as_the_mean_step() -> None:
    """Steps of 1 and 3 deviations, mean square 5, coded as they are: stretched by 1/5 and 9/5, or both by 1."""
    before, after = torch.zeros(2, 2), torch.tensor([[1.0, 0], [0, 3]])
    for name, held in (("metra", [0.01, -0.8]), ("discovery", [0.0, 0.0])):
        discovery = Discovery(name, 2, 2, DiscoveryConfig(slack=0.01), "cpu")
        discovery.phi.net = torch.nn.Identity()  # type: ignore[assignment]
        loss, metrics = discovery.objective.losses(before, after, torch.tensor([[1.0, 0], [0, -1]]))
        assert metrics["discovery/stretch"].item() == pytest.approx(1, abs=1e-5)
        assert metrics["discovery/slack"].item() == pytest.approx(sum(held) / 2, abs=1e-5)
        gain = torch.tensor([1.0, -3]) / math.sqrt(5)
        torch.testing.assert_close(loss.detach(), -gain - 30 * torch.tensor(held), atol=1e-4, rtol=0)


def test_all_axes_of_a_place_have_one_unit() -> None:
    """Deviations of 1 and 7: mean square 25."""
    phi = Phi(2, 3, 5)
    phi.normalizer.update(torch.tensor([[-1.0, -7.0], [1.0, 7.0]]))
    assert phi.unit.item() == pytest.approx(5)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_multiplier_grows_where_the_bound_is_broken_and_else_falls(factor: float) -> None:
    torch.manual_seed(0)
    discovery, steps = Discovery("discovery", 3, 2, DiscoveryConfig(steps=1, lr=0.0), "cpu"), walks()
    discovery.see(steps[0])
    objective = discovery.objective
    assert isinstance(objective, ConstrainedPhi)
    objective.phi.net = torch.nn.Linear(3, 2, bias=False)  # type: ignore[assignment]
    objective.phi.net.weight.data = factor * torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    duals = [objective.log_dual.exp().item()]
    for _ in range(3):
        duals.append(discovery.learn(*steps)["discovery/dual"].item())
    assert duals == sorted(duals, reverse=factor < 1) and len(set(duals)) == 4


def test_phi_and_its_multiplier_are_all_that_moves() -> None:
    torch.manual_seed(0)
    discovery, steps = Discovery("discovery", 3, 2, CONFIG, "cpu"), walks()
    before = {name: value.clone() for name, value in discovery.objective.state_dict().items()}
    discovery.learn(*steps)
    after = discovery.objective.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    nets = {name for name in after if name.startswith("phi.net.")}
    assert moved == nets - {"phi.net.4.bias"} | {"log_dual"}  # of which a difference holds nothing


def test_what_never_moves_is_no_discovery() -> None:
    discovery, place = Discovery("discovery", 3, 2, CONFIG, "cpu"), torch.full((11, 3), 0.7)
    discovery.see(place)
    metrics = discovery.learn(place, place, drawn_skills(torch.zeros(11, 2)))
    assert discovery.reward(place, place, torch.ones(11, 2)).tolist() == [0] * 11
    assert all(value.isfinite() for value in metrics.values()) and metrics["discovery/gain"] == 0


@pytest.mark.parametrize("skill_dim", [1, 2, 3, 5])
def test_even_skills_cover_the_sphere(skill_dim: int) -> None:
    """Of 60, the nearest to any skill is nearer than among 60 drawn at random; in the plane, within 2 x 360/60."""
    torch.manual_seed(0)
    even, drawn = even_skills(torch.arange(60), skill_dim), drawn_skills(torch.zeros(600, skill_dim))
    torch.testing.assert_close(even.norm(dim=1), torch.ones(60))
    nearest = (drawn @ even.T).max(1).values
    at_random = (drawn @ drawn_skills(torch.zeros(60, skill_dim)).T).max(1).values
    assert nearest.min() >= at_random.min() - 1e-6
    if skill_dim == 2:
        assert nearest.min() > math.cos(math.radians(12))
