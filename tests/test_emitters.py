"""Making solutions: variation, and shares of batches; episodes that say what solutions are worth."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from scripted import Scripted
from tensordict import TensorDict
from torch import Tensor

from agents.map_elites import outcomes
from agents.map_elites.emitters import Emitted, Emitter, Emitters
from agents.map_elites.solutions import Perceptrons
from agents.map_elites.variation import iso_line


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_variation_is_noise_plus_a_step_along_the_line() -> None:
    first, second = torch.zeros(1009, 101), torch.linspace(-1, 1, 101).expand(1009, 101)
    along = iso_line(first, second, 0.0, 0.05, generator())
    factor = along[:, -1:]  # one a solution
    torch.testing.assert_close(along, factor * second)
    assert factor.std() == pytest.approx(0.05, rel=0.05) and abs(factor.mean()) < 0.005
    noise = iso_line(first, second, 0.005, 0.0, generator())
    assert noise.std() == pytest.approx(0.005, rel=0.01)
    assert abs(torch.corrcoef(noise[:, :2].T)[0, 1]) < 0.1  # every parameter has noise of its own
    both = iso_line(first + 3, second, 0.0, 0.0, generator())
    assert torch.equal(both, first + 3)


def constant(number: float) -> Callable[[int], Emitted]:
    return lambda count: Emitted(torch.full((count, 3), number), torch.full((count, 2), -number))


def always() -> bool:
    return True


def test_shares_hold_over_batches_of_any_size() -> None:
    late = {"ready": False}
    emitters = Emitters(
        {
            "one": Emitter(1.0, constant(1), always),
            "two": Emitter(2.0, constant(2), always),
            "late": Emitter(3.0, constant(3), lambda: late["ready"]),
            "none": Emitter(0.0, constant(4), always),
        },
        "cpu",
    )
    counts = torch.zeros(4, dtype=torch.int64)
    for count in (1, 1, 1, 5, 7, 3, 12):  # 30
        (solution, target), emitter = emitters.emit(count)
        assert torch.equal(solution, (emitter + 1.0).unsqueeze(1).expand(count, 3))
        assert torch.equal(target, -(emitter + 1.0).unsqueeze(1).expand(count, 2))
        counts += emitter.bincount(minlength=4)
    assert counts.tolist() == [10, 20, 0, 0]
    late["ready"] = True
    assert emitters.split(6) == {"one": 1, "two": 2, "late": 3}


def test_someone_makes_solutions_where_those_with_a_share_cannot() -> None:
    """As where `random` is done, `genetic` 0, and there is too little in the replay for critics."""
    emitters = Emitters(
        {"done": Emitter(1.0, constant(1), lambda: False), "spare": Emitter(0.0, constant(2), always)}, "cpu"
    )
    assert emitters.split(3) == {"spare": 3}


def test_counts_and_debts_are_kept() -> None:
    def make() -> Emitters:
        return Emitters({"a": Emitter(0.7, constant(1), always), "b": Emitter(0.3, constant(2), always)}, "cpu")

    one, two = make(), make()
    one.split(4)
    one.evaluated(torch.tensor([0, 1, 1, 1]), torch.tensor([True, False, True, True]))
    two.load_state_dict(one.state_dict())
    assert {name: value.item() for name, value in two.metrics().items()} == pytest.approx(
        {
            "emitter/a/evaluations": 1,
            "emitter/a/insertions": 1,
            "emitter/a/insertion_rate": 1,
            "emitter/b/evaluations": 3,
            "emitter/b/insertions": 2,
            "emitter/b/insertion_rate": 2 / 3,
        }
    )
    assert [one.split(1) for _ in range(7)] == [two.split(1) for _ in range(7)]


@pytest.mark.parametrize(
    ("shares", "line"),
    [((-1.0, 2.0), "the share of a must be at least 0"), ((0.0, 0.0), "one of the shares of a, b must be above 0")],
)
def test_shares_that_make_no_sense(shares: tuple[float, float], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        Emitters({"a": Emitter(shares[0], constant(1), always), "b": Emitter(shares[1], constant(2), always)}, "cpu")


def follow(envs: Any, steps: int, late: bool = False) -> list[tuple[int, int, float, float]]:
    """Follow environments; return (time, row, return, measure) of each whole episode. late: miss the first rows."""
    timestep, found = envs.reset(), []
    carry = TensorDict(dict(outcomes.nothing_yet(3, torch.device("cpu"))), batch_size=[3])
    for time in range(steps):
        if not (late and time == 0):
            carry = carry.clone(recurse=False).update(outcomes.follow(timestep, carry))
            rows, objective, measures = outcomes.ended(timestep, carry)
            found += [
                (time, *row) for row in zip(rows.tolist(), objective.tolist(), measures[:, 0].tolist(), strict=True)
            ]
        timestep = envs.step(torch.zeros(3, 1))
    return found


def test_returns_and_measures_of_whole_episodes() -> None:
    """Environment n earns 10 n and the step's number, in episodes of 2, 3 and 5 steps; a reset takes a step."""
    whole = [(2, 0, 3, 2), (3, 1, 36, 3), (5, 0, 3, 2), (5, 2, 115, 5), (7, 1, 36, 3), (8, 0, 3, 2)]
    assert follow(Scripted(measures=True), 9) == whole
    assert follow(Scripted(measures=True), 9, late=True) == [(5, 0, 3, 2), (7, 1, 36, 3), (8, 0, 3, 2)]


class Obedient(Scripted):
    """Scripted environments whose reward is the action's number of hundredths instead."""

    def step(self, action: Tensor) -> TensorDict:
        timestep = super().step(action)
        timestep["reward"] = torch.where(timestep["is_first"], 0.0, action[:, 0])
        return timestep


def test_solutions_are_played_in_turns_for_one_episode_each() -> None:
    perceptrons = Perceptrons(2, 1, ())
    solutions = torch.zeros(7, 3)
    solutions[:, 2] = torch.arange(7) / 10  # the bias
    objective, measures = outcomes.play(perceptrons, solutions, Obedient(measures=True))
    steps = torch.tensor([2, 3, 5, 2, 3, 5, 2])
    torch.testing.assert_close(objective, steps * torch.tanh(torch.arange(7) / 10))
    assert measures[:, 0].tolist() == steps.tolist()


def test_measures_are_of_the_episode_whose_return_counts() -> None:
    """Episodes of 2, 3 and 5 steps: the first environment plays a second one while the last plays its first."""

    class Numbered(Scripted):
        def timestep(self, reward: list[float], first: list[bool]) -> TensorDict:
            return super().timestep(reward, first).set("measures", torch.tensor(self.episode).unsqueeze(1))

    policies = Perceptrons(2, 1, ())
    objective, measures = outcomes.play(policies, policies.draw(3, generator()), Numbered())
    assert objective.tolist() == [3, 36, 115] and measures.tolist() == [[1]] * 3
