"""phi on the latent of the world model that learns beside SLIM: what it sees, what it leaves alone, and its runs."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib import pyplot as plt
from tensordict import TensorDict
from test_slim import CONFIG, SPACES, play
from tiny import together

import train
from agents.config import Config
from agents.crew import Crew
from agents.infopower import InfoPower
from agents.presets import AGENTS
from agents.replay import ReplayBuffer
from agents.skills import SkillLibrary
from agents.slim import Slim
from agents.slim.discovery import Places
from agents.slim.metrics import FixedSkills
from agents.slim.metrics import play as episodes
from agents.slim.priors import even_skills
from envs.batched import BatchedEnv
from views.skills import draw_codes

LATENT = ("--agent.slim.discovery.reads", "latent")


def test_phi_sees_the_places_that_it_is_given_and_they_the_rows_before() -> None:
    """Places count the rows that were read up to theirs, of the nine there are: three beside the latest five."""
    read = []

    def counted(rows: TensorDict) -> torch.Tensor:
        read.append(rows)
        return torch.arange(rows.shape[1]).repeat(len(rows), 1).unsqueeze(-1).float()  # (N, T, 1)

    config = replace(CONFIG, discovery=replace(CONFIG.discovery, reads="latent"))
    agent = Slim(SPACES, config, latent=Places(1, counted, past=3))
    replay = play(agent, 9)
    rows = agent.latest(replay, 5)
    assert torch.equal(read[0]["state"], replay.latest(8)["state"])
    assert torch.equal(rows["state"], replay.latest(5)["state"].transpose(0, 1))
    assert rows["place"][:, 0, 0].tolist() == [3, 4, 5, 6, 7]
    assert agent.latest(replay, 9)["place"][:, -1, 0].tolist() == list(range(9))  # as many as there are
    agent.unused = 4
    assert agent.update(replay)["discovery/stretch"] > 0 and torch.equal(read[2]["state"], read[0]["state"])


Trained = tuple[Crew, BatchedEnv, ReplayBuffer, Config[Any]]


@pytest.fixture
def trained() -> Trained:
    """Three agents that have played thirteen steps."""
    config = train.parse(together(Path("run"), *LATENT), AGENTS).config
    train.seed_generators(0)
    envs = train.make_envs(config)
    crew, replay = make_crew(config, envs), ReplayBuffer(700, 7)
    timestep, carry = envs.reset(), crew.initial_carry(7)
    for _ in range(13):
        out, carry = crew.act(timestep, carry)
        replay.add(timestep.clone().update(out))
        timestep = envs.step(out["action"])
    return crew, envs, replay, config


def make_crew(config: Config[Any], envs: BatchedEnv) -> Crew:
    crew = train.make_agent(config, envs)
    assert isinstance(crew, Crew)
    return crew


def pair(crew: Crew) -> tuple[InfoPower, Slim]:
    infopower, slim = (crew.members[name].agent for name in ("infopower", "slim"))
    assert isinstance(infopower, InfoPower) and isinstance(slim, Slim) and slim.discovery is not None
    return infopower, slim


def test_phi_sees_the_latent_of_infopower_and_leaves_it_alone(trained: Trained) -> None:
    crew, _, replay, _ = trained
    infopower, slim = pair(crew)
    own, before = replay.part(range(2, 5)), copy.deepcopy(infopower.state_dict())
    rows = slim.latest(own, 13)
    assert rows["place"].shape == (13, 3, 11 + 7) and slim.places.past == 7
    torch.testing.assert_close(rows["place"], infopower.filtered(own.latest(13)).transpose(0, 1))
    assert slim.update(own)["discovery/gain"].isfinite()
    assert all(torch.equal(value, before["nets"][name]) for name, value in infopower.nets.state_dict().items())


def test_restored_ones_learn_the_same(trained: Trained) -> None:
    crew, envs, replay, config = trained
    other = make_crew(config, envs)
    other.load_state_dict(copy.deepcopy(crew.state_dict()))
    found = []
    for each in (crew, other):
        infopower, slim = pair(each)
        train.seed_generators(1)
        infopower.update(replay)
        found.append(slim.update(replay.part(range(2, 5))))
    assert found[0].keys() == found[1].keys() and all(torch.equal(found[0][k], found[1][k]) for k in found[0])


def test_a_picture_shows_phi_and_a_library_does_without_it(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew, _, _, config = trained
    envs = train.make_envs(config, num_envs=6)
    _, agent = pair(crew)
    spread = even_skills(torch.arange(6), 2)
    rows = episodes(FixedSkills(agent, spread), envs)
    figure, axis = plt.subplots()
    draw_codes(axis, agent, spread, rows)
    with torch.no_grad():
        codes = agent.discovery.phi(agent.places.read(rows))  # type: ignore[union-attr]  # (N, T + 1, Z)
    assert rows["action"].abs().amax(2).bool().tolist() == [[True] * 10 + [False]] * 6
    assert axis.lines[0].get_xydata().tolist() == codes[0].tolist()
    plt.close(figure)
    for name, value in {"TRIED": 9, "LEARNING": 3}.items():
        monkeypatch.setattr(f"agents.skills.library.{name}", value)
    SkillLibrary.of(agent, config, 0, envs, resets=2).save(tmp_path)
    library = SkillLibrary.load(tmp_path)
    timestep = envs.reset()
    torch.testing.assert_close(library.act(timestep["state"], spread), agent.answer(timestep, spread))
    with pytest.raises(ValueError, match="these skills have no phi of positions or states, by which"):
        library.to_goal(torch.zeros(2))
