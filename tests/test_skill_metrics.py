"""What skills do: played, counted and measured by hand; the page of a run."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from tensordict import TensorDict

import train
import visualize
from agents.slim import metrics
from agents.slim.metrics import Aimed, FixedSkills, play
from agents.slim.rewards import REWARDS

DIRECTIONS = torch.tensor([[1.0, 0], [0, 1], [-1, 0]])


class Plane:
    """Three points in a plane that go where actions point; the second one's episode ends after two of four steps."""

    num_envs, episode_length = 3, 4

    def reset(self) -> TensorDict:
        self.place, self.time = torch.tensor([[5.0, 5], [0, 0], [-1, 2]]), 0
        return self.timestep()

    def step(self, action: torch.Tensor) -> TensorDict:
        self.place, self.time = self.place + action, self.time + 1
        return self.timestep()

    def timestep(self) -> TensorDict:
        last = torch.tensor([self.time == 4, self.time == 2, self.time == 4])
        values = {"position": self.place, "is_last": last, "reward": torch.zeros(3)}
        return TensorDict(values, batch_size=[3])


class Straight:
    """An agent whose skills are directions."""

    def answer(self, timestep: TensorDict, skill: torch.Tensor) -> torch.Tensor:
        return skill

    def toward(self, place: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
        return (goal - place).clamp(-1, 1)


def test_a_skill_is_played_until_its_episode_ends() -> None:
    state = torch.get_rng_state()
    moved = metrics.displacement(play(FixedSkills(Straight(), DIRECTIONS), Plane()))  # (N, T + 1, K)
    assert moved[0].tolist() == [[0, 0], [1, 0], [2, 0], [3, 0], [4, 0]]
    assert moved[1].tolist() == [[0, 0], [0, 1], [0, 2], [0, 2], [0, 2]]
    assert moved[2, -1].tolist() == [-4, 0]
    action = play(FixedSkills(Straight(), DIRECTIONS), Plane())["action"]  # (N, T + 1, A)
    assert action[0].tolist() == [[1, 0]] * 4 + [[0, 0]]
    assert action[1].tolist() == [[0, 1]] * 2 + [[0, 0]] * 3  # what the ended episode was still answered does not count
    assert torch.equal(torch.get_rng_state(), state)


def test_what_draws_plays_the_same_again() -> None:
    class Drawing(Straight):
        def answer(self, timestep: TensorDict, skill: torch.Tensor) -> torch.Tensor:
            return torch.rand_like(skill)

    actions = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        actions.append(play(FixedSkills(Drawing(), DIRECTIONS), Plane())["action"])
    assert torch.equal(*actions)


def test_measures_by_hand() -> None:
    """Along x, 0 to 4 in bins of 2 lies in bins 0, 0, 1, 2, 2, and mirrored; along y, 0 to 2 lies in 0, 0, 1.

    In a second episode all go half as far.
    """
    rows, slower = (play(FixedSkills(Straight(), pace * DIRECTIONS), Plane()) for pace in (1.0, 0.5))
    found = metrics.measured([rows, slower], 2.0)
    assert found["coverage"] == 6
    assert (
        found["reached"] == pytest.approx((4 + 2 + 4 + 2 + 1 + 2) / 6)
        and 1 <= found["reached_low"] <= found["reached_high"] <= 4
    )
    assert metrics.diversity(torch.ones(1, 2)) == 0  # which JSON can say
    assert found["diversity"] == pytest.approx((20**0.5 + 8 + 20**0.5) / 3 * 0.75)  # of 1 and 1/2
    assert found.keys() == {"coverage", "bin", "reached", "reached_low", "reached_high", "diversity"}


def test_what_fell_from_the_table_counts_where_it_last_lay() -> None:
    values = {"position": torch.tensor([[[1.0], [2], [9], [3]], [[1], [4], [5], [7]], [[0], [-6], [-5], [-4]]])}
    values["off_table"] = torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 1]])
    moved = metrics.displacement(TensorDict(values, batch_size=[3, 4]))  # type: ignore[arg-type]
    assert moved.squeeze(-1).tolist() == [[0, 1, 1, 1], [0, 3, 4, 6], [0, 0, 0, 0]]


