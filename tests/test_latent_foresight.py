"""What a world model foresees of policies: by hand one draw at a time, a read-out that leaves the model alone."""

import copy
from dataclasses import replace

import pytest
import torch
from tensordict import TensorDict
from tiny import leaves, unequal

from agents.infopower import InfoPower, InfoPowerConfig
from agents.map_elites.latent_foresight import LatentForesight, LatentForesightConfig
from agents.normalize import RunningMoments
from agents.replay import ReplayBuffer
from agents.spaces import Spaces
from world_models.infopower import InfoPowerModelConfig
from world_models.latents import Gaussian
from world_models.nets import symexp, symlog

SPACES = Spaces({"state": (5,)}, 2, 3, 7, ("left", "right", "both"), (None,) * 3, ("mean",) * 3)
MODEL = InfoPowerModelConfig(embed=13, deter=11, stoch=7, hidden=17, critic=19)


def make(samples: int = 3, spaces: Spaces = SPACES) -> LatentForesight:
    torch.manual_seed(0)
    infopower = InfoPower(spaces, InfoPowerConfig(model=MODEL, hidden=17))
    infopower.reward_moments.update(torch.tensor([1.0, 5.0]), torch.ones(2))  # mean 3, deviation 2
    config = LatentForesightConfig(samples=samples, hidden=23, batch=29, length=4, lr=3e-3)
    foresight = LatentForesight(spaces, infopower, config, "cpu")
    foresight.scale.update(torch.randn(31, 8) * 2 + 1)
    return foresight


def rows(count: int) -> TensorDict:
    """Return a timestep (N,) of first rows."""
    values = {
        "state": 3 * torch.randn(count, 5),
        "readings": torch.rand(count, 3),
        "reward": torch.zeros(count),
        "is_first": torch.ones(count, dtype=torch.bool),
    }
    return TensorDict(values, batch_size=[count])


def test_numbers_that_were_pressed_together_are_restored() -> None:
    torch.testing.assert_close(symexp(torch.tensor([1.0, -2.0])), torch.tensor([1.718282, -6.389056]))
    x = torch.linspace(-50, 50, 101)
    torch.testing.assert_close(symexp(symlog(x)), x)
    moments = RunningMoments()
    moments.update(torch.tensor([1.0, 5.0]), torch.ones(2))
    torch.testing.assert_close(moments.restore(torch.tensor([0.0, 1.0, -2.0])), torch.tensor([3.0, 5.0, -1.0]))


def test_episodes_begin_as_infopower_encodes_real_ones() -> None:
    """With one draw and the same noise they are what InfoPower carries when it acts there."""
    foresight, timestep = make(samples=1), rows(1)
    foresight.see(timestep, timestep)
    carry = foresight.infopower.initial_carry(1)
    torch.manual_seed(1)
    _, acted = foresight.infopower.act(timestep, carry)
    torch.manual_seed(1)
    (deter, stoch), state, readings = foresight.begin(1, torch.Generator().manual_seed(0))
    torch.testing.assert_close((deter, stoch), (acted["deter"], acted["stoch"]))
    assert torch.equal(state[0], timestep["state"]) and torch.equal(readings[0], timestep["readings"])


def test_each_draw_begins_where_its_solution_does(monkeypatch: pytest.MonkeyPatch) -> None:
    foresight, timestep = make(samples=3), rows(1013)
    foresight.see(timestep, timestep)
    monkeypatch.setattr(Gaussian, "sample", Gaussian.mode)
    (_, stoch), state, _ = foresight.begin(5, torch.Generator().manual_seed(0))
    model = foresight.infopower.model
    for n in range(5):
        embed = model.encoder(TensorDict({"state": state[0, n : n + 1]}, batch_size=[1]))
        expected = model.posterior(embed, embed).mean  # (1, 7)
        torch.testing.assert_close(stoch.view(3, 5, -1)[:, n], expected.expand(3, -1))


