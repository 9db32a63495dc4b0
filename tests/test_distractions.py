"""Which frame is shown when, worked by hand; resuming; and what is refused."""

import io

import numpy as np
import pytest
import torch
from torch import Tensor

import envs
from envs import distractions
from envs.backdrops import Clips
from envs.scene import Scene
from envs.tasks import TASKS
from envs.videos import Bank

LENGTHS = (3, 1, 5)


def numbered_bank(lengths: tuple[int, ...] = LENGTHS) -> Bank:
    """Make one-pixel videos whose red is the clip and whose green is the frame within it."""
    frames = [(clip, frame, 0) for clip, length in enumerate(lengths) for frame in range(length)]
    return Bank(torch.tensor(frames, dtype=torch.uint8).view(-1, 1, 1, 3), torch.tensor(lengths))


def shown(clips: Clips) -> tuple[Tensor, Tensor]:
    """Say which clip and which frame of it each environment shows, (N,) each."""
    backdrop = clips.backdrop
    pixel = backdrop.frames[backdrop.current.long(), 0, 0]
    return pixel[:, 0].long(), pixel[:, 1].long()


def nobody(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.bool)


def advance(made: distractions.Distraction, is_first: Tensor, steps: int) -> None:
    """Move on what looks neither at actions nor at poses."""
    made.advance(is_first, steps, torch.zeros(len(is_first), 1), {})


def test_a_clip_plays_to_and_fro() -> None:
    clips = Clips(numbered_bank((4,)), 1, change=0, seed=0)
    clips.phase = torch.tensor([0])
    frames = []
    for _ in range(9):
        frames.append(shown(clips)[1].item())
        advance(clips, nobody(1), 1)
    assert frames == [0, 1, 2, 3, 2, 1, 0, 1, 2]


def test_action_repeat_skips_frames() -> None:
    clips = Clips(numbered_bank((4,)), 1, change=0, seed=0)
    clips.phase = torch.tensor([1])
    frames = []
    for _ in range(4):
        frames.append(shown(clips)[1].item())
        advance(clips, nobody(1), 2)
    assert frames == [1, 3, 1, 1]  # phases 1, 3, 5, 7 of 0 1 2 3 2 1 | 0 1 2 3 2 1


def test_a_still_picture_stays() -> None:
    clips = Clips(numbered_bank((1,)), 2, change=3, seed=0)
    for _ in range(7):
        advance(clips, nobody(2), 1)
        assert shown(clips)[1].tolist() == [0, 0]


def test_frames_never_leave_their_clip() -> None:
    clips = Clips(numbered_bank(), 101, change=13, seed=1)
    for _ in range(29):
        advance(clips, nobody(101), 1)
        clip, _ = shown(clips)
        assert torch.equal(clip, clips.clip)
    assert set(clips.clip.tolist()) == {0, 1, 2}


@pytest.mark.parametrize(("steps", "expected"), [(1, [50, 100, 150]), (4, [13, 25, 38])])
def test_a_new_video_comes_every_fifty_control_steps(steps: int, expected: list[int]) -> None:
    """With action repeat 4 the changes fall due at steps 50, 100, 150, seen in calls 13, 25 and 38."""
    clips = Clips(numbered_bank(tuple([2] * 255)), 7, change=50, seed=2)
    changes, before = [], clips.clip
    for call in range(1, expected[-1] + 3):
        advance(clips, nobody(7), steps)
        if not torch.equal(clips.clip, before):
            changes.append(call)
        before = clips.clip
    assert changes == expected


def test_an_episode_brings_a_new_video_to_its_row_alone_and_starts_its_count() -> None:
    clips = Clips(numbered_bank(tuple([2] * 255)), 5, change=10, seed=3)
    for _ in range(7):
        advance(clips, nobody(5), 1)
    before = clips.clip
    first = torch.tensor([False, True, False, False, True])
    advance(clips, first, 1)
    assert ((clips.clip != before) == first).all()
    assert clips.age.tolist() == [8, 0, 8, 8, 0]


