"""Settings of every test."""

import os

os.environ.setdefault("MUJOCO_GL", "disabled")  # tests import dm_control's tasks, also where there is no OpenGL

from collections.abc import Iterator

import pytest
import torch
from browser import Tab, browser

torch.set_num_threads(1)  # small tensors are several times slower on two threads


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs CUDA where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs CUDA, and torch finds no device here"))


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """Give the tests of a file a browser's tab; they skip where there is no browser."""
    with browser(tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.fixture(scope="module")
def few_rows() -> Iterator[None]:
    """Measure information on few rows and actions; what it is has tests of its own."""
    from agents import examination, infopower

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(infopower, "TOLD", 128)
        patch.setattr(infopower, "EXAMINED", 2)
        patch.setattr(examination, "ACTIONS", 8)
        patch.setattr(examination, "ACTED", 32)
        yield
