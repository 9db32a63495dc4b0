"""Settings of every test."""

import os

os.environ.setdefault("MUJOCO_GL", "disabled")  # tests import dm_control's tasks, also where there is no OpenGL

import signal
from collections.abc import Iterator

import pytest
import torch
from browser import NONE, Tab, browser, find

torch.set_num_threads(1)  # small tensors are several times slower on two threads
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let what they start in the background ignore it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs CUDA, or a browser, where there is none."""
    cuda, program = torch.cuda.is_available(), find()
    for item in items:
        if item.get_closest_marker("gpu") and not cuda:
            item.add_marker(pytest.mark.skip(reason="needs CUDA, and torch finds no device here"))
        if "tab" in getattr(item, "fixturenames", ()) and program is None:
            item.add_marker(pytest.mark.skip(reason=NONE))


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
        patch.setattr(examination, "TOLD", 128)
        patch.setattr(infopower, "EXAMINED", 2)
        patch.setattr(examination, "ACTIONS", 8)
        patch.setattr(examination, "ACTED", 32)
        yield


@pytest.fixture
def without_opengl(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let dm_control's quadruped_escape hand its terrain to no graphics library: there need not be one."""
    from dm_control.mujoco import Physics

    monkeypatch.setattr(Physics, "contexts", None)
