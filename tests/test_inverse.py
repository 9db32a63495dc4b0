"""The inverse model's density: normalised, uniform at first, able to fit bang-bang actions."""

import math

import pytest
import torch

from world_models.nets import InverseModel


def random_model(action_dim: int, bins: int) -> InverseModel:
    torch.manual_seed(0)
    model = InverseModel(3, action_dim, 7, bins)
    torch.nn.init.normal_(model.net[-1].weight)
    torch.nn.init.normal_(model.net[-1].bias)
    return model


@pytest.mark.parametrize("bins", [2, 5, 11])
def test_density_integrates_to_one(bins: int) -> None:
    model = random_model(1, bins)
    grid = torch.linspace(-1, 1, 20_001)[:, None]
    density = model(torch.randn(1, 3).expand(len(grid), 3), grid).exp().flatten()
    assert torch.trapezoid(density, grid.flatten()).item() == pytest.approx(1, abs=1e-4)


def test_starts_uniform() -> None:
    log_prob = InverseModel(3, 2, 7)(torch.randn(5, 3), torch.rand(5, 2) * 2 - 1)
    torch.testing.assert_close(log_prob, torch.full((5, 2), -math.log(2)))


def test_linear_between_knots() -> None:
    model, codes = random_model(1, 5), torch.randn(1, 3)
    left, middle, right = (model(codes, torch.tensor([[a]])).exp().item() for a in (-0.5, -0.25, 0.0))
    assert middle == pytest.approx((left + right) / 2, rel=1e-5)


def test_gradient_in_the_action_is_the_slope() -> None:
    model, codes = random_model(2, 5), torch.randn(1, 3).double()
    model.double()
    action = torch.tensor([[-0.3, 0.7]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, (codes.requires_grad_(), action))


def test_fits_bang_bang_actions_better_than_uniform() -> None:
    """Actions are -1 or 1 by the sign of the first code: a density may exceed uniform by more than 2 nats."""
    torch.manual_seed(0)
    model = InverseModel(3, 1, 16)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    codes = torch.randn(512, 3)
    for _ in range(150):
        loss = -model(codes, codes[:, :1].sign()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    held_out = torch.randn(512, 3)
    assert model(held_out, held_out[:, :1].sign()).mean().item() > 1.0


def test_an_action_held_for_impossible_keeps_density_and_gradient_finite() -> None:
    """On the first of two knots, 400 nats below the second, a density is 0 in float32 and its logarithm infinite."""
    model = InverseModel(3, 1, 7, bins=2)
    with torch.no_grad():
        model.net[-1].bias.copy_(torch.tensor([-200.0, 200.0]))
    codes = torch.randn(5, 3, requires_grad=True)
    log_prob = model(codes, torch.full((5, 1), -1.0))
    log_prob.sum().backward()
    assert log_prob.isfinite().all() and (log_prob < -80).all()
    assert all(p.grad.isfinite().all() for p in model.parameters()) and codes.grad.isfinite().all()
