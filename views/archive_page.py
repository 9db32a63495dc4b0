"""One HTML file in which an archive can be looked at: every elite plays, from a disk, without a network.

A map holds cells, or points, that have a value, a place and a motion each: skills are shown in the same way.
"""

import html
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import mujoco

from agents.runs.tensor_folder import replace
from views import kinematics

PARTS = (  # scripts, in the order in which they are put together
    "elements.js",
    "blocks.js",
    "colours.js",
    "kinematics.js",
    "shapes.js",
    "renderer.js",
    "camera.js",
    "cells.js",
    "maps.js",
    "map.js",
    "viewer.js",
    "curves.js",
    "page.js",
    "wiring.js",
    "start.js",
)


def write(
    path: Path,
    title: str,
    about: str,
    value: str,
    model: mujoco.MjModel,
    maps: Sequence[dict[str, Any]],
) -> int:
    """Write the page of some maps aside and rename it; return its size in bytes.

    value: what the colours mean. model: of the task. maps: of `Shown.data` or `skill_page.map_of`.
    """
    data = {"value": value, "model": kinematics.describe(model), "maps": list(maps)}
    page = assemble(title, about, data).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, page)
    return len(page)


def assemble(title: str, about: str, data: dict[str, Any]) -> str:
    """Put style, scripts and data into the page's frame."""
    folder = files("views") / "page"
    read = {name: (folder / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", *PARTS)}
    holes = {
        "title": html.escape(title),
        "about": html.escape(about),
        "css": read["page.css"],
        "js": "\n".join(read[name] for name in PARTS),
        "data": to_json(data),
    }
    page = read["page.html"]
    pieces = []
    while "{{" in page:  # not str.replace: what is put in may hold braces of its own
        before, rest = page.split("{{", 1)
        name, page = rest.split("}}", 1)
        pieces += [before, holes[name]]
    return "".join([*pieces, page])


def to_json(data: Any) -> str:
    """Write JSON that may stand in a script element: no tag ends it."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