def test_a_stride_longer_than_a_clip_lasts_leaves_nothing_due() -> None:
    clips = Clips(numbered_bank(tuple([2] * 255)), 5, change=2, seed=3)
    for _ in range(7):
        advance(clips, nobody(5), 5)
    before = clips.clip
    first = torch.tensor([False, True, False, False, True])
    advance(clips, first, 0)
    assert ((clips.clip != before) == first).all()


def test_every_episode_means_no_change_in_between() -> None:
    clips = Clips(numbered_bank(tuple([2] * 255)), 5, change=0, seed=3)
    before = clips.clip
    for _ in range(211):
        advance(clips, nobody(5), 4)
    assert torch.equal(clips.clip, before)
    advance(clips, ~nobody(5), 4)
    assert not torch.equal(clips.clip, before)


def test_clips_and_starts_are_uniform() -> None:
    clips = Clips(numbered_bank((3, 3, 3, 3)), 20000, change=0, seed=4)
    clip, frame = shown(clips)
    assert torch.allclose(clip.bincount() / 20000, torch.full((4,), 0.25), atol=0.02)
    assert torch.allclose(frame.bincount() / 20000, torch.tensor([0.25, 0.5, 0.25]), atol=0.02)  # 0 1 2 1 | 0 1 2 1


def recorder(clips: int, length: int, seed: int) -> Tensor:
    frames = np.random.default_rng(seed).integers(256, size=(clips, length, 8, 8, 3), dtype=np.uint8)
    return torch.from_numpy(frames)


@pytest.mark.parametrize("name", ["video", "agent", "noise"])
def test_a_saved_state_goes_on_bit_for_bit(name: str) -> None:
    def make() -> distractions.Distraction:
        made = distractions.make(name, 5, size=8, change=3, seed=11, record=recorder)
        assert made is not None
        return made

    one, other = make(), make()
    first = torch.tensor([False, False, True, False, False])
    for _ in range(7):
        advance(one, first, 2)
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    for _ in range(11):
        mine, its = (made.apply(Scene({})).backdrop for made in (one, other))
        assert torch.equal(mine.frames, its.frames) and torch.equal(mine.current, its.current)
        advance(one, first, 2)
        advance(other, first, 2)


def test_a_state_of_other_videos_is_refused() -> None:
    state = Clips(numbered_bank((2, 3)), 5, change=0, seed=0).state_dict()
    with pytest.raises(ValueError, match="the videos have changed since this state was saved"):
        Clips(numbered_bank((2, 5)), 5, change=0, seed=0).load_state_dict(state)


@pytest.mark.parametrize("name", ["video", "agent", "noise"])
def test_the_global_generators_are_left_alone(name: str) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    made = distractions.make(name, 3, size=8, seed=5, record=recorder)
    assert made is not None
    advance(made, nobody(3), 1)
    drawn = torch.rand(1), np.random.rand()
    torch.manual_seed(1)
    np.random.seed(1)
    assert drawn == (torch.rand(1), np.random.rand())


def test_noise_is_fresh_uniform_and_each_environments_own() -> None:
    noise = distractions.make("noise", 3, size=37, seed=1)
    assert noise is not None
    first = noise.backdrop.frames.clone()
    advance(noise, nobody(3), 1)
    second = noise.backdrop.frames
    assert first.shape == (3, 37, 37, 3) and first.dtype == torch.uint8
    assert noise.backdrop.current.tolist() == [0, 1, 2]
    for a, b in ((first, second), (first[0], first[1])):
        assert abs((a == b).float().mean().item() - 1 / 256) < 0.003  # equal by chance only
    assert torch.allclose(first.flatten().bincount(minlength=256) / first.numel(), torch.tensor(1 / 256), atol=0.003)


