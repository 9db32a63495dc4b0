"""Several agents in one run: who gets which environments and rows, and that the commands know its parts."""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from tiny import checkpoint_of, metrics, refused, together
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import votes

import envs
import evaluate
import train
import visualize
from agents.crew import Crew
from agents.infopower import InfoPower
from agents.map_elites import MapElites
from agents.presets import AGENTS
from agents.slim import Slim
from agents.together import TogetherConfig, divided, parts_of
from views import curves

KINDS = ("png", "gif", "json", "html")


def make(*more: str) -> tuple[Crew, envs.BatchedEnv]:
    config = train.parse(together(Path("run"), *more), AGENTS).config
    env = train.make_envs(config)
    crew = train.make_agent(config, env)
    assert isinstance(crew, Crew)
    return crew, env


def without(*names: str) -> list[str]:
    return [word for name in names for word in (f"--agent.envs.{name}", "0")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    train.main(together(run))
    return run


def test_environments_are_divided_in_proportion() -> None:
    assert divided(64, {"a": 8, "b": 32, "c": 24}) == {"a": range(8), "b": range(8, 40), "c": range(40, 64)}
    assert divided(13, {"a": 0.5, "b": 2, "c": 1.5}) == {"a": range(2), "b": range(2, 8), "c": range(8, 13)}
    assert divided(5, {"a": 0, "b": 1, "c": 0}) == {"b": range(5)}
    with pytest.raises(ValueError, match=r"--agent\.envs\.b-c 1 gets none of --num-envs 5: raise"):
        divided(5, {"a": 32, "b_c": 1})
    with pytest.raises(ValueError, match="shares of at least 0, and one above 0, not a 0 b 0"):
        divided(5, {"a": 0, "b": 0})
    with pytest.raises(ValueError, match="not a -1 b 2"):
        divided(5, {"a": -1, "b": 2})


def test_each_has_its_environments_and_reads_what_it_may() -> None:
    crew, env = make()
    members = crew.members
    assert [type(member.agent) for member in members.values()] == [InfoPower, Slim, MapElites, MapElites]
    assert {name: member.envs for name, member in members.items()} == {
        "infopower": range(2),
        "slim": range(2, 4),
        "map-elites": range(4, 6),
        "skills": range(6, 7),
    }
    assert [member.shared for member in members.values()] == [0.5, 0, 0.5, 0]
    env.close()
    crew, env = make("--agent.shared", ".25", *without("slim", "skills"), "--num-envs", "4")
    assert {name: member.shared for name, member in crew.members.items()} == {"infopower": 0.25, "map-elites": 0.25}
    env.close()


def test_the_large_one_can_be_made() -> None:
    words = "together --num-envs 8 --device cpu --threads 1 --agent.map-elites.archive.grid 5 3"
    config = train.parse(words.split(), AGENTS).config
    env = train.make_envs(config)
    crew = train.make_agent(config, env)
    assert isinstance(crew, Crew) and [len(member.envs) for member in crew.members.values()] == [1, 4, 3]
    out, _ = crew.act(env.reset(), crew.initial_carry(8))
    assert out["action"].shape == (8, 6) and out["action"].abs().amax() <= 1
    env.close()


def test_alone_in_its_environments_each_takes_as_many_updates_for_a_step_of_its_own() -> None:
    crew, env = make("--agent.updates.infopower", ".5")
    others = without("slim", "map-elites", "skills")
    alone, other = make("--agent.updates.infopower", ".5", *others, "--num-envs", "2")
    # 1 / 32 of an update a step: of 7 environments' steps, 2 of which are its own, or of 2
    assert crew.members["infopower"].updates.earned * 7 == pytest.approx(0.5 * 2)
    assert alone.members["infopower"].updates.earned * 2 == pytest.approx(0.5 * 2)
    env.close()
    other.close()


def test_wrong_settings_are_told_by_their_names_here(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for wrong, told in {
        "--agent.slim.epochs 0": "--agent.slim.epochs must be at least 1, not 0",
        "--agent.map-elites.variation.iso -1": "--agent.map-elites.variation.iso must be at least 0, not -1.0",
        "--agent.updates.slim -1": "--agent.updates.slim must be at least 0, not -1",
        "--agent.slim.discovery.reads latent --agent.envs.infopower 0 --agent.imagined.offspring 1": (
            "--agent.slim.discovery.reads latent needs InfoPower beside SLIM, in together: or position, state"
        ),
        "--agent.shared 1.5": "--agent.shared must be from 0 to 1, not 1.5",
        "--agent.shared nan": "--agent.shared must be finite, not nan",
        "--agent.skills.skills 11": "--agent.skills.skills must be from 1 to the 10 actions of an episode, not 11",
        "--agent.imagined.samples 0": "--agent.imagined.samples must be at least 1, not 0",
        "--agent.envs.infopower 0": "--agent.imagined.offspring 3 asks infopower's world model: give "
        "--agent.envs.infopower a share too",
        "--agent.envs.slim 0": "--agent.envs.skills 1 plays what slim learns: give --agent.envs.slim a share too",
        "--agent.envs.map-elites .01": "--agent.envs.map-elites 0.01 gets none of --num-envs 7: raise either",
    }.items():
        assert refused(train.main, together(tmp_path / "run", *wrong.split()), capsys) == told
        assert not (tmp_path / "run").exists()


def test_a_run_tells_of_all(run: Path) -> None:
    last = metrics(run)[-1]
    names = {"infopower/loss/reward", "slim/loss/surrogate", "map-elites/loss/critic", "map-elites/archive/qd_score"}
    names |= {f"{name}/eval/return" for name in ("infopower", "slim", "map-elites", "skills")}
    names |= {"slim/skills/coverage", "map-elites/reevaluated/coverage", "skills/reevaluated/coverage"}
    assert names <= last.keys()
    told = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()][-1]
    assert sum(value for name, value in told.items() if name.startswith("speed/share/")) == pytest.approx(1)
    assert last["map-elites/loss/readout"] > 0
    name = "map-elites/imagined/votes"
    told = [(line[name], line[f"{name}_elected"]) for line in metrics(run) if name in line]
    assert all(0 <= of_all <= of_elected <= 1 for of_all, of_elected in told) and max(told)[0] > 0
    for name in ("map-elites", "skills"):
        assert {path.name for path in (run / name / "archive").iterdir()} >= {"archive.json"}


def test_rows_say_whose_they_are_and_what_others_do_not_write_is_zero(run: Path) -> None:
    state = {name.removeprefix("/rows/"): value for name, value in checkpoint_of(run).items() if "/rows/" in name}
    rows = {name.split("/rows/")[-1]: value.view(-1, 7, *value.shape[1:]) for name, value in state.items()}
    assert rows["source"].unique(dim=0).tolist() == [[0, 0, 1, 1, 2, 2, 3]]
    for key in ("raw_action", "log_prob", "value", "skill"):
        written = rows[key].flatten(2).abs().sum(-1) if rows[key].dim() > 2 else rows[key].abs()  # (T, N)
        own = written[:, 2:4] > 0
        assert own.any() if key == "value" else own.all()  # critics say 0 until they have learned
        assert not written[:, [0, 1, 4, 5, 6]].any()
    assert rows["is_first"].any(0).all() and not (rows["is_first"] != rows["is_first"][:, :1]).any()


def test_parts_have_the_settings_of_their_own(run: Path) -> None:
    config = train.load_config(run)
    assert isinstance(config.agent, TogetherConfig)
    parts = parts_of(config)
    assert list(parts) == ["infopower/", "slim/", "map-elites/", "skills/"] and parts["map-elites/"].agent.hidden == (
        7,
    )
    assert parts_of(AGENTS["slim-small"]) == {"": AGENTS["slim-small"]}


def test_the_archive_of_skills_plays_slims_policy_as_it_is_and_saves_none_of_it(run: Path) -> None:
    config = train.load_config(run)
    env = train.make_envs(config)
    crew, _ = train.load_agent(run, config, env)
    assert isinstance(crew, Crew)
    slim, skills = crew.members["slim"].agent, crew.members["skills"].agent
    assert isinstance(slim, Slim) and isinstance(skills, MapElites)
    timestep, solutions = env.reset(), skills.archive.elites()["solution"][:1].expand(7, -1)  # (7, 3 * 2)
    answers = []
    for _ in range(2):
        acted = skills.kind.act(solutions, timestep["state"], torch.full((7,), 5))  # of 10 actions: the second skill
        assert torch.equal(acted, slim.answer(timestep, functional.normalize(solutions[:, 2:4], dim=1)))
        answers.append(acted)
        with torch.no_grad():
            slim.net.policy[-1].bias.add_(0.25)
    torch.testing.assert_close(answers[1], (answers[0] + 0.25).clamp(-1, 1))
    env.close()
    names = [name for name in checkpoint_of(run) if "/agents/skills/" in name]
    assert names and not any("/skills/kind/" in name or "policy" in name for name in names)


def test_all_are_evaluated(run: Path) -> None:
    evaluate.main([str(run), "--episodes", "2"])
    found = {condition["policy"]: condition for condition in json.loads((run / "evaluation.json").read_text())}
    assert list(found) == ["infopower", "slim", "map-elites", "skills", "random"]
    assert "slim/skills/reached" not in found["slim"]["metrics"] and "skills/reached" in found["slim"]["metrics"]
    assert all("reevaluated/qd_score" in found[name]["metrics"] for name in ("map-elites", "skills"))


def test_votes_are_compared_with_what_is_kept(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    votes.main([str(run), "--solutions", "7"])
    cells = capsys.readouterr().out.splitlines()[-1].strip("| ").split(" | ")
    assert cells[0] == "run" and cells[1].endswith("of 7)") and cells[2].endswith("of 2)")


def test_elites_and_skills_share_a_page(run: Path) -> None:
    visualize.draw_skills(run, curves.load_run(run, train.load_config(run)))
    assert {path.name for path in (run / "slim").glob("skills.*")} == {f"skills.{kind}" for kind in KINDS}
    page = visualize.write_page(visualize.Command((run,))).read_text()
    data = json.loads(page.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert data["value"] == "return" and [shown["noun"] for shown in data["maps"]] == ["cell", "cell", "skill"]
    assert [shown["name"] for shown in data["maps"]] == ["run/map-elites", "run/skills", "skills"]
    skills = data["maps"][2]
    values = np.frombuffer(base64.b64decode(skills["points"]["value"]["data"]), "<f4")
    assert values.tolist() == pytest.approx([motion["total"] for motion in skills["motions"]])


def test_curves_show_what_each_returns(run: Path) -> None:
    figure, axis = plt.subplots()
    curves.draw_return(axis, curves.load_run(run, train.load_config(run)))
    labels = [line.get_label() for line in axis.lines]
    names = ["infopower", "map-elites", "skills", "slim"]
    assert labels[:5] == ["exploring", *(f"{name}, held-out" for name in names)]
    plt.close(figure)
    lines = curves.summary([curves.load_run(run, train.load_config(run))]).splitlines()
    assert [line.split()[4] for line in lines[1:]] == names
