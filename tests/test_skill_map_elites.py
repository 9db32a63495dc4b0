"""Archives over a library's skills: which skill acts when, runs that outlive their library, one line for mistakes."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from tiny import refused
from torch import Tensor
from torch.nn import functional as F

import train
import visualize
from agents.archive import files
from agents.map_elites.skill_solutions import SkillSequences
from agents.runs.folder import load_config
from agents.skills import Origin, SkillLibrary, Skills
from agents.skills.model import SkillModel
from agents.skills.table import SkillTable
from agents.slim import SlimConfig

SCENE = "--num-envs 3 --time-limit 14 --eval-episodes 2 --eval-every 0 --log-every 42 --checkpoint-every 84 --threads 1"
AGENT = "--agent.variation.initial 5 --agent.skills 3 --train-ratio .2 --device cpu"
ARCHIVE = "--agent.archive.grid 5 3 --agent.archive.ranges -.003 .003 -.003 .003 --agent.archive.outside clip"


def library(folder: Path, hidden: int = 11, **changes: object) -> Path:
    """Write a library of random networks for the point mass: states of 4 numbers, actions and skills of 2."""
    about = {"task": "point_mass_easy", "action_repeat": 2, "time_limit": 14, "state_dim": 4, "action_dim": 2}
    origin = Origin(**{**about, "place_dim": 2, "position_dim": 2, "step": 0, "versions": {}, **changes})  # type: ignore[arg-type]
    config = SlimConfig(hidden=(hidden,), shared=0)
    table = SkillTable(("displacement_0", "path"), torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 2), 3)
    model = SkillModel(4, 2, 2, 5)
    skills = Skills(config, origin)
    with torch.no_grad():
        list(skills.policy.parameters())[-2].mul_(100)  # from almost nothing to actions of about 1
    SkillLibrary(skills, table, model, config, origin, {}).save(folder)
    return folder


def arguments(run: Path, skills: Path | str, *more: str, steps: int = 504) -> list[str]:
    line = ["skill-map-elites-small", "--run", str(run), "--steps", str(steps), "--agent.library", str(skills)]
    return [*line, *SCENE.split(), *AGENT.split(), *ARCHIVE.split(), *more]


class Echo(Skills):
    """Act by the skill itself, whatever is observed."""

    def __init__(self) -> None:
        super().__init__(SlimConfig(rewards=("effort",), hidden=(3,), shared=0), Origin("", 1, 7, 5, 2, 2, 2, 0, {}))

    def forward(self, state: Tensor, skill: Tensor) -> Tensor:
        return skill


def test_each_skill_is_held_for_its_share_of_the_episode() -> None:
    """Three skills in 7 actions: the first for 3 of them, the others for 2; lengths do not count."""
    kind = SkillSequences(Echo(), 2, 3, 7)
    assert kind.solution_dim == 6
    solution = torch.tensor([[0.0, 5.0, -0.1, 0.0, 3.0, 4.0]]).expand(9, -1)
    acted = kind.act(solution, torch.zeros(9, 5), torch.arange(9))
    first, second, third = [0.0, 1.0], [-1.0, 0.0], [0.6, 0.8]
    expected = [first] * 3 + [second] * 2 + [third] * 4  # what comes after the end is still answered
    torch.testing.assert_close(acted, torch.tensor(expected))
    drawn = kind.draw(1009, torch.Generator().manual_seed(0)).unflatten(1, (3, 2))
    torch.testing.assert_close(drawn.norm(dim=2), torch.ones(1009, 3))
    assert drawn.mean((0, 1)).norm() < 0.05 and len(drawn[:, 0].unique(dim=0)) == 1009


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a run, and the library whose skills it plays."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    train.main(arguments(folder / "run", library(folder / "skills")))
    return folder / "run", folder / "skills"


def answers(run: Path) -> Tensor:
    """Return how a run's elites answer one observation after 3 of an episode's 7 actions, by their second skills."""
    config = load_config(run)
    agent = train.load_agent(run, config, train.make_envs(config))[0]
    solutions = files.load(run / "archive").elites()["solution"]
    observation = torch.linspace(-0.2, 0.3, 4).expand(len(solutions), -1)
    age = torch.full((len(solutions),), 3)
    return agent.kind.act(solutions, observation, age)  # type: ignore[attr-defined]


def test_an_archive_of_skills_is_drawn(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    run, skills = runs
    elites = files.load(run / "archive").elites()
    assert len(elites) > 3 and elites["solution"].shape[1] == 3 * 2
    assert elites["evaluations"].max() > 1
    observation, second = torch.linspace(-0.2, 0.3, 4).expand(len(elites), -1), elites["solution"][:, 2:4]
    torch.testing.assert_close(answers(run), SkillLibrary.load(skills).act(observation, F.normalize(second, dim=1)))
    visualize.main([str(run)])
    assert f"written: {run / 'archive.html'}" in capsys.readouterr().out


def test_a_run_plays_the_skills_that_it_began_with(runs: tuple[Path, Path], tmp_path: Path) -> None:
    """The library is written anew, with other skills, and with skills of another shape."""
    run, skills = shutil.copytree(runs[0], tmp_path / "run"), runs[1]
    kept, before = shutil.copytree(skills, tmp_path / "kept"), answers(run)
    try:
        library(skills)
        torch.testing.assert_close(answers(run), before, rtol=0, atol=0)
        library(skills, hidden=13)
        with pytest.raises(ValueError, match="have another shape than those that this run began with"):
            answers(run)
    finally:
        shutil.rmtree(skills)
        kept.rename(skills)


def test_a_run_without_its_library_says_so(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, skills = runs
    away = skills.rename(tmp_path / "away")
    try:
        line = f"the skills to play, --agent.library {skills}, are missing: there is no {skills}/library.json"
        words = ["skill-map-elites-small", "--run", run, "--resume", "--steps", 999]
        assert refused(train.main, words, capsys) == line
        with pytest.raises(FileNotFoundError, match=re.escape(line)):
            answers(run)
    finally:
        away.rename(skills)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (
            "--agent.library",
            "--agent.library: name a run of slim with a library, or its folder, whose skills are played",
        ),
        ("--agent.skills 8", "--agent.skills must be from 1 to the 7 actions of an episode, not 8"),
        (
            "--task reacher_easy",
            "these skills were learned of the task point_mass_easy, and the environments have reach",
        ),
        ("--action-repeat 1", "these skills were learned with an action repeat of 2, and the environments have 1"),
        ("--measures displacement_z", "point_mass_easy has no measure 'displacement_z' (option measures): it has "),
        ("--measures", "an archive needs measures"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    more: str, line: str, runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*more.split(), ""] if more == "--agent.library" else more.split()
    assert line in refused(train.main, arguments(tmp_path / "run", runs[1], *words), capsys)
    assert not (tmp_path / "run").exists()
