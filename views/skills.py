"""One page of what skills do, and a grid of them at work."""

import colorsys
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from tensordict import TensorDict
from torch import Tensor

from agents.evaluation import RandomPolicy
from agents.runs.tensor_folder import replace
from agents.slim import Slim, metrics
from agents.slim.metrics import BIN, FixedSkills, displacement, measured, missed, play
from agents.slim.priors import even_skills
from envs.batched import BatchedEnv
from views.animation import save_gif
from views.curves import Run, step_axis

SKILLS, EPISODES = 48, 3  # as in CSD's coverage (arXiv 2302.05103): a trajectory of each skill
FILMED, FRAMES, BORDER, SCALE = 16, 60, 3, 2  # of the animated grid: skills, pictures at most, pixels
BINS = {"point_mass_easy": 0.05, "point_mass_hard": 0.05}  # metres; the point mass has 0.6 to move in


def look(agent: Slim, envs: BatchedEnv) -> tuple[Tensor, list[TensorDict], dict[str, float]]:
    """Play SKILLS evenly spread skills in as many environments, EPISODES times, and measure them.

    Returns the skills (N, Z), the episodes' rows (N, T + 1) each, and numbers, those of a random policy as `random/`.
    """
    skills = even_skills(torch.arange(envs.num_envs, device=envs.device), agent.config.skill_dim)
    episodes = [play(FixedSkills(agent, skills), envs) for _ in range(EPISODES)]
    size = BINS.get(envs.task, BIN)
    numbers = measured(episodes, size)
    if agent.discovery is not None and agent.config.discovery.reads == "position":
        # places that the next skill came by: each within reach of a skill, and of another start
        places = episodes[0]["position"].roll(1, 0)
        numbers |= missed(agent, envs, places[:, places.shape[1] // 2])
    at_random = [play(RandomPolicy(envs.action_dim, envs.device, seed), envs) for seed in range(EPISODES)]
    return skills, episodes, numbers | {f"random/{name}": value for name, value in measured(at_random, size).items()}


def colours(skills: Tensor) -> list[tuple[float, float, float]]:
    """Return a colour for each skill (N, Z): its direction in the plane of the first two axes as a hue."""
    plane = torch.nn.functional.pad(skills, (0, max(0, 2 - skills.shape[1])))
    hues = torch.atan2(plane[:, 1], plane[:, 0]) / (2 * torch.pi) % 1
    return [colorsys.hsv_to_rgb(hue, 0.85, 0.85) for hue in hues.tolist()]


def draw(run: Run, agent: Slim, skills: Tensor, rows: TensorDict, numbers: Mapping[str, float]) -> Figure:
    """Draw object paths, phi, bins, rewards and critics over training, and the numbers."""
    figure, axes = plt.subplots(2, 3, figsize=(14, 8.4), layout="constrained")
    (fan_axis, phi_axis, bin_axis), (reward_axis, value_axis, text_axis) = axes
    fan(fan_axis, displacement(rows), skills)
    fan_axis.set(title=f"displacement of the object, {len(skills)} skills", xlabel="metres", ylabel="metres")
    draw_codes(phi_axis, agent, skills, rows)
    draw_bins(bin_axis, displacement(rows), numbers["bin"])
    for axis, prefix, title in ((reward_axis, "reward/", "rewards, a step"), (value_axis, "value/", "critics' values")):
        for name in sorted({key for row in run.rows for key in row if key.startswith(prefix)}):
            x, y = run.curve(name)
            axis.plot(
                x, y / max(np.abs(y).max(), 1e-12), label=f"{name.removeprefix(prefix)}, largest {np.abs(y).max():.3g}"
            )
        axis.set(title=f"{title}, each by its largest", xlabel="environment steps")
        step_axis(axis)
        if axis.lines:
            axis.legend(fontsize="small")
        axis.grid(alpha=0.3)
    text_axis.axis("off")
    lines = [f"{name:<20}{value:>10.3f}" for name, value in numbers.items()]
    text_axis.text(0, 1, "\n".join(lines), family="monospace", fontsize=8, va="top", transform=text_axis.transAxes)
    figure.suptitle(f"{run.config.name} on {run.config.task}: {' '.join(agent.config.rewards)}")
    return figure


def fan(axis: Axes, paths: Tensor, skills: Tensor) -> None:
    """Draw paths (N, T + 1, K) by skill: in the plane of the first two axes, or along the only one against time."""
    for path, colour in zip(paths.cpu(), colours(skills), strict=True):
        x, y = (path[:, 0], path[:, 1]) if path.shape[1] > 1 else (torch.arange(len(path)), path[:, 0])
        axis.plot(x, y, color=colour, linewidth=1)
        axis.plot(x[-1:], y[-1:], "o", color=colour, markersize=3)
    if paths.shape[-1] > 1:
        axis.set_aspect("equal", "datalim")
    axis.grid(alpha=0.3)


def draw_codes(axis: Axes, agent: Slim, skills: Tensor, rows: TensorDict) -> None:
    """Draw the episodes as phi sees them."""
    axis.set_title("phi of the same episodes")
    if agent.discovery is None:
        axis.axis("off")
        return
    with torch.no_grad():
        codes = agent.discovery.phi(agent.places.read(rows))[..., : agent.config.skill_dim]
    fan(axis, codes, skills)


def draw_bins(axis: Axes, paths: Tensor, size: float) -> None:
    """Draw by how many skills each bin of the displacement's first two axes was entered."""
    plane = torch.nn.functional.pad(paths, (0, max(0, 2 - paths.shape[-1])))[..., :2].cpu()
    entered = torch.cat([metrics.bins(path.unsqueeze(0), size) for path in plane])  # (entries, 2)
    most = int(entered.abs().max()) + 1
    counts = torch.zeros(2 * most + 1, 2 * most + 1)
    counts.index_put_((entered[:, 1] + most, entered[:, 0] + most), torch.ones(len(entered)), accumulate=True)
    edge = (most + 0.5) * size
    shown = axis.imshow(counts.numpy(), origin="lower", extent=(-edge, edge, -edge, edge), cmap="viridis")
    axis.figure.colorbar(shown, ax=axis, label="skills", shrink=0.8)
    axis.set_title(f"bins of {size:g} m that skills entered")


def film(agent: Slim, envs: BatchedEnv, path: Path) -> None:
    """Write skills at work in N environments that show pixels, side by side, each in its colour, as a GIF."""
    skills = even_skills(torch.arange(envs.num_envs, device=envs.device), agent.config.skill_dim)
    rows = play(FixedSkills(agent, skills), envs)
    frames = rows["pixels"].cpu().numpy()  # (N, T + 1, S, S, 3)
    times = np.unique(np.linspace(0, frames.shape[1] - 1, FRAMES).round().astype(int))
    pictures = [grid(frames[:, time], colours(skills)) for time in times]
    save_gif(pictures, path, envs.step_seconds * (frames.shape[1] - 1) / len(times))  # as long as it took


def grid(frames: np.ndarray, framed: Sequence[tuple[float, float, float]]) -> Image.Image:
    """Put frames (N, S, S, 3) side by side, each in a frame of its colour."""
    side = int(np.ceil(len(frames) ** 0.5))
    size = SCALE * frames.shape[1] + 2 * BORDER
    picture = Image.new("RGB", (side * size, -(-len(frames) // side) * size), "white")
    for number, (frame, colour) in enumerate(zip(frames, framed, strict=True)):
        at = (number % side * size, number // side * size)
        picture.paste(tuple(round(255 * part) for part in colour), (*at, at[0] + size, at[1] + size))
        large = Image.fromarray(frame).resize((size - 2 * BORDER,) * 2, Image.Resampling.NEAREST)
        picture.paste(large, (at[0] + BORDER, at[1] + BORDER))
    return picture


def write(numbers: Mapping[str, float], path: Path) -> None:
    """Write the numbers as JSON."""
    replace(path, json.dumps(numbers, indent=2).encode() + b"\n")
