"""Whatever an environment is asked for that makes no sense is refused in one line that says what would."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import envs
from envs.checks import check_device

PIXELS = {"pixels": True}
VIDEO = {"pixels": True, "distraction": "video"}
NAMES: list[tuple[dict[str, Any], str]] = [
    ({"task": "walker_wlak"}, "unknown task 'walker_wlak': did you mean 'walker_walk'?"),
    ({"task": "walker-walk"}, "unknown task 'walker-walk': did you mean 'walker_walk'?"),
    ({"task": "humanoid_cmu_run"}, "did you mean 'humanoid_CMU_run'?"),
    ({"task": "quadruped"}, "did you mean 'quadruped_walk', 'quadruped_run', 'quadruped_escape' or 'quadruped_fetch'?"),
    ({"task": ""}, "unknown task '': choose one of acrobot_swingup, "),
    ({"engine": "wrap"}, "unknown engine 'wrap': did you mean 'warp'?"),
    ({"engine": "mjx"}, "unknown engine 'mjx': choose one of auto, c, warp"),
    (PIXELS | {"distraction": "vidoe"}, "unknown distraction 'vidoe': did you mean 'video'?"),
    (PIXELS | {"distraction": "dcs-hrad"}, "unknown distraction 'dcs-hrad': did you mean 'dcs-hard'?"),
    (PIXELS | {"background": "floor"}, "unknown background 'floor'"),
    (VIDEO | {"video_split": "test"}, "unknown video_split 'test'"),
    ({"video_split": "held-out"}, "unknown video_split 'held-out': did you mean 'held_out'?"),
    ({"background": "sky+flor"}, "unknown background 'sky+flor': did you mean 'sky+floor'?"),
    ({"distraction": "vidoe"}, "unknown distraction 'vidoe': did you mean 'video'?"),
    (PIXELS | {"distraction": "dcs-easy", "background": "sea"}, "unknown background 'sea'"),
    (
        {"measures": "torso_heigth"},
        "walker_walk has no measure 'torso_heigth' (option measures): it has right_foot_contact, left_foot",
    ),
]
NUMBERS: list[tuple[dict[str, Any], str]] = [
    ({"num_envs": 0}, "num_envs must be at least 1, got 0"),
    ({"num_envs": -3}, "num_envs must be at least 1, got -3"),
    ({"action_repeat": 0}, "action_repeat must be at least 1, got 0"),
    ({"time_limit": -1}, "time_limit must be at least 1, got -1"),
    ({"threads": 0}, "threads must be at least 1, got 0"),
    ({"contacts": -1, "engine": "warp"}, "contacts must be at least 1, got -1"),
    ({"constraints": 0, "engine": "warp"}, "constraints must be at least 1, got 0"),
    ({"compile": True, "engine": "warp"}, "option compile is for engine c"),
    (PIXELS | {"size": 0}, "size must be at least 1, got 0"),
    ({"num_envs": 2.5}, "num_envs must be a whole number, got 2.5"),
    ({"num_envs": "3"}, "num_envs must be a whole number, got '3'"),
    ({"action_repeat": 1.5}, "action_repeat must be a whole number, got 1.5"),
    ({"seed": -1}, "seed must be at least 0, got -1"),
    ({"size": -64}, "size must be at least 1, got -64"),
    ({"distraction_window": 48}, "distraction_window must be one of 32, 40, 64, got 48"),
    (VIDEO | {"distraction_window": 48}, "distraction_window must be one of 32, 40, 64, got 48"),
    (VIDEO | {"video_change": -50}, "video_change must be at least 0, got -50"),
    (VIDEO | {"size": 1024}, "more than the 512 MiB allowed: use a smaller picture or window"),
]
PLACES: list[tuple[dict[str, Any], str]] = [
    ({"device": "cdua"}, "unknown device 'cdua': take 'cpu', 'cuda' or 'auto'"),
    ({"device": "mps"}, "the device must be cpu or cuda, got mps"),
    ({"distraction": "video"}, "the distraction 'video' needs pixels"),
    ({"video_dir": "/tmp"}, "video_dir is for 'video' and for backgrounds of 'dcs-...', not for 'none'"),
    (PIXELS | {"distraction": "noise", "video_dir": "/tmp"}, "video_dir is for 'video' and for backgrounds of"),
    (PIXELS | {"distraction": "dcs-easy", "distraction_window": 32}, "distraction_window 32 is for what moves in"),
    (PIXELS | {"distraction": "dcs-easy", "background": "sky"}, "background 'sky' is for what moves in a window, not"),
]


@pytest.mark.parametrize(("options", "line"), NAMES + NUMBERS + PLACES)
def test_names_numbers_and_places(options: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError) as caught:
        envs.make(**({"task": "walker_walk"} | options))
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_a_cuda_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="device 'cuda:7': torch finds 1 CUDA device here"):
        check_device("cuda:7")
    assert check_device("cuda:0") == torch.device("cuda:0")


def test_states_of_others_and_sources_that_they_do_not_have() -> None:
    env, fewer, other = (envs.make(task, n) for task, n in (("walker_walk", 3), ("walker_walk", 2), ("hopper_hop", 3)))
    state, of_fewer, of_other = (made.state_dict() for made in (env, fewer, other))
    physics = f"the physics of 3 environments of walker_walk must be {tuple(state['physics'].shape)}, not "
    source = "source must be (3,) of torch.int64, not (2,) of torch.int64"
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: env.load_state_dict(of_fewer), physics),
        (lambda: env.load_state_dict(of_other), physics),
        (lambda: env.place(of_other, torch.tensor([0, 1, 2])), physics),
        (lambda: env.place(of_fewer, torch.tensor([0, 1, 2])), "source must lie in 0 to 1, not in 0 to 2"),
        (lambda: env.place(of_fewer, torch.tensor([0, -1, 1])), "source must lie in 0 to 1, not in -1 to 1"),
        (lambda: env.place(of_fewer, torch.tensor([0, 1])), source),
        (lambda: env.seed(-1), "seed must be at least 0, got -1"),
        (lambda: env.reset([True] * 3), "rows must be a torch.Tensor, not list"),  # type: ignore[arg-type]
    ]
    for call, line in wrong:
        with pytest.raises(ValueError) as caught:
            call()
        assert line in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_without_cuda() -> None:
    with pytest.raises(ValueError, match="device 'cuda': torch finds no CUDA device here; take 'cpu'"):
        envs.make("walker_walk", device="cuda")


def write_frames(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for frame in range(count):
        Image.fromarray(np.full((5, 7, 3), frame, np.uint8)).save(folder / f"{frame}.png")


def nothing(folder: Path) -> None:
    """Leave the folder out."""


def an_empty_folder(folder: Path) -> None:
    folder.mkdir()


def one_video(folder: Path) -> None:
    write_frames(folder / "only", 3)


def a_corrupt_film(folder: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"no film")


def a_truncated_image(folder: Path) -> None:
    for name in ("a", "b"):
        write_frames(folder / name, 3)
        whole = (folder / name / "1.png").read_bytes()
        (folder / name / "1.png").write_bytes(whole[: len(whole) // 2])


def a_single_frame(folder: Path) -> None:
    for name in ("a", "b"):
        write_frames(folder / name, 1)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (nothing, "does not exist or is not a folder"),
        (an_empty_folder, "holds no video: expected subfolders of images"),
        (one_video, "holds only one video, 'only': at least two are needed"),
        (a_corrupt_film, ".mp4': Invalid data found when processing input"),
        (a_truncated_image, "cannot read video "),
        (a_single_frame, "does not move: it has 1 frames, and needs at least 2"),
    ],
)
def test_video_folders(make: Callable[[Path], None], line: str, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    make(folder)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        envs.make("walker_walk", video_dir=folder, **VIDEO)
    assert str(folder) in str(caught.value) and line in str(caught.value) and "\n" not in str(caught.value)
