"""Episodes in imagination: worked by hand in models that are known; who is elected; what models learn from a replay."""

from dataclasses import replace

import pytest
import torch
from tensordict import TensorDict
from test_map_elites import ARCHIVED, CONFIG, SPACES
from torch import Tensor

from agents.archive import Archive
from agents.archive.tessellations import Grid
from agents.map_elites.emitters import Emitted, Emitter, Emitters
from agents.map_elites.foresight import EnsembleForesight
from agents.map_elites.imagined import Screening, elected, imagine, votes
from agents.map_elites.imagined_map_elites import ImaginedMapElitesConfig, imagined_map_elites
from agents.map_elites.solutions import Perceptrons
from agents.map_elites.starts import STARTS, Starts
from agents.replay import ReplayBuffer
from agents.spaces import Spaces
from world_models.ensemble import LEAST_STD, EnsembleConfig

CPU = torch.device("cpu")


class Line:
    """Two models of a point on a line: in one it moves by the action, in the other by twice that."""

    def __init__(self, state: Tensor, end: float = torch.inf) -> None:
        """state: where episodes begin (n, 1). end: where they end early, and beyond."""
        self.state, self.end = state, end

    def begin(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        assert count == len(self.state)
        state = self.state.unsqueeze(0)  # (1, n, 1)
        return 2 * state, state, torch.cat([state, state, state], -1)

    def step(self, latent: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Keep twice the state."""
        state = latent / 2 + torch.tensor([1.0, 2.0])[:, None, None] * action
        return 2 * state, state, state[..., 0] * 10, torch.cat([state, state, state], -1), state[..., 0] >= self.end


def test_returns_and_measures_worked_by_hand() -> None:
    """Without hidden layers a solution is (weight, bias); tanh(atanh(.5)) moves by a half whatever the state."""
    half = torch.atanh(torch.tensor(0.5)).item()
    solutions = torch.tensor([[0.0, half], [0.0, -half]])
    line, kinds = Line(torch.tensor([[1.0], [3.0]])), ("mean", "maximum", "change")
    total, measures = imagine(line, Perceptrons(1, 1, ()), solutions, 3, kinds, torch.Generator())
    # model one: 1.5 2 2.5 and 2.5 2 1.5; model two: 2 3 4 and 2 1 0
    torch.testing.assert_close(total, torch.tensor([[60.0, 60.0], [90.0, 30.0]]))
    one = [[2.0, 2.5, 1.5], [2.0, 3.0, -1.5]]
    two = [[3.0, 4.0, 3.0], [1.0, 3.0, -3.0]]
    torch.testing.assert_close(measures, torch.tensor([one, two]))


def test_what_comes_after_an_early_end_does_not_count() -> None:
    """Up and down by a half in model one, by one in model two; 3 ends it, and the step that leads there counts."""
    half = torch.atanh(torch.tensor(0.5)).item()
    solutions = torch.tensor([[0.0, half], [0.0, -half]])
    line, kinds = Line(torch.tensor([[1.0], [4.0]]), end=3.0), ("mean", "maximum", "change")
    total, measures = imagine(line, Perceptrons(1, 1, ()), solutions, 3, kinds, torch.Generator())
    # model one: 1.5 2 2.5, and 3.5; model two: 2 3, and 3
    torch.testing.assert_close(total, torch.tensor([[60.0, 35.0], [50.0, 30.0]]))
    one = [[2.0, 2.5, 1.5], [3.5, 4.0, -0.5]]
    two = [[2.5, 3.0, 2.0], [3.0, 4.0, -1.0]]
    torch.testing.assert_close(measures, torch.tensor([one, two]))


def test_policies_see_the_states_that_their_model_imagines() -> None:
    perceptrons, generator = Perceptrons(1, 1, (5,)), torch.Generator().manual_seed(0)
    solutions = perceptrons.draw(7, generator)
    line = Line(torch.randn(7, 1, generator=generator))
    total, _ = imagine(line, perceptrons, solutions, 2, ("mean",) * 3, generator)
    for k, speed in enumerate((1, 2)):
        for n in range(7):
            x, earned = line.state[n : n + 1], 0.0
            for _ in range(2):
                x = x + speed * perceptrons(solutions[n : n + 1], x)
                earned += 10 * x.item()
            torch.testing.assert_close(total[k, n].item(), earned)


def test_models_vote_and_those_with_most_votes_are_elected() -> None:
    archive = Archive(Grid((2,), ((0.0, 1.0),), CPU, torch.float32), 1)
    archive.add(torch.zeros(1, 1), torch.tensor([5.0]), torch.tensor([[0.25]]))
    objective = torch.tensor([[6.0, 6.0, 4.0, 1.0, 9.0], [7.0, 4.0, 4.0, 1.0, torch.nan]])
    measures = torch.tensor([[0.2, 0.3, 0.4, 0.9, 0.1], [0.1, 0.3, 0.4, 0.3, 0.1]]).unsqueeze(-1)
    shares = votes(archive, objective, measures)
    assert shares.tolist() == [1.0, 0.5, 0.0, 0.5, 0.5]
    generator = torch.Generator().manual_seed(0)
    chosen = torch.stack([elected(shares, 3, generator) for _ in range(200)])
    assert (chosen[:, 0] == 0).all() and set(chosen[:, 1:].flatten().tolist()) == {1, 3, 4}
    counts = torch.bincount(chosen[:, 1:].flatten(), minlength=5)
    assert counts[[1, 3, 4]].min() > 100  # of 133 expected


def test_more_is_made_than_is_played_once_the_models_are_ready() -> None:
    """Emitter number 1 makes what is voted for: solutions say for themselves how many votes they get."""
    made: list[int] = []

    def make(value: float) -> Emitter:
        def emit(count: int) -> Emitted:
            made.append(count)
            return Emitted(torch.full((count, 1), value), torch.zeros(count, 1))

        return Emitter(1.0, emit, lambda: True)

    ready = False
    generator = torch.Generator().manual_seed(0)
    emitters = Emitters({"poor": make(0.25), "good": make(0.75)}, CPU)
    screening = Screening(emitters, 4, lambda: ready, lambda solutions: solutions[:, 0], generator)
    first, emitter = screening.emit(6)
    assert sorted(first.solution.flatten().tolist()) == [0.25] * 3 + [0.75] * 3 and sum(made) == 6
    ready = True
    second, emitter = screening.emit(6)
    assert second.solution.flatten().tolist() == [0.75] * 6 and emitter.tolist() == [1] * 6 and sum(made) == 30
    metrics = screening.metrics()
    assert metrics["imagined/votes"] == 0.5 and metrics["imagined/votes_elected"] == 0.75
    screening.evaluated(emitter, torch.ones(6, dtype=torch.bool))
    assert screening.metrics()["emitter/good/insertions"] == 6


def test_models_are_asked_once_they_have_learned() -> None:
    agent = imagined_map_elites(
        replace(SPACES, kinds=("mean",)), ImaginedMapElitesConfig(ARCHIVED, CONFIG.variation, learned=3, hidden=(5,))
    )
    solutions = agent.kind.draw(4, agent.genetic.generator)
    agent.archive.add(solutions, torch.arange(4.0), torch.arange(4.0).unsqueeze(1), emitter=torch.zeros(4).long())
    (foresight,) = agent.learners
    for updates in (2, 3):
        foresight.updates = updates
        assert agent.emitters.ready() == (updates == 3)


def test_who_is_elected_keeps_emitter_and_target() -> None:
    """Solutions are numbers, of emitters of these numbers, meant for ten times that; the larger have more votes."""

    class Numbers:
        def emit(self, count: int) -> tuple[Emitted, Tensor]:
            number = torch.arange(count)
            return Emitted(number.float().unsqueeze(1), 10.0 * number.unsqueeze(1)), number

    screening = Screening(Numbers(), 4, lambda: True, lambda solutions: solutions[:, 0], torch.Generator())
    (solution, target), emitter = screening.emit(2)
    assert sorted(emitter.tolist()) == [6, 7]
    assert torch.equal(solution.squeeze(1), emitter.float()) and torch.equal(target, 10 * solution)


def test_data_is_standardised_anew_as_updates_double(monkeypatch: pytest.MonkeyPatch) -> None:
    spaces = Spaces({"state": (1,)}, 1, 2, 3, ("x",), (None,), ("mean",))
    foresight, done = EnsembleForesight(spaces, EnsembleConfig(members=2, hidden=5, batch=3), CPU), []
    replay = ReplayBuffer(20, 2)
    for t in range(10):
        values = {name: torch.randn(2, 1) for name in ("state", "action", "readings")} | {"reward": torch.randn(2)}
        values |= {"is_first": torch.full((2,), t == 0)}
        values |= {name: torch.zeros(2, dtype=torch.bool) for name in ("is_last", "is_terminal")}
        replay.add(TensorDict(values, batch_size=[2]))
    standardize = foresight.model.standardize

    def watched(*values: Tensor) -> None:
        done.append(foresight.updates + 1)
        standardize(*values)

    monkeypatch.setattr(foresight.model, "standardize", watched)
    for _ in range(9):
        foresight.learn(replay)
    assert done == [1, 2, 4, 8]


def test_models_learn_steps_not_resets_and_begin_where_episodes_did() -> None:
    """Episodes of 3 steps count up from 0, 10, 20 ...; resets jump. A step adds 1 and earns twice the state."""
    spaces = Spaces({"state": (1,)}, 1, 2, 3, ("x",), (None,), ("mean",))
    torch.manual_seed(0)
    foresight = EnsembleForesight(spaces, EnsembleConfig(members=2, hidden=17, batch=29, lr=3e-3), CPU)
    replay = ReplayBuffer(800, 2)
    for t in range(400):
        episode, age = divmod(t, 4)
        state = torch.full((2, 1), float(episode % 5 * 10 + age))
        values = {
            "state": state,
            "reward": 2 * (state[:, 0] - 1),
            "readings": state * 0 + 7,
            "action": torch.rand(2, 1),
            "is_first": torch.full((2,), age == 0),
            "is_last": torch.full((2,), age == 3),
            "is_terminal": torch.zeros(2, dtype=torch.bool),
        }
        row = TensorDict(values, batch_size=[2])
        foresight.see(row, row)
        replay.add(row)
    before, _, target, valid = foresight.steps(replay, 100)
    assert (target[valid, 0] == 1).all() and valid.float().mean() == pytest.approx(0.75, abs=0.15)
    assert (target[valid, 1] == 2 * before[valid, 0]).all() and (target[:, 2] == 7).all()
    losses = [foresight.learn(replay)["loss/ensemble"].item() for _ in range(300)]
    assert foresight.model.outputs[:, 0].tolist() == pytest.approx([1, LEAST_STD])  # of a step alone: resets jump
    assert losses[-1] < 0.05 * losses[0]
    _, state, readings = foresight.begin(50, torch.Generator().manual_seed(0))
    assert set(state.flatten().tolist()) == {0, 10, 20, 30, 40} and (readings == 7).all()
    assert foresight.starts.seen == 200 < STARTS
    state, reward, *_ = foresight.model.step(torch.full((2, 1, 1), 21.0), torch.zeros(2, 1, 1))
    torch.testing.assert_close(state, torch.full((2, 1, 1), 22.0), atol=0.2, rtol=0)
    torch.testing.assert_close(reward, torch.full((2, 1), 42.0), atol=4, rtol=0)


def test_models_learn_where_episodes_end() -> None:
    """A point is thrown to where the action says: above a half the episode ends, below it goes on."""
    spaces = Spaces({"state": (1,)}, 1, 2, 9, ("x",), (None,), ("mean",), terminates=True)
    torch.manual_seed(0)
    foresight = EnsembleForesight(spaces, EnsembleConfig(members=2, hidden=17, batch=29, lr=3e-3), CPU)
    replay, state, first = ReplayBuffer(800, 2), torch.zeros(2), torch.ones(2, dtype=torch.bool)
    for _ in range(400):
        ended = ~first & (state > 0.5)
        action = torch.rand(2) * 2 - 1
        values = {"reward": state, "is_first": first, "is_last": ended, "is_terminal": ended}
        values |= {"state": state[:, None], "readings": state[:, None] * 3, "action": action[:, None]}
        replay.add(TensorDict(values, batch_size=[2]))
        state, first = torch.where(ended, torch.zeros(2), action), ended
    for _ in range(300):
        foresight.learn(replay)
    action = torch.tensor([-0.9, 0.0, 0.3, 0.7, 0.95]).view(1, 5, 1).expand(2, 5, 1)
    _, _, _, readings, ended = foresight.step(torch.zeros(2, 5, 1), action)
    assert ended.tolist() == [[False, False, False, True, True]] * 2
    torch.testing.assert_close(readings, 3 * action, atol=0.5, rtol=0)


def test_the_last_first_rows_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 17 first rows, 5 at most in a timestep, a ring of 7 keeps the last: 10 to 16. Other rows say -1."""
    monkeypatch.setattr("agents.map_elites.starts.STARTS", 7)
    starts, number = Starts(1, 2, CPU), 0
    for count in (5, 2, 5, 0, 5):
        is_first = torch.arange(6) < count
        state = torch.where(is_first, torch.arange(6) + number, -1).float().unsqueeze(1)
        values = {"state": state, "readings": torch.cat([state * 2, state * 3], 1), "is_first": is_first}
        starts.add(TensorDict(values, batch_size=[6]))
        number += count
    state, readings = starts.draw(200, torch.Generator().manual_seed(0))
    assert number == 17 and set(state.flatten().tolist()) == set(range(10, 17))
    assert torch.equal(readings, state * torch.tensor([2.0, 3.0]))