def test_recorded_agents_differ_between_seeds_and_splits_and_are_averaged_to_the_window() -> None:
    seeds = []

    def record(clips: int, length: int, seed: int) -> Tensor:
        seeds.append(seed)
        return torch.arange(4, dtype=torch.uint8).view(1, 1, 2, 2, 1).expand(clips, length, 2, 2, 3) * 20

    for seed, split in ((9, "train"), (9, "held_out"), (10, "train"), (10, "held_out")):
        made = distractions.make("agent", 2, size=1, split=split, seed=seed, record=record)
        assert made is not None
        assert (made.backdrop.frames == 30).all()  # the mean of 0, 20, 40, 60
    assert len(set(seeds)) == 4


def test_parts_are_seeded_apart() -> None:
    parts = {name: Clips(numbered_bank(tuple([2] * 255)), 13, change=0, seed=0) for name in ("one", "two")}
    found = []
    for _ in range(2):
        distractions.Layers(parts).seed(3)
        for clips in parts.values():
            advance(clips, ~nobody(13), 1)
            found.append(clips.clip)
    assert not torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2]) and torch.equal(found[1], found[3])


def test_a_seed_decides_the_distraction_too() -> None:
    env, frames = envs.make("cartpole_balance", 2, pixels=True, size=16, distraction="noise", threads=1), []
    for seed in (5, 5, 6):
        env.seed(seed)
        frames.append(env.reset()["pixels"].clone())
    assert torch.equal(frames[0], frames[1]) and not torch.equal(frames[0], frames[2])


@pytest.mark.parametrize(("size", "window", "pixels"), [(64, 32, 32), (64, 40, 40), (64, 64, 64), (84, 32, 42)])
def test_the_window_grows_with_the_picture(size: int, window: int, pixels: int) -> None:
    made = distractions.make("noise", 1, size=size, window=window)
    assert made is not None
    assert made.backdrop.frames.shape == (1, pixels, pixels, 3)


def test_the_suites_hardest_videos_fit_into_memory_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def procedural(seed: int, split: str, size: int, device: torch.device, *numbers: int) -> Bank:
        clips, length, memory = numbers
        asked.append((size, clips * length * size**2 * 3 / 2**20 <= memory))
        return numbered_bank()

    monkeypatch.setattr(distractions.videos, "procedural", procedural)
    model = TASKS["pendulum_swingup"]().model
    for size in (64, 100, 128, 512):
        assert distractions.make("dcs-hard-background", 2, model, size=size) is not None
    assert asked == [(128, True), (200, True), (200, True), (200, True)]


def test_none_is_none() -> None:
    assert distractions.make("none", 3) is None


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vidio", {}, "unknown distraction 'vidio': did you mean 'video'?"),
        ("xyz", {}, "unknown distraction 'xyz': choose one of " + ", ".join(distractions.DISTRACTIONS)),
        ("dcs-hrad", {}, "unknown distraction 'dcs-hrad': did you mean 'dcs-hard'?"),
        ("dcs-easy-color", {}, "unknown distraction 'dcs-easy-color': did you mean 'dcs-easy-colour'?"),
        ("reaferent", {}, "unknown distraction 'reaferent': did you mean 'reafferent'?"),
        ("dcs-easy", {"window": 32}, "distraction_window 32 is for what moves in a window, not for 'dcs-easy'"),
        ("none", {"window": 40}, "distraction_window 40 is for what moves in a window, not for 'none'"),
        (
            "dcs-hard-camera",
            {"video_dir": "films"},
            "video_dir is for 'video' and for backgrounds of 'dcs-...', not for 'dcs-hard-camera'",
        ),
        ("dcs-hard", {}, "the distraction 'dcs-hard' needs the task's model"),
        ("reafferent", {}, "the distraction 'reafferent' needs the task's model"),
        ("video", {"window": 33}, "distraction_window must be one of 32, 40, 64, got 33"),
        ("video", {"split": "test"}, "unknown video_split 'test': choose one of train, held_out"),
        ("video", {"change": -1}, "video_change must be at least 0, got -1"),
        ("noise", {"video_dir": "films"}, "video_dir is for 'video' and for backgrounds of 'dcs-...', not for 'noise'"),
        ("agent", {}, "the distraction 'agent' needs a recorder of the task"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        distractions.make(name, 2, **options)
    assert str(refusal.value) == message
