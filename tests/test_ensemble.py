"""An ensemble of one-step models: against separate networks, and on a system that is known."""

import torch
from torch import nn

from world_models.ensemble import Ensemble, EnsembleConfig

K, B, OBS, A, M = 3, 11, 5, 2, 1


def make_ensemble() -> Ensemble:
    torch.manual_seed(0)
    return Ensemble(OBS, A, M, EnsembleConfig(members=K, hidden=17))


def test_members_are_separate_networks() -> None:
    ensemble, state, action = make_ensemble(), torch.randn(K, B, OBS), torch.randn(K, B, A)
    for bias in ensemble.nets.biases:
        nn.init.normal_(bias)
    for k, predicted in enumerate(ensemble(state, action)):
        linear = [nn.Linear(*weight.shape[1:]) for weight in ensemble.nets.weights]
        for layer, weight, bias in zip(linear, ensemble.nets.weights, ensemble.nets.biases, strict=True):
            layer.weight.data, layer.bias.data = weight[k].T.contiguous(), bias[k, 0]
        net = nn.Sequential(linear[0], nn.ELU(), linear[1], nn.ELU(), linear[2])
        torch.testing.assert_close(predicted, net(torch.cat([state[k], action[k]], -1)))


def test_standardised_targets_come_back_in_their_units() -> None:
    """A net that says nothing predicts the mean of the data: a change of 3 and rewards of 7."""
    ensemble = make_ensemble()
    for parameter in ensemble.parameters():
        nn.init.zeros_(parameter)
    target = torch.cat([torch.full((B, OBS), 3.0), torch.full((B, 1), 7.0), torch.full((B, M), -2.0)], 1)
    target += torch.tensor([1.0, -1.0] * B)[:B, None] * torch.tensor([0.5] * OBS + [2.0] + [4.0] * M)
    ensemble.standardize(torch.randn(B, OBS), torch.randn(B, A), target)
    state = torch.randn(K, B, OBS)
    after, reward, readings, ended = ensemble.step(state, torch.randn(K, B, A))
    assert ended.shape == (K, B) and not ended.any()
    torch.testing.assert_close(after, state + target[:, :OBS].mean(0))
    torch.testing.assert_close(reward, target[:, OBS].mean().expand(K, B))
    torch.testing.assert_close(readings, target[:, OBS + 1 :].mean(0).expand(K, B, M))
    error = ensemble.loss(state, torch.randn(K, B, A), target.expand(K, B, -1))
    torch.testing.assert_close(error, (((target - target.mean(0)) / target.std(0)).square().mean(-1)).expand(K, B))


def test_it_learns_a_linear_system_and_its_members_agree_where_they_have_seen_data() -> None:
    ensemble = make_ensemble()
    dynamics, control = torch.randn(OBS, OBS) * 0.1, torch.randn(A, OBS)
    state, action = torch.randn(2000, OBS), torch.rand(2000, A) * 2 - 1
    change = state @ dynamics + action @ control
    target = torch.cat([change, state[:, :1] * 2, action[:, :1]], 1)
    ensemble.standardize(state, action, target)
    optimizer = torch.optim.Adam(ensemble.parameters(), 3e-3)
    for _ in range(400):
        chosen = torch.randint(len(state), (K, 64))
        loss = ensemble.loss(state[chosen], action[chosen], target[chosen])
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    fresh, acted = torch.randn(B, OBS), torch.rand(B, A) * 2 - 1
    after, reward, readings, _ = ensemble.step(fresh.expand(K, B, OBS), acted.expand(K, B, A))
    errors = after - fresh - (fresh @ dynamics + acted @ control)
    assert errors.square().mean() < 0.02 * change.var()
    assert (reward - 2 * fresh[:, 0]).square().mean() < 0.08 and (readings[..., 0] - acted[:, 0]).square().mean() < 0.02
    far, *_ = ensemble.step((fresh * 30).expand(K, B, OBS), acted.expand(K, B, A))
    assert far.std(0).mean() > 10 * after.std(0).mean()


def test_what_comes_seldom_does_not_outweigh_all_else() -> None:
    """A reward never seen before is 10 deviations away, not a thousand; an end is 0 or 1."""
    torch.manual_seed(0)
    ensemble = Ensemble(OBS, A, M, EnsembleConfig(members=K, hidden=17), terminates=True)
    for parameter in ensemble.parameters():
        nn.init.zeros_(parameter)
    target = torch.cat([torch.randn(B, OBS), torch.zeros(B, 1 + M + 1)], 1)
    ensemble.standardize(torch.randn(B, OBS), torch.randn(B, A), target)
    assert ensemble.outputs[:, -1].tolist() == [0, 1]
    target[:, OBS], target[:, -1] = 1.0, 1.0
    nothing = torch.zeros(K, B, OBS), torch.zeros(K, B, A)
    inside = ((target - target.mean(0)) / target.std(0))[:, :OBS].square().sum(1)
    torch.testing.assert_close(ensemble.loss(*nothing, target), ((inside + 100 + 1) / (OBS + 3)).expand(K, B))
    assert not ensemble.step(*nothing)[-1].any()
    with torch.no_grad():
        ensemble.nets.biases[-1][1, ..., -1] = 0.6
    assert ensemble.step(*nothing)[-1].all(1).tolist() == [False, True, False]


def test_weights_decay_towards_0() -> None:
    torch.manual_seed(0)
    ensemble = Ensemble(OBS, A, M, EnsembleConfig(members=K, hidden=17, lr=1e-3, weight_decay=0.5))
    before = ensemble.nets.weights[0].detach().clone()
    for parameter in ensemble.parameters():
        parameter.grad = torch.zeros_like(parameter)
    ensemble.optimizer().step()
    torch.testing.assert_close(ensemble.nets.weights[0].detach(), before - 1e-3 * before.sign(), atol=1e-6, rtol=0)
