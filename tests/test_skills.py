"""The library of a run's skills: written and read in two processes, found, taken to goals, refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from test_slim import OBS, A, make_agent
from tiny import refused
from torch import Tensor

import envs
import evaluate
import train
from agents.runs.folder import load_config
from agents.skills import HOLD, Origin, SkillLibrary, Skills
from agents.skills.goals import ToGoal, Waypoints
from agents.skills.planning import PlanConfig
from agents.skills.table import SkillTable, measure
from agents.slim.priors import even_skills

ROOT = Path(__file__).parent.parent
K, RESETS = 7, 3
ELSEWHERE = """
import sys, torch, envs
from agents.skills import HOLD, SkillLibrary
from agents.skills.table import measure
library = SkillLibrary.load(sys.argv[1])
env = envs.make("point_mass_easy", 21, signals=True, time_limit=20, action_repeat=2, threads=1, seed=1000)
rerun = measure(library.table.skill, library.act, env, 3).mean[:, :2]  # (7, 2) displacements
wanted = torch.randn(31, 2, generator=torch.Generator().manual_seed(0)) * rerun.std(0) + rerun.mean(0)
nearest = [library.table.skill[(rerun - row).norm(dim=1).argmin()].tolist() for row in wanted]
print([library.nearest(row).tolist() for row in wanted] == nearest, len(set(map(tuple, nearest))))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of skills, hardly trained, with its library."""
    run = tmp_path_factory.mktemp("runs") / "skills"
    options = "--num-envs 5 --time-limit 20 --steps 400 --train-ratio 0.01 --replay-size 1000 --eval-episodes 2"
    nets = "--agent.hidden 13 11 --agent.epochs 1 --agent.discovery.steps 2 --agent.discovery.batch 11 --agent.lr 0.02"
    common = "--device cpu --threads 1 --log-every 100"
    train.main(["slim-small", "--run", str(run), *options.split(), *nets.split(), *common.split()])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"SKILLS": K, "RESETS": RESETS, "TRIED": 9, "LEARNING": 3}.items():
            patch.setattr(f"agents.skills.library.{name}", value)
        evaluate.main([str(run), "--library"])
    return run


@pytest.fixture
def library(run: Path) -> SkillLibrary:
    return SkillLibrary.load(run)


def points(num_envs: int, **options: int) -> envs.BatchedEnv:
    return envs.make("point_mass_easy", num_envs, signals=True, **{"action_repeat": 2, "threads": 1} | options)


def test_it_acts_as_the_agent_that_it_was_made_of(run: Path, library: SkillLibrary) -> None:
    config = load_config(run)
    env = train.make_envs(config, num_envs=3)
    agent, step = train.load_agent(run, config, env)
    timestep, carry = env.reset(), agent.initial_carry(3)
    out, _ = agent.act(timestep, carry, explore=False)
    torch.testing.assert_close(library.act(timestep["state"], out["skill"]), out["action"])
    assert library.origin.step == step == 400
    assert torch.equal(library.table.skill, even_skills(torch.arange(K), 2))
    place, goal = torch.randn(2, 3, 2)
    torch.testing.assert_close(library.skills.phi.toward(place, goal), agent.discovery.objective.toward(place, goal))  # type: ignore[attr-defined]


def test_states_and_actions_are_clipped_as_the_agents_are() -> None:
    """An agent that has seen mean 5 and deviation 2 reads 1e6 as it reads 25."""
    agent = make_agent()
    agent.seen.update(torch.tensor([[3.0], [7.0]]).expand(2, OBS))
    skills = Skills(agent.config, Origin("", 1, 0, OBS, A, 3, 3, 0, {})).eval()
    state, skill = torch.tensor([[1e6] * OBS, [25.0] * OBS]), torch.tensor([[0.6, 0.8]] * 2)
    with torch.no_grad():
        agent.net.policy[-1].weight.mul_(30)
    skills.take(agent)
    answers = skills(state, skill)
    torch.testing.assert_close(answers[0], answers[1])
    torch.testing.assert_close(answers, agent.answer(TensorDict({"state": state}, batch_size=[2]), skill))
    with torch.no_grad():
        agent.net.policy[-1].bias.fill_(5.0)
    skills.take(agent)
    assert skills(state, skill).tolist() == [[1, 1], [1, 1]]


def test_in_another_process_the_nearest_skill_is_the_one_whose_rerun_is_nearest(run: Path) -> None:
    """Of 31 displacements that are asked for, from the starts from which the table was measured."""
    command = [sys.executable, "-c", ELSEWHERE, str(run)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert answer[0] == "True" and int(answer[1]) > 3


class Line:
    """Places on a line: two starts, then what is not looked at; environment n's episode ends after lengths[n] steps."""

    num_envs, measure_names = 4, ("half",)

    def __init__(self, lengths: tuple[int, int]) -> None:
        self.lengths = torch.tensor(lengths * 2)

    def timestep(self) -> TensorDict:
        values = {"state": self.x.clone(), "position": self.x.clone(), "measures": self.x / 2, "reward": self.x[:, 0]}
        return TensorDict({**values, "is_last": self.lengths == self.age}, batch_size=[4])

    def reset(self) -> TensorDict:
        self.age, self.x = 0, torch.tensor([[0.0], [10.0], [77.0], [78.0]])
        return self.timestep()

    def state_dict(self) -> dict[str, Tensor]:
        return {"x": self.x}

    def place(self, state: dict[str, Tensor], source: Tensor) -> TensorDict:
        self.x = state["x"][source]
        return self.timestep()

    def step(self, action: Tensor) -> TensorDict:
        self.x, self.age = self.x + action, self.age + 1
        return self.timestep()


