"""What distracts, by name: what moves behind the agent, its camera and its colours."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import mujoco
import numpy as np
import torch
from torch import Tensor

from envs import distracting, videos
from envs.backdrops import Clips, Noise
from envs.checks import check_choice, check_whole
from envs.reafferent import Reafferent
from envs.scene import BACKGROUNDS, Backdrop, Scene
from envs.videos import Bank

# In this order, which the seeds of their draws depend on.
DISTRACTIONS = ("none", "video", "agent", "noise", "reafferent", *distracting.NAMES)
BACKGROUND: Literal["sky+floor"] = "sky+floor"  # what is replaced where nothing else is asked for
WINDOWS = (32, 40, 64)  # InfoPower's levels, in pixels of a picture 64 wide
AGENT_CLIPS, AGENT_LENGTH = 16, 100
WIDEST_FACE = 200  # pixels
GRID = 4  # fields along each side of a background, whose colours are its state

# Record the clean task: (clips, frames of each, seed) -> (clips, frames, S, S, 3) uint8, any S.
Recorder = Callable[[int, int, int], Tensor]


class Distraction(Protocol):
    """What changes the looks of N environments and nothing else; everything it draws is in its state.

    fields   what it reads of the physics beside what is drawn
    """

    fields: tuple[str, ...]

    def advance(self, is_first: Tensor, steps: int, action: Tensor, poses: Mapping[str, Tensor]) -> None:
        """Move on by `steps` control steps under actions (N, A) in [-1, 1], to physics that `poses` shows.

        Rows that begin an episode, is_first (N,) bool, begin anew; their actions are ignored. By 0 steps, the others
        stay as they are.
        """
        ...

    def apply(self, scene: Scene) -> Scene:
        """Return the scene as it looks now."""
        ...

    def seed(self, seed: int) -> None:
        """Draw from another seed from now on."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Layers:
    """Apply several distractions, one after the other."""

    def __init__(self, parts: dict[str, Distraction]) -> None:
        self.parts = parts
        self.fields = tuple(field for part in parts.values() for field in part.fields)

    def advance(self, is_first: Tensor, steps: int, action: Tensor, poses: Mapping[str, Tensor]) -> None:
        """Move all of them on."""
        for part in self.parts.values():
            part.advance(is_first, steps, action, poses)

    def apply(self, scene: Scene) -> Scene:
        """Return the scene with all of them."""
        for part in self.parts.values():
            scene = part.apply(scene)
        return scene

    def seed(self, seed: int) -> None:
        """Give each a seed of its own."""
        seeds = np.random.SeedSequence(seed).generate_state(len(self.parts)).tolist()
        for part, own_seed in zip(self.parts.values(), seeds, strict=True):
            part.seed(own_seed)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state` was taken."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


def make(
    name: str,
    num_envs: int,
    model: mujoco.MjModel | None = None,
    size: int = 64,
    window: int = 64,
    change: int = 50,
    split: str = "train",
    seed: int = 0,
    device: torch.device | str = "cpu",
    video_dir: str | Path | None = None,
    memory: int = videos.MEMORY,
    record: Recorder | None = None,
    camera: int = 0,
    action_dim: int | None = None,
) -> Distraction | None:
    """Make the distraction `name`, or None for "none".

    `window` is in pixels of a picture 64 wide and grows with `size`. `split` says which videos: "train" and
    "held_out" have none in common. "video" reads `video_dir`, or generates its videos. "agent" plays what `record`
    recorded with the clean renderer. "reafferent" shows what the action makes of the background. "dcs-..." are the
    Distracting Control Suite's, or one part of it; their video is the sky, and changes with the episode. The last two
    need the `model`, and its `camera`; `action_dim` is by default that of the model's controls. `memory` bounds the
    videos in MiB.
    Raises ValueError for names and numbers that make no sense, and what `videos.from_folder` raises.
    """
    check(name, window, change, split, video_dir)
    suite = distracting.parts(name)
    if name == "none":
        return None
    device, pixels = torch.device(device), round(window * size / 64)
    seeds = np.random.SeedSequence([seed, DISTRACTIONS.index(name)]).generate_state(max(1, len(suite))).tolist()
    if name == "noise":
        return Noise(pixels, num_envs, seeds[0], device)
    if name == "agent":
        return Clips(_recorded(record, seed, split, pixels, device, memory), num_envs, change, seeds[0])
    if name == "video":
        bank = _bank(video_dir, split, seed, pixels, device, memory)
        return Clips(bank, num_envs, change, seeds[0])
    if model is None:
        raise ValueError(f"the distraction {name!r} needs the task's model")
    if name == "reafferent":
        actions = model.nu if action_dim is None else action_dim
        return Reafferent(pixels, num_envs, actions, [seed, videos.SPLITS.index(split)], device, memory)
    level, layers = distracting.level(name), dict[str, Distraction]()
    for part, own_seed in zip(suite, seeds, strict=True):
        if part == "background":
            # A face of the sky is twice as wide as the picture, which shows about half of it, up to a width at which
            # all videos of the hardest level still fit into the memory: our choice.
            number, length = distracting.VIDEOS[level], distracting.LENGTH
            bank = _bank(video_dir, split, seed, min(2 * size, WIDEST_FACE), device, memory, number, length)
            layers[part] = Clips(bank, num_envs, 0, own_seed, around=True)
        elif part == "camera":
            layers[part] = distracting.Camera(model, num_envs, distracting.SCALES[level], own_seed, device, camera)
        else:
            layers[part] = distracting.Colours(model, num_envs, distracting.SCALES[level], own_seed, device)
    return Layers(layers)


def shows_background(name: str) -> bool:
    """Say whether a distraction brings a background of its own; a camera and colours do not."""
    suite = distracting.parts(name)
    return "background" in suite if suite else name != "none"


def shows_videos(name: str) -> bool:
    """Say whether a distraction shows videos, which may come from a folder."""
    return name == "video" or "background" in distracting.parts(name)


def has_window(name: str) -> bool:
    """Say whether a distraction moves in a window, whose size may be chosen; the suite's has the whole sky."""
    return name != "none" and not distracting.parts(name)


def check(
    name: str,
    window: int,
    change: int,
    split: str,
    video_dir: str | Path | None,
    background: str = BACKGROUND,
    pixels: bool = True,
    distractor: bool = False,
) -> None:
    """Raise ValueError, in one line, for what cannot be made, or not be seen or told."""
    check_choice("distraction", name, DISTRACTIONS)
    check_choice("video_split", split, videos.SPLITS)
    check_choice("background", background, BACKGROUNDS)
    if name != "none" and not pixels:
        raise ValueError(f"the distraction {name!r} needs pixels: from states, take 'none'")
    if distractor and not shows_background(name):
        raise ValueError(f"the distraction {name!r} shows no background of its own, whose state could be told")
    if window not in WINDOWS:
        raise ValueError(f"distraction_window must be one of {', '.join(map(str, WINDOWS))}, got {window}")
    if window != max(WINDOWS) and not has_window(name):
        raise ValueError(f"distraction_window {window} is for what moves in a window, not for {name!r}")
    if background != BACKGROUND and not has_window(name):
        raise ValueError(f"background {background!r} is for what moves in a window, not for {name!r}")
    check_whole(0, video_change=change)
    if video_dir is not None and not shows_videos(name):
        raise ValueError(f"video_dir is for 'video' and for backgrounds of 'dcs-...', not for {name!r}")


def colours(backdrop: Backdrop) -> Tensor:
    """Return the state of what distracts: mean colours of the background on a 4x4 grid, (N, 48) float32 in [0, 1].

    Row by row, red, green and blue of each field of the frame that is shown, before the agent stands in front of it.
    Our choice, because they mean the same for every kind of background; how a video was made does not.
    """
    frames = backdrop.frames[backdrop.current.long()].permute(0, 3, 1, 2).float() / 255  # (N, 3, window, window)
    return torch.nn.functional.adaptive_avg_pool2d(frames, GRID).permute(0, 2, 3, 1).flatten(1)


def _bank(
    video_dir: str | Path | None,
    split: str,
    seed: int,
    pixels: int,
    device: torch.device,
    memory: int,
    number: int | None = None,
    length: int = videos.LENGTH,
) -> Bank:
    """Read a user's videos, or generate some: `number` of them at most, all or as many as usual by default."""
    if video_dir is not None:
        return videos.from_folder(video_dir, split, pixels, device, memory, number)
    return videos.procedural(seed, split, pixels, device, number or videos.CLIPS, length, memory)


def _recorded(record: Recorder | None, seed: int, split: str, pixels: int, device: torch.device, memory: int) -> Bank:
    """Fill a bank with rollouts, a random stream for each split."""
    if record is None:
        raise ValueError("the distraction 'agent' needs a recorder of the task")
    bank = videos.equal(AGENT_CLIPS, AGENT_LENGTH, pixels, device, memory)
    stream = int(np.random.SeedSequence([seed, videos.SPLITS.index(split)]).generate_state(1)[0])
    bank.frames.copy_(_resize(record(AGENT_CLIPS, AGENT_LENGTH, stream).flatten(0, 1), pixels))
    return bank


def _resize(frames: Tensor, size: int) -> Tensor:
    """Average pixels so that frames become `size` wide: (F, S, S, 3) -> (F, size, size, 3) uint8."""
    if frames.shape[1] == size:
        return frames
    small = torch.nn.functional.interpolate(frames.permute(0, 3, 1, 2).float(), (size, size), mode="area")
    return small.round().to(torch.uint8).permute(0, 2, 3, 1)
