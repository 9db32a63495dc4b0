"""Episodes and their returns, the random policy, intervals, and the command that evaluates a run."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tensordict import TensorDict
from tiny import arguments, refused
from torch import Tensor

import evaluate
import train
from agents.evaluation import RandomPolicy, play_held
from agents.evaluation import evaluate as play
from envs import film

N, SIZE = 3, 24
pytestmark = pytest.mark.usefixtures("few_rows")


class Counting:
    """Environment n has episodes of n + 2 steps, each rewarded with the action it answers."""

    num_envs = N

    def reset(self) -> TensorDict:
        self.age = torch.zeros(N)
        return self.timestep(torch.zeros(N))

    def step(self, action: Tensor) -> TensorDict:
        fresh = self.age == torch.arange(N) + 2  # the last row of an episode; its action is ignored
        self.age = torch.where(fresh, 0.0, self.age + 1)
        return self.timestep(torch.where(fresh, 0.0, action.squeeze(-1)))

    def timestep(self, reward: Tensor) -> TensorDict:
        is_last = self.age == torch.arange(N) + 2
        return TensorDict({"reward": reward, "is_first": self.age == 0, "is_last": is_last}, batch_size=[N])


class CountingPolicy:
    """Answer with 1, 2, 3, ... over its life, and 100 more while exploring."""

    def initial_carry(self, num_envs: int) -> TensorDict:
        return TensorDict({"count": torch.zeros(num_envs)}, batch_size=[num_envs])

    def act(self, timestep: TensorDict, carry: TensorDict, explore: bool = True) -> tuple[TensorDict, TensorDict]:
        count = carry["count"] + 1
        torch.randn(())  # as a sampling policy would
        out = TensorDict({"action": (count + 100 * explore).unsqueeze(-1)}, batch_size=[N])
        return out, TensorDict({"count": count}, batch_size=[N])


def test_each_environment_plays_its_share_of_whole_episodes() -> None:
    """4 episodes over 3 environments are 2, 1 and 1; their actions are 1 2 | 4 5, 1 2 3 and 1 2 3 4."""
    assert play(CountingPolicy(), Counting(), 4).tolist() == [1 + 2, 4 + 5, 1 + 2 + 3, 1 + 2 + 3 + 4]
    assert play(CountingPolicy(), Counting(), 2).tolist() == [3, 6]
    assert play(CountingPolicy(), Counting(), 3, explore=True).tolist() == [203, 306, 410]


def test_watchers_see_every_row_and_generators_stay_as_they_were() -> None:
    rows: list[TensorDict] = []
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    play(CountingPolicy(), Counting(), 3, watch=rows.append)
    assert torch.equal(torch.rand(3), expected)
    assert [row["action"][0].item() for row in rows] == [1, 2, 3, 4, 5]  # until the longest share has ended
    assert [row["is_last"][0].item() for row in rows] == [False, False, True, False, False]
    assert [row["is_last"][2].item() for row in rows] == [False, False, False, False, True]


def test_no_episodes_are_refused() -> None:
    with pytest.raises(ValueError, match="episodes must be at least 1, not 0"):
        play(CountingPolicy(), Counting(), 0)


def test_actions_are_held_from_the_first_row_on() -> None:
    """1 1 1 2 2 2 3, of which the fifth begins the last environment's second episode; none explores."""
    rewards: list[float] = []
    play_held(CountingPolicy(), Counting(), 7, 3, 0, lambda row: rewards.append(row["reward"][2].item()))
    assert rewards == [0, 1, 1, 1, 2, 0, 2, 3]


def test_a_seed_decides_what_is_drawn_while_actions_are_held() -> None:
    policy, found = CountingPolicy(), []
    policy.act = lambda timestep, carry, explore: (TensorDict({"action": torch.rand(N, 1)}, batch_size=[N]), carry)
    for seed, before in ((0, 1), (0, 2), (5, 2)):
        torch.manual_seed(before)
        rewards: list[Tensor] = []
        play_held(policy, Counting(), 3, 1, seed, lambda row, rewards=rewards: rewards.append(row["reward"]))
        found.append(torch.stack(rewards))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[1], found[2])