@pytest.mark.parametrize(("lengths", "apart"), [((2, 2), [[0.0, 0, 5], [0, 0, 5]]), ((1, 3), [[2.0, 2, 6], [4, 4, 3]])])
def test_descriptors_by_hand(lengths: tuple[int, int], apart: list[list[float]]) -> None:
    """Skills move 1 and -2 along x for 2 steps, or for 1 and 3, from places 0 and 10: a mean of 2 and -4."""
    table = measure(torch.tensor([[1.0], [-2.0]]), lambda state, skill: skill, Line(lengths), 2)
    assert table.names == ("displacement_0", "path", "half")
    assert table.mean.tolist() == [[2, 2, (1 + 6) / 2], [-4, 4, (-2 + 3) / 2]]
    torch.testing.assert_close(table.std, torch.tensor(apart) / 2**0.5)
    assert "2 skills, 2 starts each" in str(table) and "   -4.000    2.000" in str(table)


def test_nearest_by_hand() -> None:
    """Spreads over the skills: displacement sqrt((2/3 + 2/3) / 2) for both axes, path 1000 sqrt(2/3)."""
    mean = torch.tensor([[-1.0, 0.0, 1000.0], [0.0, 1.0, 2000.0], [1.0, -1.0, 3000.0]])
    table = SkillTable(("displacement_0", "displacement_1", "path"), torch.eye(3), mean, mean, 5)
    assert table.nearest(torch.tensor([0.9, 0.9])) == 1  # (0.9, 0.1) away, and (0.1, 1.9) from the last
    assert table.nearest({"path": 2600}) == 2
    assert table.nearest({"displacement_0": -1, "path": 1700}) == 0  # 0 and 0.7 units of path, against 1 and 0.3
    assert table.nearest({"displacement_0": -0.4, "path": 1700}) == 1
    with pytest.raises(ValueError, match=r"no descriptor pth: did you mean path\?"):
        table.nearest({"pth": 1})
    with pytest.raises(ValueError, match=r"a displacement has 2 numbers, not the shape \(3,\)"):
        table.nearest(torch.zeros(3))


def test_axes_of_a_displacement_have_one_unit() -> None:
    """Spreads of 1 and 7: 5 for both. In spreads of their own the first would be nearer, by 8/7 to 2.2."""
    mean = torch.tensor([[-1.0, -7.0, 0.0], [1.0, 7.0, 0.0]])
    table = SkillTable(("displacement_0", "displacement_1", "path"), torch.eye(2), mean, mean, 5)
    assert table.nearest(torch.tensor([-1.0, 1.0])) == 1  # away by (0, 8) and (2, 6)


def test_way_points_by_hand() -> None:
    points = Waypoints(torch.tensor([[1.0, 0.0], [1.0, 2.0]]), 0.5, 2, "cpu")
    number, distance = points.advance(torch.tensor([0, 0, 1]), torch.tensor([[0.0, 0.0], [1.0, 0.4], [1.0, 1.9]]))
    assert number.tolist() == [0, 1, 1]
    torch.testing.assert_close(distance, torch.tensor([1, 1.6, 0.1]))
    each = Waypoints(torch.arange(12.0).view(3, 2, 2), 0.5, 2, "cpu")
    assert each.at(torch.tensor([1, 0, 1])).tolist() == [[2, 3], [4, 5], [10, 11]]
    with pytest.raises(ValueError, match="a goal has 3 numbers"):
        Waypoints(torch.zeros(2), 0.5, 3, "cpu")


def row(place: list[list[float]], first: bool = False) -> TensorDict:
    values = {"state": torch.zeros(len(place), 5), "position": torch.tensor(place)}
    return TensorDict({**values, "is_first": torch.full((len(place),), first)}, batch_size=[len(place)])


