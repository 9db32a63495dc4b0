"""Agents that fill archives: what they play and keep, runs that are interrupted, files, and one line for mistakes."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from scripted import LENGTHS, Scripted
from tensordict import TensorDict
from tiny import differing, metrics, refused

import evaluate
import train
from agents.archive import files, history
from agents.archive.config import ArchiveConfig
from agents.map_elites import MapElites, MapElitesConfig, map_elites
from agents.map_elites.variation import VariationConfig
from agents.spaces import Spaces

SCENE = "--num-envs 3 --time-limit 7 --eval-episodes 2 --eval-every 84 --log-every 42 --checkpoint-every 84 --threads 1"
ARCHIVE = "--agent.archive.grid 5 3 --agent.hidden 7 5 --agent.variation.initial 5 --agent.archive.history-every 2"
MEASURES = "--measures torso_speed torso_turn --agent.archive.ranges .1 .6 -.1 .1"
MODELS = "--agent.learned 3 --agent.offspring 3 --agent.model.hidden 11 --agent.model.batch 13"
CRITICS = "--train-ratio .2 --prefill 12 --agent.td3.hidden 11 --agent.td3.batch 13 --agent.ascent.steps 3"
LEARNING = {
    "map-elites-small": "--train-ratio .2 --prefill 0",
    "imagined-map-elites-small": f"--train-ratio .2 --prefill 84 {MODELS}",
    "pga-map-elites-small": CRITICS + " --agent.greedy .2",
    "dcrl-map-elites-small": CRITICS,
}
EMITTERS = {
    "map-elites-small": ("random", "iso_line"),
    "imagined-map-elites-small": ("random",),
    "pga-map-elites-small": ("random", "iso_line", "policy_gradient", "greedy"),
    "dcrl-map-elites-small": ("random", "iso_line", "policy_gradient", "injected"),
}
SPACES = Spaces({"state": (2,)}, 1, 3, 5, ("age",), (None,))
ARCHIVED = ArchiveConfig(grid=(7,), ranges=((0.0, 7.0),), history_every=1)
CONFIG = MapElitesConfig(ARCHIVED, VariationConfig(initial=4), hidden=(5,))


def arguments(name: str, run: Path, *more: Any, steps: int = 420) -> list[str]:
    line = [name, "--run", str(run), "--steps", str(steps), "--device", "cpu"]
    return [*line, *SCENE.split(), *ARCHIVE.split(), *LEARNING[name].split(), *map(str, more)]


def test_each_environment_plays_one_solution_an_episode() -> None:
    """Environment n always earns the same, in a cell of its own: the first solution that it played stays there."""
    torch.manual_seed(0)
    agent, envs = map_elites(SPACES, CONFIG), Scripted(measures=True)
    timestep, carry = envs.reset(), agent.initial_carry(3)
    played: list[list[torch.Tensor]] = [[], [], []]
    for _ in range(24):
        before = carry["solution"]
        out, carry = agent.act(timestep, carry)
        assert torch.equal(carry["age"], timestep["state"][:, 1].long())
        for n in range(3):
            if timestep["is_first"][n]:
                played[n].append(carry["solution"][n])
            else:
                assert torch.equal(carry["solution"][n], before[n])
            expected = agent.kind.act(
                carry["solution"][n : n + 1], timestep["state"][n : n + 1], carry["age"][n : n + 1]
            )
            torch.testing.assert_close(out["action"][n : n + 1], expected)
        timestep = envs.step(out["action"])
    elites = agent.archive.elites()
    assert elites["cell"].tolist() == list(LENGTHS)
    assert elites["objective"].tolist() == [3, 36, 115]
    assert torch.equal(elites["solution"], torch.stack([solutions[0] for solutions in played]))
    assert elites["evaluations"].sum() > 3  # some were played again
    assert len(torch.cat([torch.stack(solutions) for solutions in played]).unique(dim=0)) > agent.archive.offered - 3
    found = agent.metrics()
    assert found["archive/qd_score"] == 154 and found["archive/coverage"] == pytest.approx(3 / 7)
    assert found["archive/max"] == 115 and found["archive/mean"] == pytest.approx(154 / 3)
    assert found["emitter/random/evaluations"] + found["emitter/iso_line/evaluations"] == agent.archive.offered
    assert found["emitter/iso_line/evaluations"] > 0


def test_an_emitter_is_told_what_the_archive_holds_after_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of three solutions end in one cell: of 3 and of 36 the second is there, and the third elsewhere."""
    agent, told = map_elites(SPACES, CONFIG), []
    monkeypatch.setattr(agent.emitters, "evaluated", lambda emitter, kept: told.append(kept.tolist()))
    timestep = Scripted(measures=True).reset()
    _, carry = agent.act(timestep, agent.initial_carry(3))
    ended = {"reward": torch.tensor([3.0, 36, 5]), "measures": torch.tensor([[2.0], [2], [4]])}
    ended |= {"is_first": torch.zeros(3, dtype=torch.bool), "is_last": torch.ones(3, dtype=torch.bool)}
    agent.act(timestep.clone().update(ended), carry)
    assert told == [[False, True, True]]


