"""Soft indicator functions against dm_control's own."""

import math

import numpy as np
import pytest
import torch
from dm_control.utils import rewards as dm_rewards

from envs.tasks.rewards import SIGMOIDS, tolerance

POINTS = np.linspace(-7, 7, 29)  # in, at the edge of, beside and far from all bounds


@pytest.mark.parametrize("bounds", [(0.0, 0.0), (1.5, 1.5), (-0.5, 2.0), (1.0, math.inf)])
@pytest.mark.parametrize("sigmoid", SIGMOIDS)
def test_it_falls_as_dm_controls(sigmoid: str, bounds: tuple[float, float]) -> None:
    for margin, value in ((2.0, 0.1), (0.7, 0.5), (3.0, 0.0), (0.0, 0.1)):
        if value == 0 and sigmoid not in ("linear", "quadratic", "cosine"):
            continue  # the others never come to 0
        expected = dm_rewards.tolerance(POINTS, bounds, margin, sigmoid, value)
        found = tolerance(torch.from_numpy(POINTS), bounds, margin, sigmoid, value)
        torch.testing.assert_close(found, torch.from_numpy(expected).double(), rtol=0, atol=1e-12)
