"""What timesteps say of the background: by hand, and against the frames that agents see."""

import pytest
import torch

import envs
from envs import distractions
from envs.scene import Backdrop

N, STEPS = 3, 5
BACKGROUNDS = ["video", "dcs-easy-background"]


def test_colours_are_the_means_of_sixteen_fields() -> None:
    fields = torch.arange(2 * 48).view(2, 4, 4, 3)  # of two frames
    frames = fields.repeat_interleave(8, 1).repeat_interleave(8, 2).to(torch.uint8)  # (2, 32, 32, 3)
    frames[0, 0, 0] += 64  # one pixel of a field's 64
    state = distractions.colours(Backdrop(frames, torch.tensor([1, 0, 1], dtype=torch.int32)))
    expected = fields.flatten(1).float()[[1, 0, 1]]
    expected[1, :3] += 1
    torch.testing.assert_close(state, expected / 255)


@pytest.mark.parametrize("name", ["video", "agent", "noise", "reafferent"])
def test_the_upper_corners_are_what_an_agent_sees_beside_itself(name: str) -> None:
    env = envs.make("cartpole_balance", N, pixels=True, distraction=name, distractor=True, seed=2, threads=1)
    action = torch.rand(STEPS, N, env.action_dim, generator=torch.Generator().manual_seed(0)) * 2 - 1
    timesteps = torch.stack([env.reset(), *map(env.step, action)])  # (T, N)
    env.close()
    upper = timesteps["pixels"][:, :, :16].float() / 255  # (T, N, 16, 64, 3)
    seen = upper.unflatten(3, (4, 16)).mean((2, 4))  # (T, N, 4, 3)
    state = timesteps["distractor"].unflatten(-1, (4, 4, 3))
    torch.testing.assert_close(state[:, :, 0, [0, 3]], seen[:, :, [0, 3]])
    assert (timesteps["distractor"].diff(dim=0).abs().amax((0, 2)) > 0).all()  # it moves


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_every_background_has_a_state_and_asking_changes_nothing(name: str) -> None:
    plain, asked = (
        envs.make("cartpole_balance", N, pixels=True, size=24, distraction=name, seed=2, threads=1, **options)
        for options in ({}, {"distractor": True})
    )
    plain.reset(), asked.reset()
    action = torch.zeros(N, plain.action_dim)
    for _ in range(STEPS):
        without, timestep = plain.step(action), asked.step(action)
    plain.close(), asked.close()
    state = timestep.pop("distractor")
    assert state.shape == (N, 48) and state.dtype == torch.float32 and 0 <= state.min() <= state.max() <= 1
    assert state.std() > 0
    assert without.keys() == timestep.keys() and torch.equal(without["pixels"], timestep["pixels"])
    assert asked.observation_shapes == plain.observation_shapes


@pytest.mark.parametrize("name", ["none", "dcs-easy-camera", "dcs-hard-colour"])
def test_what_brings_no_background_has_no_state(name: str) -> None:
    assert not distractions.shows_background(name)
    with pytest.raises(ValueError) as refusal:
        envs.make("walker_stand", pixels=True, distraction=name, distractor=True)
    assert str(refusal.value) == f"the distraction {name!r} shows no background of its own, whose state could be told"
