"""Draw a contact sheet of every distraction beside the clean picture.

python -m envs.sheet docs/distractions.png [--tasks panda_tabletop ...]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import envs
from envs import videos

TASKS = ("walker_stand", "cheetah_run", "cartpole_swingup", "finger_spin", "ball_in_cup_catch")
BLOCKS: tuple[dict[str, dict], ...] = (
    {
        "clean": {"distraction": "none"},
        "video 32": {"distraction": "video", "distraction_window": 32},
        "video 40": {"distraction": "video", "distraction_window": 40},
        "video 64": {"distraction": "video"},
        "video 64, sky": {"distraction": "video", "background": "sky"},
        "agent 32": {"distraction": "agent", "distraction_window": 32},
        "agent 64": {"distraction": "agent"},
        "noise 32": {"distraction": "noise", "distraction_window": 32},
        "noise 64": {"distraction": "noise"},
    },
    {
        "clean": {"distraction": "none"},
        "reafferent 32": {"distraction": "reafferent", "distraction_window": 32},
        "reafferent 64": {"distraction": "reafferent"},
        "dcs-easy": {"distraction": "dcs-easy"},
        "dcs-medium": {"distraction": "dcs-medium"},
        "dcs-hard": {"distraction": "dcs-hard"},
        "hard-background": {"distraction": "dcs-hard-background"},
        "hard-camera": {"distraction": "dcs-hard-camera"},
        "hard-colour": {"distraction": "dcs-hard-colour"},
    },
)
STEPS = 17  # control steps before the picture is taken
SCALE, GAP, MARGIN, HEAD = 2, 4, 112, 22  # enlargement; pixels between pictures, left of a row, above a block
PAPER, INK = (255, 255, 255), (30, 30, 30)


def picture(task: str, seed: int, options: dict) -> Tensor:
    """Play the same actions from the same start under one distraction -> (64, 64, 3) uint8."""
    env = envs.make(task, pixels=True, seed=seed, **options)
    actions = torch.rand(STEPS, 1, env.action_dim, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    timestep = env.reset()
    for action in actions:
        timestep = env.step(action)
    env.close()
    return timestep["pixels"][0].cpu()


def draw(tasks: Sequence[str] = TASKS) -> Image.Image:
    """Lay out tasks by distractions, and below them the generated kinds of video over time."""
    blocks = []
    for columns in BLOCKS:
        rows = {task: [picture(task, row, options) for options in columns.values()] for row, task in enumerate(tasks)}
        blocks.append(("", list(columns), rows))
    widest = max(len(columns) for columns in BLOCKS)
    bank = videos.procedural(3, "train", 64, torch.device("cpu"), clips=len(videos.KINDS))
    clips = bank.frames.unflatten(0, (len(videos.KINDS), -1))
    times = [round(k * 60 / (widest - 1)) for k in range(widest)]
    strips = {kind: [clips[row, t] for t in times] for row, kind in enumerate(videos.KINDS)}
    blocks.append(("generated", [f"frame {t}" for t in times], strips))

    cell = 64 * SCALE + GAP
    height = sum(HEAD + cell * len(rows) + GAP for _, _, rows in blocks)
    sheet = Image.new("RGB", (MARGIN + cell * widest, height), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    top = 0
    for title, names, rows in blocks:
        pen.text((GAP, top + 3), title, INK, font)
        for column, name in enumerate(names):
            pen.text((MARGIN + column * cell, top + 3), name, INK, font)
        top += HEAD
        for label, images in rows.items():
            pen.multiline_text((GAP, top + 50), "\n".join(label.rsplit("_", 1)), INK, font)
            for column, image in enumerate(images):
                large = Image.fromarray(image.numpy()).resize((64 * SCALE, 64 * SCALE), Image.Resampling.NEAREST)
                sheet.paste(large, (MARGIN + column * cell, top))
            top += cell
        top += GAP
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m envs.sheet", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="PNG to write")
    parser.add_argument("--tasks", nargs="+", default=TASKS, metavar="TASK", help="a row each")
    options = parser.parse_args()
    path: Path = options.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(options.tasks).save(path, "PNG", optimize=True)
    except OSError as error:
        sys.exit(refused(f"cannot write {str(path)!r}: {error.strerror}"))
    except ValueError as error:
        sys.exit(refused(str(error)))


def refused(reason: str) -> int:
    """Say why, in one line, and return the exit code for it."""
    print(f"error: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