def test_to_goal_turns_to_the_next_way_point_when_it_is_at_one() -> None:
    def toward(place: Tensor, goal: Tensor) -> Tensor:
        return goal - place

    goal = ToGoal(
        lambda state, skill: skill * 2, toward, "position", Waypoints(torch.tensor([[1.0], [-1.0]]), 0.1, 1, "cpu")
    )
    out, carry = goal.act(row([[0.5], [0.95]], True), goal.initial_carry(2))
    torch.testing.assert_close(out["action"], torch.tensor([[1.0], [-3.9]]))
    out, carry = goal.act(row([[0.95], [0.5]]), carry)
    torch.testing.assert_close(out["skill"], torch.tensor([[-1.95], [-1.5]]))
    out, _ = goal.act(row([[0.0], [0.0]], True), carry)  # another episode begins with the first
    assert out["skill"].tolist() == [[1], [1]]


def test_its_policies_and_environments_run(library: SkillLibrary) -> None:
    env = points(3, time_limit=20)
    for policy in (library.to_goal(torch.zeros(2)), library.plan(torch.zeros(4, 2), config=PlanConfig(2, 5, 1))):
        assert evaluate.evaluate(policy, env, 3).shape == (3,)
    held = library.as_env(env, 4)
    held.reset()
    assert [bool(held.step(torch.ones(3, 2))["is_last"].all()) for _ in range(4)] == [False, False, True, False]
    assert set(library.errors) == {"error", "motion"} and library.model.hold == HOLD


def test_what_does_not_fit_is_refused_in_one_line(run: Path, library: SkillLibrary, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="learned of the task point_mass_easy, and the environments have point_mass_h"):
        library.as_env(envs.make("point_mass_hard", 1), 5)
    with pytest.raises(ValueError, match="action repeat of 2, and the environments have 3"):
        library.as_env(points(1, action_repeat=3), 5)
    with pytest.raises(ValueError, match="held for at least 1 step, not 0"):
        library.as_env(points(1), 0)
    with pytest.raises(ValueError, match="skills have 2 numbers and read states of 4"):
        library.act(torch.zeros(1, 5), torch.zeros(2))
    with pytest.raises(FileNotFoundError, match=r"there is no .*library\.json"):
        SkillLibrary.load(tmp_path)
    (tmp_path / "config.json").write_bytes((run / "config.json").read_bytes())
    with pytest.raises(FileNotFoundError, match=f"no skill library yet: python evaluate.py {tmp_path} --library"):
        SkillLibrary.load(tmp_path)


def test_damage_is_named(library: SkillLibrary, tmp_path: Path) -> None:
    library.save(tmp_path)
    (tensors,) = tmp_path.glob("*.safetensors")
    whole = tensors.read_bytes()
    tensors.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=f"{tensors} is damaged, or not of this library"):
        SkillLibrary.load(tmp_path)
    tensors.write_bytes(whole)
    about = json.loads((tmp_path / "library.json").read_text())
    about["origin"]["state_dim"] = 5
    (tmp_path / "library.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="does not describe one library") as caught:
        SkillLibrary.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_another_machine_wrote_is_named(
    library: SkillLibrary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    library.save(tmp_path)
    about = json.loads((tmp_path / "library.json").read_text())
    origin = about["origin"]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"origin": origin | {"versions": None}}, f"{tmp_path} does not describe one library"),
        ({"tensors": 5}, f"{tmp_path}/library.json is damaged"),
        ({"tensors": "../skills"}, f"{tmp_path}/library.json is damaged"),
    ]
    for changed, line in cases:
        (tmp_path / "library.json").write_text(json.dumps(about | changed))
        with pytest.raises(ValueError, match=line):
            SkillLibrary.load(tmp_path)
    packages = {"no-such-package": "1.0", "torch": origin["versions"]["torch"]}
    (tmp_path / "library.json").write_text(json.dumps(about | {"origin": origin | {"versions": packages}}))
    SkillLibrary.load(tmp_path)
    (said,) = caplog.messages
    assert said == f"the skills of {tmp_path} were learned with no-such-package 1.0; here it is not installed"


def test_what_other_runs_lack_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--task point_mass_easy --num-envs 2 --steps 8 --train-ratio 0 --time-limit 8 --eval-episodes 1"
    run = tmp_path / "ppo"
    train.main(["sb3-ppo", "--run", str(run), *options.split(), "--device", "cpu", "--threads", "1"])
    said = refused(evaluate.main, [run, "--library"], capsys)
    assert said.startswith("sb3-ppo learns no skills: a library is made of a run of slim")
    line = "--diagnostics asks what a world model's states hold, and sb3-ppo has no world model"
    assert refused(evaluate.main, [run, "--diagnostics"], capsys) == line
    again = ["sb3-ppo", "--run", tmp_path / "other", *options.split(), "--diagnostics", "--eval-episodes", 2]
    assert refused(train.main, again, capsys) == line
