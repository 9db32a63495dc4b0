"""The recurrent state-space model: resets, the fused recurrence, both posteriors."""

import pytest
import torch

from world_models.latents import CategoricalLatent, GaussianLatent, Latent
from world_models.rssm import POSTERIORS, Core
from world_models.slices import shift, slice_resets

B, T, A, D, S, E = 3, 7, 2, 11, 5, 13
LATENTS: dict[str, Latent] = {"gaussian": GaussianLatent(S), "categorical": CategoricalLatent(S, 3)}


@pytest.fixture(params=LATENTS)
def core(request: pytest.FixtureRequest) -> Core:
    torch.manual_seed(0)
    return Core(A, D, LATENTS[request.param], hidden=17)


def test_rollout_equals_steps(core: Core) -> None:
    stoch, action = torch.randn(B, T, core.stoch), torch.rand(B, T, A)
    reset = slice_resets(torch.rand(B, T) < 0.3)
    deter, steps = torch.randn(B, D), []
    for t in range(T):
        deter = core.step(deter, stoch[:, t], action[:, t], reset[:, t])
        steps.append(deter)
    torch.testing.assert_close(core.rollout(stoch, action, reset), torch.stack(steps, 1))


def test_a_step_in_which_nothing_resets_needs_no_flags(core: Core) -> None:
    deter, stoch, action = torch.randn(B, D), torch.randn(B, core.stoch), torch.rand(B, A)
    flagged = core.step(deter, stoch, action, torch.zeros(B, dtype=torch.bool))
    torch.testing.assert_close(core.step(deter, stoch, action), flagged)


def test_reset_forgets_everything(core: Core) -> None:
    """The state after a reset is the learned start, whatever was before."""
    always = torch.ones(B, dtype=torch.bool)
    after = [core.step(10 * torch.randn(B, D), torch.randn(B, core.stoch), torch.rand(B, A), always) for _ in range(2)]
    torch.testing.assert_close(after[0], after[1], rtol=0, atol=0)
    torch.testing.assert_close(after[0], after[0][:1].expand(B, D))


def test_reset_stops_gradients(core: Core) -> None:
    deter = torch.randn(B, D, requires_grad=True)
    reset = torch.tensor([True, False, True])
    core.step(deter, torch.randn(B, core.stoch), torch.rand(B, A), reset).sum().backward()
    assert (deter.grad[reset] == 0).all() and (deter.grad[~reset] != 0).any()


def test_the_reset_gate_is_not_learned(core: Core) -> None:
    before = core.gru.weight_ih_l0[:, -1].clone()
    optimizer = torch.optim.Adam(core.parameters(), 0.1)
    core.rollout(torch.randn(B, T, core.stoch), torch.rand(B, T, A), torch.rand(B, T) < 0.5).square().sum().backward()
    optimizer.step()
    assert (core.gru.weight_ih_l0[:, -1] == before).all()
    assert (core.gru.weight_ih_l0.grad[:, :-1] != 0).any()


@pytest.mark.parametrize("name", POSTERIORS)
def test_observe_equals_acting(core: Core, name: str) -> None:
    """Filtering a slice gives the states that stepping through it gives, with the same latent samples."""
    posterior = POSTERIORS[name](E, core)
    embed, action, reset = torch.randn(B, T, E), torch.rand(B, T, A), slice_resets(torch.rand(B, T) < 0.3)
    trace = posterior.observe(core, embed, shift(action), reset)
    deter, stoch, previous, before = torch.zeros(B, D), torch.zeros(B, core.stoch), torch.zeros(B, A), embed[:, 0]
    for t in range(T):
        deter = core.step(deter, stoch, previous, reset[:, t])
        before = torch.where(reset[:, t, None], embed[:, t], before)
        post = posterior(embed[:, t], before, deter)
        torch.testing.assert_close(trace.deter[:, t], deter)
        torch.testing.assert_close(trace.post[0][:, t], post[0])  # mean, or logarithms of probabilities
        stoch, previous, before = trace.stoch[:, t], action[:, t], embed[:, t]
    torch.testing.assert_close(trace.prior[0], core.prior(trace.deter)[0])


def test_one_posterior_reads_the_picture_before_and_the_other_the_recurrent_state(core: Core) -> None:
    embed, zeros, ones = torch.randn(1, E), torch.zeros(1, D), torch.ones(1, D)
    for name, recurrent in (("observation", False), ("recurrent", True)):
        posterior = POSTERIORS[name](E, core)
        before, h = posterior(embed, embed + 1, zeros)[0], posterior(embed, embed, ones)[0]
        mean = posterior(embed, embed, zeros)[0]
        assert torch.equal(mean, h) != recurrent and torch.equal(mean, before) == recurrent
