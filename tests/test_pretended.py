"""A run on a device is the run on the processor, waits for the device where it must alone, and goes on on the other."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import test_map_elites
import torch
from pretended import DEVICE, pretended, waited
from tiny import arguments, leaves, metrics, together
from torch import Tensor

import train
from envs.backdrops import Clips, Noise
from envs.distractions import DISTRACTIONS, make
from envs.tasks import TASKS
from envs.videos import Bank

SLIM = "--num-envs 4 --steps 480 --time-limit 15 --train-ratio .0125 --agent.hidden 7 5 --agent.discovery.hidden 7"
PACE = "--log-every 120 --eval-every 0 --eval-episodes 2 --checkpoint-every 240 --replay-size 400 --threads 1"
R = Path("RUN")
LINES = {
    "infopower-small": arguments(R, "--eval-episodes", 1, steps=240),
    "slim-small": ["slim-small", "--run", "RUN", *f"{SLIM} {PACE}".split()],
    "together-small": together(R, "--eval-episodes", 1, steps=560),
    "dcrl-map-elites-small": test_map_elites.arguments("dcrl-map-elites-small", R, steps=126),
}
# what makes the host wait in any run: an engine on the processor; files; what is played to be told of
EVER = ("envs/batched.py:step", "agents/runs/", "agents/evaluation.py", "agents/replay.py:state_dict")
EVER += ("agents/slim/metrics.py", "agents/archive/")
WAITS = {
    "infopower-small": {},
    "slim-small": {"agents/slim/slim.py:update": 5},  # each asks which steps did not end an episode
}


def run(name: str, folder: Path, *more: str) -> None:
    train.main([*(str(folder) if word == "RUN" else word for word in LINES[name]), *more])


def test_the_device_refuses_what_a_gpu_refuses() -> None:
    with pretended():
        row = torch.arange(3.0, device=DEVICE)
        with pytest.raises(RuntimeError, match="two devices"):
            row + torch.ones(3)
        with pytest.raises(TypeError, match="NumPy"):
            row.numpy()
        assert not waited
        assert (row * 2).sum().item() == 6 and row[row > 0].shape == (2,) and row.cpu().tolist() == [0, 1, 2]
        assert len(waited) == 3


@pytest.mark.parametrize("name", LINES)
def test_a_run_on_a_device_is_the_run_on_the_processor(name: str, tmp_path: Path) -> None:
    run(name, tmp_path / "here")
    with pretended():
        run(name, tmp_path / "there")
        waits = Counter(p for p in waited if not p.startswith(EVER) and not p.endswith("__init__"))
    here, there = metrics(tmp_path / "here"), metrics(tmp_path / "there")
    assert len(here) == len(there) > 1
    for one, other in zip(here, there, strict=True):  # sums are rounded in another order, which physics lets grow
        assert one == pytest.approx(other, rel=1e-3, abs=1e-6, nan_ok=True)
    if name in WAITS:
        assert waits == WAITS[name]
    if name == "dcrl-map-elites-small":  # once a step whether an episode ends or begins, then who begins
        assert waits["agents/map_elites/map_elites.py:act"] == 42 + 6


def test_a_run_goes_on_on_a_device_of_another_kind(tmp_path: Path) -> None:
    run("dcrl-map-elites-small", tmp_path)
    with pretended():
        run("dcrl-map-elites-small", tmp_path, "--steps", "168", "--resume")
    assert [row["step"] for row in metrics(tmp_path)] == [42, 84, 126, 168]
    train.main(["dcrl-map-elites-small", "--run", str(tmp_path), "--steps", "210", "--resume", "--device", "auto"])
    assert [row["step"] for row in metrics(tmp_path)] == [42, 84, 126, 168, 210]


def test_what_is_behind_the_agent_goes_on_on_a_device_of_another_kind() -> None:
    def made(device: torch.device) -> tuple[Clips, Noise]:
        frames = torch.zeros(12, 2, 2, 3, dtype=torch.uint8).to(device)
        return Clips(Bank(frames, torch.tensor([5, 7]).to(device)), 3, 0, seed=0), Noise(2, 3, 0, device)

    with pretended():
        for one, other in zip(made(torch.device("cpu")), made(DEVICE), strict=True):
            other.load_state_dict(one.state_dict())
            one.load_state_dict(other.state_dict())
        clips, on_device = made(torch.device("cpu"))[0], made(DEVICE)[0]
        on_device.load_state_dict(clips.state_dict())
        assert torch.equal(on_device.phase.cpu(), clips.phase)


@pytest.mark.parametrize("name", [name for name in DISTRACTIONS if name != "none"])
def test_a_distraction_moves_on_a_device_as_on_the_processor_and_never_waits(name: str) -> None:
    model, count = TASKS["walker_walk"]().model, 5
    actions, firsts = torch.rand(6, count, model.nu), torch.arange(6 * count).view(6, count) % 4 == 0
    poses = {"cam_xpos": torch.rand(count, model.ncam, 3) + 2, "subtree_com": torch.rand(count, model.nbody, 3)}
    poses["cam_xmat"] = torch.eye(3).flatten().repeat(count, model.ncam, 1)

    def recorded(clips: int, length: int, seed: int) -> Tensor:
        return torch.zeros(clips, length, 8, 8, 3, dtype=torch.uint8)

    def played(device: torch.device) -> dict[str, Any]:
        options = {"size": 8, "change": 3, "seed": 0, "device": device, "model": model, "record": recorded}
        distraction, there = make(name, count, **options), {key: pose.to(device) for key, pose in poses.items()}
        assert distraction is not None
        rows = [(first.to(device), 1, action.to(device), there) for first, action in zip(firsts, actions, strict=True)]
        waited.clear()
        for row in rows:
            distraction.advance(*row)
        assert not waited
        return {key: value.cpu() for key, value in leaves(distraction.state_dict()).items() if "generator" not in key}

    here = played(torch.device("cpu"))
    with pretended():
        there = played(DEVICE)
    assert here.keys() == there.keys() and all(torch.equal(here[key], there[key]) for key in here)
