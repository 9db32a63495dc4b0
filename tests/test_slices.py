"""Time in slices: what lies before, what lies ahead, and where episodes end."""

import torch

from world_models.slices import mean_where, shift, slice_resets, windows, windows_inside

FIRST = torch.tensor([[False, False, False, True, False, False]])


def test_windows_inside() -> None:
    assert windows_inside(FIRST, 2).tolist() == [[0, 1, 1, 0, 1, 1]]
    assert windows_inside(FIRST, 3).tolist() == [[0, 0, 1, 0, 0, 1]]


def test_windows_are_the_latest_entries() -> None:
    x = torch.arange(1.0, 5.0).view(1, 4, 1)
    assert windows(x, 3).flatten(1).view(4, 3).tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_windows_inside_say_which_rows_have_a_later_one_in_their_episode() -> None:
    assert windows_inside(FIRST, 2)[:, 1:].tolist() == [[1, 1, 0, 1, 1]]
    assert windows_inside(FIRST, 3)[:, 2:].tolist() == [[1, 0, 0, 1]]
    assert windows_inside(FIRST, 6)[:, 5:].tolist() == [[0]]


def test_mean_where() -> None:
    assert mean_where(torch.tensor([3.0, 0.0, 6.0]), torch.tensor([1.0, 0.0, 1.0])).item() == 4.5
    assert mean_where(torch.zeros(3), torch.zeros(3)).item() == 0


def test_shift_and_slice_resets() -> None:
    assert shift(torch.arange(3.0).view(1, 3, 1)).flatten().tolist() == [0, 0, 1]
    first = torch.tensor([[False, False, True]])
    assert slice_resets(first).tolist() == [[True, False, True]]
    assert not first[0, 0]
