"""The page of skills: points that move what they moved."""

from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import Tab
from tensordict import TensorDict

import train
from agents.presets import AGENTS
from agents.slim import Slim
from agents.slim.metrics import FixedSkills, displacement, play
from agents.slim.priors import even_skills
from views import archive_page, skill_page

SKILLS = 11


@pytest.fixture(scope="module")
def config():
    return replace(AGENTS["slim-small"], time_limit=40, num_envs=SKILLS, threads=1, device="cpu")


@pytest.fixture(scope="module")
def agent(config) -> Slim:
    torch.manual_seed(3)
    return train.make_agent(config, train.make_envs(config))


def test_points_lie_at_their_skill_and_tell_how_far_the_object_came(config, agent: Slim) -> None:
    told = skill_page.map_of(agent, train.make_envs(config, seed=5), "skills")
    skills = even_skills(torch.arange(SKILLS), 2)
    moved = displacement(play(FixedSkills(agent, skills), train.make_envs(config, seed=5)))[:, -1]  # (N, 2)
    read = {name: np.frombuffer(b64decode(told["points"][name]["data"]), "<f4") for name in ("value", "measures")}
    np.testing.assert_allclose(read["value"], moved.norm(dim=1), atol=1e-6)
    np.testing.assert_allclose(read["measures"].reshape(SKILLS, 4), torch.cat([skills, moved], 1), atol=1e-6)
    assert read["value"].min() > 0
    assert [axis["name"] for axis in told["axes"]] == ["z1", "z2", "displacement x", "displacement y"]
    assert len(told["motions"]) == SKILLS and all(motion["rows"] == 21 for motion in told["motions"])


def test_what_falls_off_a_table_moves_no_further() -> None:
    """Of two boxes one is on the floor from the third row on, and rolls; `displacement` is the oracle."""
    position = torch.tensor([[0.0, 1, 2, 3, 9], [0.0, 1, 2, 3, 4]]).unsqueeze(-1)  # (N, T + 1, 1)
    off = torch.tensor([[0.0, 0, 1, 0, 1], [0.0] * 5])
    last = torch.arange(5).eq(4).expand(2, -1)
    rows = TensorDict({"position": position, "off_table": off, "is_last": last}, batch_size=[2, 5])
    ends = skill_page.Ends()
    for row in rows.unbind(1):
        ends(row)
    assert torch.equal(ends.last - ends.first, displacement(rows)[:, -1])
    assert ends.last.flatten().tolist() == [1, 4]


def test_further_axes_are_numbered() -> None:
    config = replace(AGENTS["slim-small"], task="lqr_lqr_6_2", time_limit=3, num_envs=2, threads=1, device="cpu")
    envs = train.make_envs(config)
    told = skill_page.map_of(train.make_agent(config, envs), envs, "skills")
    assert [axis["name"] for axis in told["axes"]] == ["z1", "z2", *(f"displacement {name}" for name in "xyz456")]


def test_a_click_on_a_point_plays_its_skill(tab: Tab, config, agent: Slim, tmp_path: Path) -> None:
    envs = train.make_envs(config, seed=5)
    told = skill_page.map_of(agent, envs, "skills")
    archive_page.write(tmp_path / "skills.html", "Skills", "", "moved", envs.model, [told])
    tab.open(tmp_path / "skills.html")
    skills = even_skills(torch.arange(SKILLS), 2)
    left, top, width, height = tab.run(
        "(b => [b.left, b.top, b.width, b.height])(document.querySelector('.map canvas').getBoundingClientRect())"
    )
    low, high = told["axes"][0]["low"], told["axes"][0]["high"]
    below, above = told["axes"][1]["low"], told["axes"][1]["high"]
    for skill in (2, 7):
        x, y = skills[skill].tolist()
        tab.click(left + (x - low) / (high - low) * width, top + (above - y) / (above - below) * height)
        assert tab.run("empower.poses()[0].cell") == skill
        assert f"skill {skill}: moved" in tab.run("document.querySelector('[role=status]').textContent")
    assert tab.run("document.querySelectorAll('.sliders input').length") == 0
    tab.run("(s => { s.value = 2; s.dispatchEvent(new Event('change')); })(document.querySelector('.axes select'))")
    assert tab.run("document.querySelector('.x-name').textContent") == "displacement x"
    tab.run("(v => empower.seek(v))(1e9)")
    end = tab.run("empower.poses()[0]")
    place = play(FixedSkills(agent, skills), train.make_envs(config, seed=5))["position"][7, -1]
    np.testing.assert_allclose(end["qpos"], place, atol=1e-4)
    assert tab.complaints == []