def test_skills_lead_to_goals() -> None:
    goals = torch.tensor([[3.0, 5], [0, 7], [-1, 2]])
    assert play(Aimed(Straight(), goals), Plane())["position"][:, -1].tolist() == [[3, 5], [0, 2], [-1, 2]]
    found = metrics.missed(Straight(), Plane(), goals)
    assert found == {"goal/start": 3, "goal/end": pytest.approx(5 / 3)}


def test_grasps_and_violations_by_hand() -> None:
    """Of three skills one grasps in both episodes and one in one; then all of three in one, and one in the other.

    Of two steps in each of three episodes four are wrong, and then none.
    """
    assert metrics.consistency(torch.tensor([[True, True, False], [True, False, False]])) == pytest.approx(1 / 3)
    wrong = torch.tensor([[0.0, 1, 1], [0, 1, 0], [1, 0, 1]])  # where an episode begins is no step
    values = {"position": torch.randn(3, 3, 3), "grasped": torch.eye(3), "violation": wrong}
    rows = TensorDict(values, batch_size=[3, 3])  # type: ignore[arg-type]
    other = rows.clone().update({"grasped": torch.tensor([[0.0, 1, 0], [0, 0, 0], [0, 0, 0]]), "violation": 0 * wrong})
    found = metrics.measured([rows, other], 0.1)
    assert found["grasps"] == pytest.approx(4 / 6) and found["consistency"] == pytest.approx(1 / 3)
    assert found["violations"] == pytest.approx(4 / 12)
    assert found["coverage_xy"] <= found["coverage"]


def safe_rows(*shape: int) -> TensorDict:
    values = {"joint_margin": torch.ones(*shape, 7), "joint_speed": torch.zeros(*shape, 7)}
    values |= {"table_force": torch.zeros(shape), "off_table": torch.zeros(shape)}
    return TensorDict(values, batch_size=shape)


def test_rewards_of_the_table_top_by_hand() -> None:
    rows = safe_rows(2)
    rows["reach"] = torch.tensor([[0.0, 0, 0], [0.2, 0.1, 0]])
    torch.testing.assert_close(REWARDS["reach"].read(rows), torch.tensor([1, 1 - torch.tanh(torch.tensor(1.0)).item()]))
    assert REWARDS["safety"].read(rows).tolist() == [0, 0]
    rows["joint_margin"][1, :2] = torch.tensor([0.05, -0.1])  # half way into the margin, and beyond the limit
    rows["joint_speed"][1, 3] = 0.95
    rows["table_force"][:] = torch.tensor([15.0, 300])
    rows["off_table"][1] = 1
    rows["grasped"] = rows["off_table"]
    expected = {"joint_limits": -1.5, "joint_speeds": -0.75, "table_force": -1, "on_table": -1, "grasp": 1}
    for name, value in expected.items():
        assert REWARDS[name].read(rows)[1].item() == pytest.approx(value)
    assert REWARDS["safety"].read(rows).tolist() == pytest.approx([-0.5, -4.25])


def test_a_run_of_skills_has_a_page_and_a_film(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Skills along a line, and in the plane with nothing that tells where they lead."""
    for task, rewards, words in (("cheetah_run", "metra", "--agent.skill-dim 1"), ("point_mass_easy", "effort", "")):
        run = tmp_path / task
        options = f"--task {task} --num-envs 3 --time-limit 20 --steps 240 --threads 1 --train-ratio .01 --eval-every 0"
        train.main(["slim-small", "--run", str(run), *f"{options} --agent.rewards {rewards} {words}".split()])
        visualize.main([str(run)])
        numbers = json.loads((run / "skills.json").read_text())
        assert {"coverage", "random/coverage", "reached_low"} <= numbers.keys()
        assert ("goal/end" in numbers) == (rewards == "metra") and "coverage" in capsys.readouterr().out
        with Image.open(run / "skills.png") as page, Image.open(run / "skills.gif") as film:
            page.load()
            assert film.n_frames == 11 and film.size == (536, 536)  # type: ignore[attr-defined]
        assert not list(run.glob("*.unfinished"))
