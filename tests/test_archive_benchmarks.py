"""Benchmarks of archives: a rival's selection, and how savings are counted."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tensordict import TensorDict

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import evaluations
import skill_archive
import votes
from illumination import SEARCHES, Population, illuminate, settings
from savings import needed, told

import envs
from agents.archive.config import ArchiveConfig, make_archive
from agents.map_elites.solutions import Perceptrons
from agents.map_elites.variation import Genetic, VariationConfig
from agents.spaces import Spaces

SPACES, KIND = Spaces({"state": (2,)}, 1, measures=("age",), ranges=(None,)), Perceptrons(2, 1, (5,))


def test_a_population_is_the_best_of_all_whatever_they_showed() -> None:
    archive = make_archive(ArchiveConfig(grid=(7,), ranges=((0.0, 7.0),)), SPACES, KIND.solution_dim, "cpu")
    unchanged = VariationConfig(iso=0.0, line=0.0)
    population = Population(3, Genetic(KIND, archive, unchanged, torch.Generator().manual_seed(0)))
    solutions = torch.arange(8.0).unsqueeze(1).expand(-1, KIND.solution_dim)  # (8, P)
    for rows, objective in ((slice(0, 5), [2.0, 9.0, 4.0, 1.0, 4.0]), (slice(5, 8), [4.0, 5.0, 0.0])):
        over = torch.ones(len(objective), dtype=torch.bool)
        timestep = {"is_last": over, "measures": torch.zeros(len(objective), 1)}
        carry = {"solution": solutions[rows], "return": torch.tensor(objective), "whole": over}
        population.see(*(TensorDict(dict(values), batch_size=[len(objective)]) for values in (timestep, carry)))
    assert population.objective.tolist() == [9, 5, 4]
    assert population.solution[:, 0].tolist() == [1, 6, 2]  # of the three fours, the first
    made = population.vary(101)
    assert set(made.solution[:, 0].tolist()) == {1, 2, 6} and made.target.isinf().all()


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_fills_cells_that_are_played_again(name: str) -> None:
    config = settings()
    agent = replace(config.agent, variation=replace(config.agent.variation, initial=8), hidden=(4,))
    found = illuminate(name, replace(config, agent=agent, num_envs=4, time_limit=3), 24)
    filled = {key: int((cells > -torch.inf).sum()) for key, cells in found.items()}
    assert 1 <= filled["reevaluated"] <= filled["archived"] <= 24


def test_a_target_is_reached_between_points_or_never() -> None:
    curve = np.array([10, 20, 30]), np.array([4.0, 3.0, 8.0])
    assert needed(curve, 2.0) == 5  # the curve begins at (0, 0)
    assert needed(curve, 4.0) == 10
    assert needed(curve, 6.0) == pytest.approx(25)  # from 4, the best so far, to 8
    assert needed(curve, 8.1) == np.inf
    assert told([0.5, 0.25]) == "0.38 (0.50; 0.25)" and told([0.5, np.inf]) == "- (0.50; -)"


def test_evaluations_are_timed_in_parts_that_are_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--num-envs", "3", "--threads", "1", "--time-limit", "7", "--warm-up", "4", "--turns", "1"]
    evaluations.main(["--agents", "map-elites-small", *sizes])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    head, _, row = (line.strip("| ").split(" | ") for line in lines)
    found = dict(zip(head, row, strict=True))
    assert found["agent"] == "map-elites-small" and found["population"] == "3"
    assert float(found["floor"].split()[0].replace(",", "")) > float(found["evaluations/s"].replace(",", "")) > 0
    assert sum(int(found[part].rstrip("%")) for part in evaluations.PARTS) == pytest.approx(100, abs=4)


def test_episodes_begin_in_one_state_and_end_where_others_of_the_same_actions_do() -> None:
    env = envs.make("point_mass_easy", 3, measures=["displacement_x"], time_limit=7, threads=1)
    still, action = skill_archive.OneStart(env), torch.tensor([[1.0, 0.0], [-0.3, 0.0], [1.0, 0.0]])
    timestep, ends, starts = still.reset(), [], []
    for _ in range(2 * (still.episode_length + 1)):
        ends += [timestep["measures"][:, 0]] if timestep["is_last"].any() else []
        starts += [timestep["state"]] if timestep["is_first"].any() else []
        timestep = still.step(action)
    assert len(starts) == len(ends) == 2 and starts[0].unique(dim=0).shape == (1, 4)
    assert torch.equal(starts[0], starts[1]) and torch.equal(ends[0], ends[1])
    assert ends[0][0] == ends[0][2] > 0 > ends[0][1]


def test_a_table_of_means_with_their_digits() -> None:
    one, other = (dict.fromkeys(skill_archive.COLUMNS, value) for value in (1.0, 3.5))
    whole, exact = "2 (1 to 4)", "2.2 (1.0 to 3.5)"
    row = " | ".join([whole, exact, whole, whole, whole, exact])
    assert skill_archive.table([{"x": one}, {"x": other}]).splitlines()[-1] == f"| x | {row} |"


def test_votes_are_counted_for_what_was_kept() -> None:
    """Kept are those with votes 1 and 0.5; of the six pairs with others, four and a tie go their way."""
    share, kept = torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0]), torch.tensor([True, False, True, False, False])
    chosen, before = torch.tensor([True, False, False, False, True]), torch.tensor([True, True, True, False, False])
    found = votes.row(share, chosen, kept, before)
    assert [cell.split()[0] for cell in found] == ["0.400", "0.500", "0.500", "0.000", "0.667", "0.75"]
    assert [cell.split()[-1] for cell in found[:5]] == ["5)", "2)", "2)", "2)", "3)"]
    assert votes.told(kept[:0]) == "- (of 0)"
