"""Episodes in imagination: worked by hand in models that are known; who is elected."""

import torch
from torch import Tensor

from agents.archive import Archive
from agents.imagined import Begun, elected, imagine, votes
from agents.solutions import Perceptrons
from agents.tessellations import Grid

CPU = torch.device("cpu")


def step(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Two models of a point on a line: in one it moves by the action, in the other by twice that."""
    state = state + torch.tensor([1.0, 2.0])[:, None, None] * action
    return state, state[..., 0] * 10, torch.cat([state, state, state], -1)


def test_returns_and_measures_worked_by_hand() -> None:
    """Without hidden layers a solution is (weight, bias); tanh(atanh(.5)) moves by a half whatever the state."""
    half = torch.atanh(torch.tensor(0.5)).item()
    solutions = torch.tensor([[0.0, half], [0.0, -half]])
    begun = Begun(torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0] * 3, [3.0] * 3]))
    total, measures = imagine(step, Perceptrons(1, 1, ()), solutions, begun, 3, ("mean", "maximum", "change"))
    # model one: 1.5 2 2.5 and 2.5 2 1.5; model two: 2 3 4 and 2 1 0
    torch.testing.assert_close(total, torch.tensor([[60.0, 60.0], [90.0, 30.0]]))
    one = [[2.0, 2.5, 1.5], [2.0, 3.0, -1.5]]
    two = [[3.0, 4.0, 3.0], [1.0, 3.0, -3.0]]
    torch.testing.assert_close(measures, torch.tensor([one, two]))


def test_policies_see_the_states_that_their_model_imagines() -> None:
    perceptrons, generator = Perceptrons(1, 1, (5,)), torch.Generator().manual_seed(0)
    solutions = perceptrons.draw(7, generator)
    begun = Begun(torch.randn(7, 1, generator=generator), torch.zeros(7, 3))
    total, _ = imagine(step, perceptrons, solutions, begun, 2, ("mean",) * 3)
    for k, speed in enumerate((1, 2)):
        for n in range(7):
            x, earned = begun.state[n : n + 1], 0.0
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
