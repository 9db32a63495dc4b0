"""The background that actions bring about."""

import pytest
import torch

import envs
from envs import distractions, reafferent
from envs.reafferent import Reafferent

CPU = torch.device("cpu")


@pytest.mark.parametrize(("action_dim", "intervals"), [(1, 64), (2, 8), (3, 4), (6, 2), (21, 2)])
def test_what_acting_shows_worked_by_hand(action_dim: int, intervals: int) -> None:
    made = Reafferent(16, 3, action_dim, [5, 0], CPU)
    dims = min(action_dim, 6)
    assert made.backdrop.frames.shape == (intervals**dims * 32, 16, 16, 3)
    action = torch.tensor([-1.0, 1.0, 0.3]).unsqueeze(1).expand(3, action_dim)
    third = int(1.3 / 2 * intervals)  # the interval of 0.3
    cells = [0, intervals**dims - 1, sum(third * intervals**k for k in range(dims))]
    zero = sum(intervals // 2 * intervals**k for k in range(dims))
    for first, time, expected in (
        ([True] * 3, [0] * 3, [zero] * 3),  # whose action is ignored
        ([False] * 3, [1] * 3, cells),
        ([False, True, False], [2, 0, 2], [cells[0], zero, cells[2]]),
        ([False] * 3, [3, 1, 3], cells),
    ):
        made.advance(torch.tensor(first), 2, action, {})
        assert made.backdrop.current.tolist() == [32 * c + t for c, t in zip(expected, time, strict=True)]


def test_the_first_dimension_of_an_action_counts_most_and_time_comes_round() -> None:
    made = Reafferent(16, 1, 2, [5, 0], CPU)
    for _ in range(33):
        made.advance(torch.tensor([False]), 1, torch.tensor([[-0.7, 0.2]]), {})
    assert made.backdrop.current.tolist() == [32 * (8 * 1 + 4) + 1]


def test_a_background_is_a_grid_of_coloured_cells_of_its_split_and_seed() -> None:
    one, two, other, held_out = (
        Reafferent(window, 1, 1, seed, CPU).backdrop.frames
        for window, seed in ((16, [5, 0]), (40, [5, 0]), (16, [6, 0]), (16, [5, 1]))
    )
    assert torch.equal(two[:, ::5, 1::5], one[:, ::2, ::2])  # pixels 5 k and 5 k + 1 of 40 are in the cell 2 k of 16
    assert (
        abs((one == other).float().mean() - 1 / 256) < 1e-3 and abs((one == held_out).float().mean() - 1 / 256) < 1e-3
    )
    assert one[0].flatten(0, 1).unique(dim=0).shape[0] == reafferent.SIDE**2


def test_training_and_evaluation_never_react_alike() -> None:
    model = envs.make("cartpole_balance").model
    train, again, held_out = (
        distractions.make("reafferent", 1, model, size=16, seed=3, split=split).backdrop.frames
        for split in ("train", "train", "held_out")
    )
    assert torch.equal(train, again) and not torch.equal(train, held_out)


def test_acting_otherwise_shows_another_background_at_once() -> None:
    env = envs.make("cheetah_run", 2, pixels=True, distraction="reafferent", size=16)
    env.reset()
    here, there = env.step(torch.tensor([[-0.5] * 6, [0.5] * 6]))["pixels"]
    assert (here != there).any(-1).float().mean() > 0.9