def test_the_random_policy_is_uniform_and_repeats_under_its_seed() -> None:
    timestep = TensorDict({}, batch_size=[5000])
    one, two, other = (RandomPolicy(2, "cpu", seed) for seed in (3, 3, 4))
    carry = one.initial_carry(5000)
    action = one.act(timestep, carry)[0]["action"]
    assert action.shape == (5000, 2)
    assert torch.equal(action, two.act(timestep, carry)[0]["action"])
    assert not torch.equal(action, other.act(timestep, carry)[0]["action"])
    counts = torch.histc(action, bins=10, min=-1, max=1)
    assert ((counts - 1000).abs() < 130).all()  # 4 standard deviations of sqrt(1000)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of small pictures in front of videos, hardly trained."""
    run = tmp_path_factory.mktemp("runs") / "run"
    options = ["--observation", "pixels", "--size", SIZE, "--distraction", "video", "--time-limit", 40, "--prefill", 60]
    train.main(arguments(run, *options, steps=180))
    return run


@pytest.fixture(scope="module")
def conditions(run: Path) -> list[dict[str, Any]]:
    evaluate.main([str(run), "--distraction", "none", "noise", "--episodes", "5"])
    return json.loads((run / "evaluation.json").read_text())


def test_conditions_hold_what_they_say(conditions: list[dict[str, Any]]) -> None:
    assert [(c["distraction"], c["policy"]) for c in conditions] == [
        ("none", "agent"),
        ("none", "random"),
        ("noise", "agent"),
        ("noise", "random"),
    ]
    for condition in conditions:
        assert condition["task"] == "walker_stand" and len(condition["returns"]) == 5
        assert condition["mean"] == pytest.approx(sum(condition["returns"]) / 5, rel=1e-6)
        low, high = condition["ci95"]
        assert min(condition["returns"]) <= low <= condition["mean"] <= high <= max(condition["returns"])
    clean, noisy = (c["returns"] for c in conditions if c["policy"] == "random")
    assert clean == noisy  # the same starts and actions: what moves behind changes no reward


def test_what_the_inverse_model_knows_is_reported_for_the_agent_alone(conditions: list[dict[str, Any]]) -> None:
    told = {f"information/{what}{limit}" for what in ("observation", "reward", "action") for limit in ("", "_ceiling")}
    for condition in conditions:
        expected = (
            told | {"inverse/seen", "inverse/shuffled", "foretold/reward"} if condition["policy"] == "agent" else set()
        )
        assert set(condition["metrics"]) == expected


def test_pictures_play_an_episode(run: Path, conditions: list[dict[str, Any]]) -> None:
    for condition in conditions:
        with Image.open(run / condition["picture"]) as picture:
            assert picture.size == (3 * SIZE, 3 * SIZE) and picture.n_frames > 10 and picture.info["duration"] == 50
    assert not list(run.glob("*.unfinished"))


def test_agents_of_earlier_checkpoints_are_kept_and_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train.main(arguments(run, "--keep-agents", "--checkpoint-every", 60, steps=180))
    evaluate.main([str(run), "--step", "60", "--episodes", "2"])
    earlier = run / "checkpoints" / "000000060"
    assert {path.name for path in earlier.iterdir()} == {
        "agent.pt",
        "evaluation.json",
        "none-agent.gif",
        "none-random.gif",
    }
    found = json.loads((earlier / "evaluation.json").read_text())
    assert [condition["step"] for condition in found] == [60, None] and not (run / "evaluation.json").exists()
    line = f"the run {run} has no checkpoint of step 61: it has 60, 120, 180"
    assert refused(evaluate.main, [str(run), "--step", "61"], capsys) == line
    line = "--suite goes without --film and --step"
    assert refused(evaluate.main, [str(run), "--suite", "distracting", "--film", "--step", "60"], capsys) == line
    train.main(["infopower-small", "--run", str(run), "--resume", "--steps", "240"])
    assert {path.name for path in earlier.iterdir()} == {
        "agent.pt",
        "evaluation.json",
        "none-agent.gif",
        "none-random.gif",
    }