def test_an_elite_whose_episode_is_over_may_play_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those of the cells 2 and 3 that played, one still does; the third environment plays something new."""
    agent, asked = map_elites(SPACES, CONFIG), []
    draw = agent.reevaluation.draw

    def watched(count: int, playing: torch.Tensor) -> TensorDict:
        asked.append((count, playing.tolist()))
        return draw(count, playing)

    monkeypatch.setattr(agent.reevaluation, "draw", watched)
    timestep = Scripted(measures=True).reset().set("is_first", torch.tensor([True, False, False]))
    agent.act(timestep, agent.initial_carry(3).set("cell", torch.tensor([2, 3, 7])))
    assert asked == [(1, [7, 3, 7])]


def test_variation_begins_once_the_first_solutions_were_offered() -> None:
    """Four of them: of three the archive has elites, but all solutions are random still."""
    agent = map_elites(SPACES, CONFIG)
    for count, begun in ((3, False), (1, True)):
        solutions = torch.zeros(count, agent.archive.solution_dim)
        measures, emitter = torch.ones(count, 1), torch.zeros(count, dtype=torch.int64)
        agent.archive.add(solutions, torch.zeros(count), measures, emitter=emitter)
        assert agent.genetic.begun() == begun


def test_the_best_elite_acts_for_evaluations_and_all_are_assessed() -> None:
    torch.manual_seed(0)
    agent, envs = map_elites(SPACES, CONFIG), Scripted(measures=True)
    timestep, carry = envs.reset(), agent.initial_carry(3)
    for _ in range(12):
        out, carry = agent.act(timestep, carry)
        timestep = envs.step(out["action"])
    best = agent.archive.elites()["solution"][-1:].expand(3, -1)  # of 115
    out, after = agent.act(timestep, carry, explore=False)
    assert torch.equal(out["action"], agent.kind.act(best, timestep["state"], carry["age"]))
    assert torch.equal(after["solution"], carry["solution"])
    assert torch.equal(after["age"], timestep["state"][:, 1].long())
    before = agent.archive.stats()
    found = agent.assess(Scripted(measures=True))
    assert found["reevaluated/qd_score"] == 154 and found["reevaluated/coverage"] == pytest.approx(3 / 7)
    assert all(
        torch.equal(value, torch.as_tensor(before[key]))
        for key, value in agent.archive.stats().items()
        if key != "not_finite"
    )


@pytest.fixture(scope="module", params=LEARNING)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Return the name of an agent, and an uninterrupted run of it."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    train.main(arguments(request.param, run, *MEASURES.split()))
    return request.param, run


def test_an_interrupted_run_ends_as_the_uninterrupted_one(
    whole: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, reference = whole
    run = tmp_path / "run"
    act, calls = MapElites.act, 0

    def interrupting(self: Any, timestep: Any, carry: Any, explore: bool = True) -> Any:
        nonlocal calls
        calls += 1
        if calls % 61 == 0:
            signal.raise_signal(signal.SIGINT)
        return act(self, timestep, carry, explore)

    monkeypatch.setattr(MapElites, "act", interrupting)
    words, stops = arguments(name, run, *MEASURES.split()), 0
    while True:
        try:
            train.main(words)
            break
        except SystemExit as stop:
            assert stop.code == 128 + signal.SIGINT
            words, stops = [name, "--run", str(run), "--resume"], stops + 1
    assert stops >= 2
    assert all(metrics(run)[-1][f"emitter/{name}/evaluations"] > 0 for name in EMITTERS[name])
    assert differing(run, reference) == []


def test_a_run_has_its_archive_and_history_on_disk(whole: tuple[str, Path]) -> None:
    _, run = whole
    config = train.load_config(run)
    agent, _ = train.load_agent(run, config, train.make_envs(config))
    assert isinstance(agent, MapElites)
    archive, frames = files.load(run / "archive"), history.load(run / "archive")
    elites = archive.elites()
    assert len(elites) > 1 and elites["solution"].shape[1] == agent.kind.solution_dim
    kept = agent.archive.elites()
    assert all(
        torch.equal(elites[name], kept[name]) for name in ("cell", "solution", "objective", "measures", "emitter")
    )
    serial, objective = frames.at(len(frames) - 1)
    assert torch.equal(serial, archive.serial) and torch.equal(objective, archive.objective)
    found = agent.metrics()
    assert found["archive/elites"] == len(elites)
    assert float(found["archive/qd_score"]) == pytest.approx(float(elites["objective"].sum()))
    last = metrics(run)[-1]  # as it is, not as it was on average
    assert {name: last[name] for name in found} == pytest.approx({name: float(x) for name, x in found.items()})
    assert 0 <= last["reevaluated/coverage"] <= found["archive/coverage"]


def test_evaluating_a_run_plays_its_best_and_all_its_elites(
    whole: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate.main([str(whole[1]), "--episodes", "2", "--device", "cpu"])
    printed = capsys.readouterr().out
    assert "none                  agent " in printed and "reevaluated/qd_score" in printed


@pytest.mark.parametrize(
    ("name", "more", "line"),
    [
        ("pga", "--agent.ascent.steps 0", "--agent.ascent.steps must be at least 1, not 0"),
        ("pga", "--agent.ascent.change 0", "--agent.ascent.change must be above 0, not 0.0"),
        ("pga", "--agent.greedy -1", "the share of greedy must be at least 0, not -1.0"),
        ("dcrl", "--agent.td3.batch 0", "--agent.td3.batch must be at least 1, not 0"),
        ("dcrl", "--agent.episodes 0", "--agent.episodes must be at least 1, not 0"),
        ("dcrl", "--agent.distance 0", "--agent.distance must be above 0, not 0.0"),
    ],
)
def test_mistakes_in_learning_are_answered_in_one_line(
    name: str, more: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(train.main, arguments(f"{name}-map-elites-small", tmp_path / "run", *more.split()), capsys) == line


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("--measures", "an archive needs measures: name them with --measures"),
        (
            "--measures back_foot_contcat",
            "no measure 'back_foot_contcat' (option measures): it has back_foot_contact, front_foot_contact",
        ),
        (
            "--measures displacement_x",
            "nothing bounds displacement_x: give --agent.archive.ranges LOW HIGH for each of",
        ),
        ("--agent.archive.ranges 0 1", "--agent.archive.ranges: 1 given for 2: back_foot_contact, front_foot_contact"),
        ("--agent.archive.ranges 0 1 1 0", "must go up from a finite number to another, got (1.0, 0.0)"),
        ("--agent.archive.grid 5", "--agent.archive.grid needs 2 numbers of at least 1, not [5]"),
        ("--agent.archive.grid --agent.archive.cells 1", "--agent.archive.cells must be at least 2, not 1"),
        ("--agent.archive.cells 100", "--agent.archive.cells 100 beside a grid of (5, 3): for cells around centroids"),
        ("--agent.archive.cells -3", "--agent.archive.cells must be at least 0, not -3"),
        ("--agent.archive.history-every 0", "--agent.archive.history-every must be at least 1, not 0"),
        ("--agent.variation.initial 0", "--agent.variation.initial must be at least 1, not 0"),
        ("--agent.hidden 5 0", "--agent.hidden must be at least 1, not 5 0"),
        ("--agent.variation.iso -1", "--agent.variation.iso must be at least 0, not -1.0"),
        ("--agent.archive.reevaluate 1", "--agent.archive.reevaluate must lie in [0, 1), not 1.0"),
        ("--observation pixels", "policies of an archive see states: take --observation state"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    more: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line in refused(train.main, arguments("map-elites-small", tmp_path / "run", *more.split()), capsys)
    assert not (tmp_path / "run").exists()
