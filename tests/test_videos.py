"""Generated videos: kinds, seeds, splits, memory. Folders: what is read, how it is split, what is refused."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from envs import video_folder, videos

CPU = torch.device("cpu")


def clips(seed: int, split: str, size: int = 11, count: int = 8, length: int = 7) -> torch.Tensor:
    bank = videos.procedural(seed, split, size, CPU, count, length)
    assert bank.lengths.tolist() == [length] * count
    return bank.frames.unflatten(0, (count, length))


def test_a_seed_names_its_videos() -> None:
    assert torch.equal(clips(3, "train"), clips(3, "train"))


def test_no_two_sets_share_a_video() -> None:
    seen = set()
    for seed in range(5):
        for split in videos.SPLITS:
            seen |= {clip.numpy().tobytes() for clip in clips(seed, split)}
    assert len(seen) == 5 * 2 * 8


def test_no_two_sets_share_a_random_stream() -> None:
    """Streams that differ in one of (seed, split, clip) differ in their first 128 bits."""
    streams = {
        tuple(np.random.SeedSequence([seed, split, clip]).generate_state(4))
        for seed in range(101)
        for split in range(2)
        for clip in range(videos.CLIPS)
    }
    assert len(streams) == 101 * 2 * videos.CLIPS


@pytest.mark.parametrize("kind", videos.KINDS)
def test_every_kind_moves_smoothly_and_is_colourful(kind: str) -> None:
    video = videos.KINDS[kind](np.random.default_rng(2), 23, 64, CPU)
    assert video.shape == (23, 64, 64, 3) and video.isfinite().all()
    video = video.clamp(0, 1)
    motion = (video[1:] - video[:-1]).abs().mean((1, 2, 3))
    assert (motion > 0.002).all() and motion.median() < 0.15
    assert video.std() > 0.05  # something to see
    assert (video.amax(-1) - video.amin(-1)).mean() > 0.03  # not grey


def test_there_are_four_kinds_and_a_set_holds_all() -> None:
    assert list(videos.KINDS) == ["plasma", "blobs", "rain", "nbody"]
    drawn = clips(0, "train", count=4)
    for clip, (kind, make) in enumerate(videos.KINDS.items()):
        alone = make(np.random.default_rng([0, 0, clip]), 7, 11, CPU)
        assert torch.equal(drawn[clip], (alone.clamp(0, 1) * 255).round().byte()), kind


def test_a_bank_beyond_the_memory_is_refused_before_it_is_made() -> None:
    with pytest.raises(ValueError) as refusal:
        videos.procedural(0, "train", 1024, CPU, memory=100)
    assert str(refusal.value) == (
        "40 videos of 100 frames take 12000 MiB at 1024x1024, more than the 100 MiB allowed: "
        "use a smaller picture or window"
    )


# ---------------------------------------------------------------- folders

COLOURS = [(250, 10, 20), (10, 250, 30), (20, 30, 250), (200, 200, 10), (10, 200, 200)]


def sequence(path: Path, count: int = 3, size: tuple[int, int] = (12, 8)) -> None:
    path.mkdir()
    for frame in range(count):
        Image.new("RGB", size, COLOURS[frame]).save(path / f"{frame:03d}.png")


def animation(path: Path, count: int = 3) -> None:
    images = [Image.new("RGB", (12, 8), COLOURS[frame]) for frame in range(count)]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    images[0].save(path, save_all=True, append_images=images[1:], duration=40, **options)


def film(path: Path, count: int = 3) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for frame in range(count):
            image = np.full((16, 32, 3), COLOURS[frame], dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("name", "make", "tolerance"),
    [
        ("walk", sequence, 0),
        ("walk.webp", animation, 0),
        ("walk.gif", animation, 8),
        ("walk.mp4", film, 30),
        ("walk.AVI", film, 30),
    ],
)
def test_every_form_of_video_is_read(tmp_path: Path, name: str, make: Callable[[Path], None], tolerance: int) -> None:
    make(tmp_path / name)
    sequence(tmp_path / "other")
    read = {}
    for split in videos.SPLITS:
        paths = video_folder.choose(tmp_path, split)
        frames = video_folder.read(tmp_path, split, 5, 2**20)
        read |= dict(zip((path.name for path in paths), frames, strict=True))
    assert set(read) == {name, "other"}
    expected = torch.tensor(COLOURS[:3]).view(3, 1, 1, 3).expand(3, 5, 5, 3)
    assert (read[name].int() - expected).abs().max() <= tolerance


def test_frames_are_cropped_to_the_central_square_and_averaged(tmp_path: Path) -> None:
    stripes = np.zeros((4, 8, 3), dtype=np.uint8)
    stripes[:, :, 0] = np.arange(8) * 10  # columns 0 to 70; the central square is columns 2 to 5
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for frame in ("0", "1"):
            Image.fromarray(stripes).save(tmp_path / name / f"{frame}.png")
    (frames,) = video_folder.read(tmp_path, "train", 2, 2**20)
    assert frames[0, :, :, 0].tolist() == [[25, 45], [25, 45]]


def test_images_play_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for frame in (2, 0, 1):
            Image.new("RGB", (4, 4), (frame, 0, 0)).save(tmp_path / name / f"{frame}.png")
    (frames,) = video_folder.read(tmp_path, "train", 2, 2**20)
    assert frames[:, 0, 0, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("count", "held_out"), [(2, 1), (3, 1), (10, 3), (13, 4)])
def test_files_are_split_and_never_shared(tmp_path: Path, count: int, held_out: int) -> None:
    for video in range(count):
        (tmp_path / f"film{video}.mp4").touch()
    for ignored in ("notes.txt", ".hidden.mp4", "still.png"):
        (tmp_path / ignored).touch()
    (tmp_path / "empty").mkdir()
    train, other = (video_folder.choose(tmp_path, split) for split in videos.SPLITS)
    assert len(other) == held_out and len(train) == count - held_out
    assert not set(train) & set(other)
    assert (train, other) == tuple(video_folder.choose(str(tmp_path), split) for split in videos.SPLITS)


def test_a_video_that_comes_takes_none_out_of_training(tmp_path: Path) -> None:
    """Of these, 1, 9 and 10 have hashes that five divides; before they come, the smallest hash is held out."""
    trained: set[Path] = set()
    for count, video in enumerate((7, 3, 5, 4, 1, 9, 0, 10, 11, 8, 2, 12)):
        (tmp_path / f"film{video}.mp4").touch()
        if count:
            train, held_out = (set(video_folder.choose(tmp_path, split)) for split in videos.SPLITS)
            trained |= train
            assert not trained & held_out
    assert {path.name for path in held_out} == {"film1.mp4", "film9.mp4", "film10.mp4"}


def test_both_splits_have_a_video_also_where_all_hashes_are_divided_by_five(tmp_path: Path) -> None:
    for video in (1, 6):
        (tmp_path / f"film{video}.mp4").touch()
    assert [len(video_folder.choose(tmp_path, split)) for split in videos.SPLITS] == [1, 1]


def test_videos_of_unlike_lengths_lie_end_to_end(tmp_path: Path) -> None:
    for video in range(3):
        sequence(tmp_path / f"v{video}", count=video + 2)
    bank = videos.from_folder(tmp_path, "train", 3, CPU)
    assert len(bank.lengths) == 2
    assert bank.frames.shape == (int(bank.lengths.sum()), 3, 3, 3)
    assert (bank.frames[0, 0, 0] == torch.tensor(COLOURS[0])).all()
    assert (bank.frames[int(bank.lengths[0]), 0, 0] == torch.tensor(COLOURS[0])).all()
    assert len(videos.from_folder(tmp_path, "train", 3, CPU, memory=1, number=1).lengths) == 1


def refusal(folder: Path, limit: int = 2**20) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        for split in videos.SPLITS:
            video_folder.read(folder, split, 5, limit)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no") == f"video folder '{tmp_path}/no' does not exist or is not a folder"


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    assert "is not a folder" in refusal(tmp_path / "film.mp4")


def test_an_empty_folder_says_what_was_expected(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    assert message.startswith(f"video folder '{tmp_path}' holds no video: expected subfolders of images")
    assert ".mp4" in message


def test_one_video_cannot_be_split(tmp_path: Path) -> None:
    sequence(tmp_path / "only")
    assert "holds only one video, 'only': at least two are needed" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["bad.mp4", "bad.gif", "bad.webp"])
def test_an_unreadable_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"this is no video")
    sequence(tmp_path / "good")
    assert refusal(tmp_path).startswith(f"cannot read video '{tmp_path}/{name}': ")


def test_an_unreadable_image_of_a_sequence_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        sequence(tmp_path / name)
        whole = (tmp_path / name / "001.png").read_bytes()
        (tmp_path / name / "001.png").write_bytes(whole[: len(whole) // 2])
    assert "/001.png': " in refusal(tmp_path)


def test_a_film_without_a_picture_is_named(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    sequence(tmp_path / "good")
    assert refusal(tmp_path).endswith("sound.mp4': it has no picture")


def test_a_folder_beyond_the_memory_is_refused(tmp_path: Path) -> None:
    for video in range(5):
        sequence(tmp_path / f"v{video}", count=5)
    need = 4 * 5 * 5 * 5 * 3  # the training videos: four, of five frames
    assert len(video_folder.read(tmp_path, "train", 5, need)) == 4
    assert "the train videos of" in refusal(tmp_path, need - 1) and "take more than" in refusal(tmp_path, need - 1)