def test_films_are_made_and_options_that_are_not_for_a_distraction_left_out(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(film, "SIZE", 32)
    for name in ("one", "two"):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for frame in range(2):
            Image.new("RGB", (8, 8), "teal").save(tmp_path / "clips" / name / f"{frame}.png")
    other = tmp_path / "other"
    shutil.copytree(run, other)
    config = json.loads((run / "config.json").read_text())
    config |= {"video_dir": str(tmp_path / "clips"), "distraction_window": 32}
    (other / "config.json").write_text(json.dumps(config))
    evaluate.main([str(other), "--distraction", "none", "video", "dcs-easy", "--episodes", "1", "--film"])
    conditions = json.loads((other / "evaluation.json").read_text())[:6]
    assert [c["film"] for c in conditions] == [
        "none-agent.webp",
        None,
        "video-agent.webp",
        None,
        "dcs-easy-agent.webp",
        None,
    ]
    assert [c["distraction_window"] for c in conditions[::2]] == [64, 32, 64]
    assert [(c["background"], c["floor_opacity"]) for c in conditions[2::2]] == [("sky+floor", 0.0), ("sky+grid", 1.0)]
    assert "and 9 pictures beside it" in capsys.readouterr().out
    with Image.open(other / "dcs-easy-agent.webp") as picture:
        assert picture.size == (64, 32) and picture.n_frames == 41  # one for each of 40 control steps, and the first


def test_diagnostics_are_measured_beside_an_untrained_agent_and_drawn(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    evaluate.main([str(other), "--distraction", "none", "video", "--episodes", "4", "--diagnostics"])
    conditions = json.loads((other / "evaluation.json").read_text())[:4]
    assert [c["page"] for c in conditions] == ["none-diagnostics.png", None, "video-diagnostics.png", None]
    clean, video = (c["metrics"] for c in conditions if c["policy"] == "agent")
    for metrics in (clean, video):
        for what in ("observation", "reward", "action"):
            assert metrics[f"information/{what}"] <= metrics[f"information/{what}_ceiling"]
        assert metrics["probe/state/stoch"] < 1 and metrics["untrained/probe/state/stoch"] < 1
        assert metrics["probe/state/stoch"] != metrics["untrained/probe/state/stoch"]
    behind = {"probe/distractor/stoch", "probe/distractor/feat", "geometry/neighbours", "spectral/distractor"}
    assert video.keys() - clean.keys() == behind | {f"untrained/{name}" for name in behind}
    for page, height in (("none", 840), ("video", 1620)):
        with Image.open(other / f"{page}-diagnostics.png") as picture:
            assert picture.size == (1560, height) and len(picture.convert("RGB").getcolors(1 << 24)) > 50


def test_evaluating_twice_gives_the_same(run: Path, conditions: list[dict[str, Any]]) -> None:
    evaluate.main([str(run), "--distraction", "noise", "--episodes", "5"])
    assert json.loads((run / "evaluation.json").read_text()) == [*conditions[2:], *conditions[:2]]  # newest first


def test_an_agent_that_learned_from_states_is_evaluated_on_states(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train.main(arguments(tmp_path / "run", "--observation", "state", "--distraction", "none", steps=180))
    evaluate.main([str(tmp_path / "run"), "--episodes", "2"])  # pictures are drawn, but not for the agent
    assert [c["policy"] for c in json.loads((tmp_path / "run" / "evaluation.json").read_text())] == ["agent", "random"]
    said = refused(evaluate.main, [tmp_path / "run", "--distraction", "none", "video"], capsys)
    assert said.endswith("run learned from states, which no distraction changes: take --distraction none")


def test_the_default_is_clean_and_as_trained(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.main([str(run), "--episodes", "1"])
    found = json.loads((run / "evaluation.json").read_text())
    assert [(c["distraction"], len(c["returns"])) for c in found if c["seed"] == 1000][:4] == [
        ("none", 1),
        ("none", 1),
        ("video", 1),
        ("video", 1),
    ]
    assert "inverse/seen" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--distraction", "vidoe"], "unknown distraction 'vidoe': did you mean 'video'?"),
        (["--episodes", "0"], "--episodes must be at least 1, not 0"),
        (
            ["--diagnostics", "--episodes", "1"],
            "--diagnostics needs --episodes 2 at least: one to fit probes, another to ask about",
        ),
        (["--library", "--film"], "--library goes without --film"),
        (["--seed", "-1"], f"--seed must lie from 0 to {2**63 - 1}, not -1"),
    ],
)
def test_wrong_options_are_one_line(words: list[str], line: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(evaluate.main, [run, *words], capsys) == line


def test_damaged_and_missing_runs_are_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text((run / "config.json").read_text())
    agent = tmp_path / "checkpoints" / "000000180" / "agent.pt"
    lines = [(tmp_path / "no", f"there is no run in {tmp_path}/no: it has no config.json")]
    lines += [(tmp_path, f"the run {tmp_path} has no checkpoint yet")]
    for folder, line in lines:
        assert refused(evaluate.main, [folder, "--episodes", 1], capsys) == line
    agent.parent.mkdir(parents=True)
    agent.write_bytes((run / "checkpoints" / "000000180" / "agent.pt").read_bytes()[:-1000])
    said = refused(evaluate.main, [tmp_path, "--episodes", 1], capsys)
    assert said.startswith(f"checkpoint file {agent} is damaged") and not (tmp_path / "evaluation.json").exists()
