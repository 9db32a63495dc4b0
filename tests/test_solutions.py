"""Populations of policies, beside networks of torch that are played one by one."""

import pytest
import torch
from scripted import Scripted
from tensordict import TensorDict
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from agents.evaluation import evaluate
from agents.map_elites.solutions import Perceptrons, Players


def network(perceptrons: Perceptrons) -> nn.Sequential:
    """Return what a solution lays out, as torch's own modules."""
    stack: list[nn.Module] = []
    for i, o in perceptrons.layers:
        stack += [nn.Linear(i, o), nn.ReLU()]
    return nn.Sequential(*stack[:-1], nn.Tanh())


@pytest.mark.parametrize("hidden", [(), (11,), (13, 7)])
def test_a_population_answers_as_its_networks_one_by_one(hidden: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    perceptrons, count, batch = Perceptrons(5, 3, hidden), 17, 19
    nets = [network(perceptrons) for _ in range(count)]
    solutions = torch.stack([parameters_to_vector(net.parameters()) for net in nets]).detach()  # (n, P)
    one, several = torch.randn(count, 5), torch.randn(count, batch, 5)
    expected = [torch.stack([net(x) for net, x in zip(nets, xs, strict=True)]) for xs in (one, several)]
    assert solutions.shape == (count, perceptrons.solution_dim)
    torch.testing.assert_close(perceptrons(solutions, one), expected[0])
    torch.testing.assert_close(perceptrons(solutions, several), expected[1])


def test_gradients_reach_each_solution_from_its_own_observations() -> None:
    perceptrons = Perceptrons(5, 2, (7,))
    solutions = perceptrons.draw(3, torch.Generator().manual_seed(0)).requires_grad_()
    perceptrons(solutions, torch.randn(3, 11, 5))[1].sum().backward()
    assert (solutions.grad.abs().sum(1) > 0).tolist() == [False, True, False]


def test_random_weights_have_variance_one_over_inputs_and_biases_are_zero() -> None:
    perceptrons = Perceptrons(29, 3, (31,))
    drawn = perceptrons.draw(101, torch.Generator().manual_seed(0))
    for (weight, bias), inputs in zip(perceptrons.layers_of(drawn), (29, 31), strict=True):
        assert weight.var() == pytest.approx(1 / inputs, rel=0.05)
        assert weight.abs().max() <= (3 / inputs) ** 0.5 and not bias.any()
    assert len(drawn.unique(dim=0)) == 101
    assert torch.equal(drawn, perceptrons.draw(101, torch.Generator().manual_seed(0)))


def test_parameters_are_laid_out_as_torch_does() -> None:
    perceptrons = Perceptrons(5, 2, (3,))
    net = network(perceptrons)
    solution = torch.arange(perceptrons.solution_dim, dtype=torch.float32)
    vector_to_parameters(solution, net.parameters())
    (weight, bias), (last, _) = perceptrons.layers_of(solution.unsqueeze(0))
    assert torch.equal(weight[0], net[0].weight) and torch.equal(bias[0], net[0].bias)
    assert torch.equal(last[0], net[2].weight)


def test_players_play_one_solution_an_environment() -> None:
    perceptrons = Perceptrons(2, 1, (5,))
    solutions = perceptrons.draw(3, torch.Generator().manual_seed(0))
    players, rows = Players(perceptrons, solutions), []
    assert evaluate(players, Scripted(), 3, watch=rows.append).tolist() == [3.0, 36.0, 115.0]
    for row in rows:
        for n in range(3):
            net = network(perceptrons)
            vector_to_parameters(solutions[n], net.parameters())
            torch.testing.assert_close(row["action"][n], net(row["state"][n]))
    with pytest.raises(ValueError, match="3 solutions play in as many environments, not in 7"):
        players.initial_carry(7)


class Clock(Perceptrons):
    """Act by the age of the episode."""

    def act(self, solutions: Tensor, observation: Tensor, age: Tensor) -> Tensor:
        return age.unsqueeze(1)


def test_players_tell_how_long_episodes_have_lasted() -> None:
    """In environments that observe it, in episodes of 2, 3 and 5 steps, more than one each."""
    rows: list[TensorDict] = []
    evaluate(Players(Clock(2, 1, ()), torch.zeros(3, 3)), Scripted(), 7, watch=rows.append)
    assert len(rows) > 6 and all(torch.equal(row["action"], row["state"][:, 1:]) for row in rows)