def test_each_draw_of_each_solution_goes_on_by_itself() -> None:
    foresight, timestep = make(), rows(1013)
    foresight.see(timestep, timestep)
    model, moments = foresight.infopower.model, foresight.infopower.reward_moments
    with torch.no_grad():
        latent, state, _ = foresight.begin(5, torch.Generator().manual_seed(0))
        assert state.shape == (1, 5, 5)
        torch.testing.assert_close(latent[0], latent[0][:1].expand(15, -1))  # h knows nothing yet
        latent, *_ = foresight.step(latent, torch.rand(1, 5, 2))
        action = torch.rand(3, 5, 2) * 2 - 1
        torch.manual_seed(1)
        _, state, reward, readings, ended = foresight.step(latent, action)
        torch.manual_seed(1)
        noise = torch.randn(15, 7).view(3, 5, 7)
        assert state.shape == (3, 5, 5) and reward.shape == (3, 5) and readings.shape == (3, 5, 3) and not ended.any()
        for k in range(3):
            for n in range(5):
                deter, stoch = (x.view(3, 5, -1)[k, n].unsqueeze(0) for x in latent)
                deter = model.core.step(deter, stoch, action[k, n].unsqueeze(0))
                prior = model.core.prior(deter)
                feat = torch.cat([deter, prior.mean + prior.std * noise[k, n]], -1)
                read = foresight.scale.restore(foresight.readout(feat))[0]
                torch.testing.assert_close(state[k, n], symexp(read[:5]))
                torch.testing.assert_close(readings[k, n], read[5:])
                torch.testing.assert_close(reward[k, n], moments.restore(model.reward(feat))[0])


def test_an_episode_ends_where_infopower_says_so() -> None:
    foresight, timestep = make(spaces=replace(SPACES, terminates=True)), rows(1013)
    foresight.see(timestep, timestep)
    with torch.no_grad():
        latent, *_ = foresight.begin(50, torch.Generator().manual_seed(0))
        (deter, stoch), *_, ended = foresight.step(latent, torch.rand(3, 50, 2) * 2 - 1)
        continuation = foresight.infopower.continuation
        assert continuation is not None
        going_on = continuation(torch.cat([deter, stoch], -1)).view(3, 50)
    assert torch.equal(ended, going_on < 0.5) and ended.any() and not ended.all()


def test_a_read_out_learns_what_features_hold_and_the_model_nothing() -> None:
    foresight, replay = make(), ReplayBuffer(400, 2)
    for t in range(200):
        row = rows(2)
        row["is_first"][:] = t % 10 == 0
        row["state"] = row["state"][:, :1] * torch.tensor([1.0, -2.0, 3.0, 0.5, -1.0])  # one number, in all
        row["readings"] = symlog(row["state"][:, :3]) * 0.2
        replay.add(row.set("action", torch.rand(2, 2)))
    with torch.no_grad():
        foresight.infopower.model.posterior.net[-1].weight.mul_(10)  # above z's noise
    before = {name: value.clone() for name, value in foresight.infopower.model.state_dict().items()}
    losses = [foresight.learn(replay)["loss/readout"].item() for _ in range(150)]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10]) and foresight.updates == 150
    after = foresight.infopower.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(parameter.grad is None for parameter in foresight.infopower.model.parameters())


def drawn() -> ReplayBuffer:
    replay = ReplayBuffer(40, 2)
    for _ in range(20):
        replay.add(rows(2).set("action", torch.rand(2, 2)))
    return replay


def test_a_read_out_goes_on_where_it_was_saved() -> None:
    one, two = make(), make()
    one.learn(drawn())
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    assert unequal(leaves(one.state_dict()), leaves(two.state_dict())) == [] and two.updates == 1


def test_targets_far_away_are_alike() -> None:
    """Of 8 numbers 3 are ten thousand deviations away, and count as ten; the others are 0, as the read-out says."""
    foresight, replay = make(), drawn()
    for parameter in foresight.readout[-1].parameters():
        torch.nn.init.zeros_(parameter)
    scale = foresight.scale
    scale.count.fill_(1e9)  # what comes moves it no more
    scale.mean.zero_(), scale.variance.fill_(1.0)
    replay.rows["readings"].fill_(1e4), replay.rows["state"].zero_()
    assert foresight.learn(replay)["loss/readout"].item() == pytest.approx(10**2 * 3 / 8, rel=1e-2)
