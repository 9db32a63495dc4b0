"""What the page computes, beside what MuJoCo and the archive compute: poses of every model, and which cell is where."""

import itertools
import json
from pathlib import Path

import mujoco
import numpy as np
import pages
import pytest
import torch
from browser import Tab

import envs
from agents.archive.tessellations import CVT, Grid, Tessellation
from envs import tasks
from views import kinematics

MODELS = {task.split("_")[0]: task for task in envs.TASKS} | {"quadruped_fetch": "quadruped_fetch", "dog": "dog_fetch"}


@pytest.fixture(scope="module")
def ready(tab: Tab, tmp_path_factory: pytest.TempPathFactory) -> Tab:
    """Return a tab that shows a page."""
    folder: Path = tmp_path_factory.mktemp("page")
    tab.open(pages.write(folder / "archive.html", pages.shown("", pages.grid(), 2)))
    return tab


def drawn_poses(model: mujoco.MjModel, random: np.random.Generator) -> np.ndarray:
    """Return coordinates (nq,) far from the model's own, quaternions of other than unit length."""
    qpos = model.qpos0 + random.normal(size=model.nq)
    for kind, address in zip(model.jnt_type, model.jnt_qposadr, strict=True):
        if kind in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_BALL):
            start = address + 3 * (kind == mujoco.mjtJoint.mjJNT_FREE)
            qpos[start : start + 4] *= 1.7
    return qpos


@pytest.mark.parametrize("task", MODELS.values())
def test_poses_are_mujocos(ready: Tab, task: str) -> None:
    model, random = tasks.TASKS[task]().model, np.random.default_rng(7)
    data, places = mujoco.MjData(model), {}
    told = kinematics.describe(model)
    bodies = [{**body, "name": ""} for body in told["bodies"]]
    if model.nbody > 3:  # an episode with a body elsewhere
        model.body_pos[3] += (0.25, -0.5, 0.125)
        places = {"body_pos": {"3": model.body_pos[3].tolist()}}
    for _ in range(3):
        data.qpos[:] = drawn_poses(model, random)
        given = data.qpos.tolist()  # mj_kinematics normalises quaternions in place
        mujoco.mj_kinematics(model, data)
        words = ", ".join(map(json.dumps, ({"bodies": bodies}, given, places)))
        pose = ready.run(f"empower.forward({words})")
        np.testing.assert_allclose(pose["positions"], data.xpos, atol=1e-6)
        turns = np.array(pose["quaternions"])
        signs = np.sign((turns * data.xquat).sum(1, keepdims=True))
        np.testing.assert_allclose(turns * signs, data.xquat, atol=1e-6)


@pytest.mark.parametrize(
    ("task", "body"), [("quadruped_fetch", "torso"), ("cheetah_run", "torso"), ("panda_tabletop", None)]
)
def test_what_walks_away_is_followed(task: str, body: str | None) -> None:
    model = tasks.TASKS[task]().model
    followed = kinematics.describe(model)["view"]["follow"]
    assert (None if followed is None else model.body(followed).name) == body


def told(tessellation: Tessellation) -> dict:
    """Describe a tessellation as the page holds it."""
    sides = zip(tessellation.low.tolist(), tessellation.high.tolist(), strict=True)
    spec = tessellation.spec()
    kind = {"kind": spec["kind"]}
    if isinstance(tessellation, CVT):
        kind |= {"centroids": list(itertools.chain(*spec["centroids"])), "units": tessellation.units.tolist()}
    else:
        kind |= {"dims": spec["dims"]}
    return {"tessellation": kind, "axes": [{"low": low, "high": high} for low, high in sides]}


def centroids(cells: int, sides: list[tuple[float, float]]) -> torch.Tensor:
    low, high = torch.tensor(sides, dtype=torch.float64).T
    return low + torch.rand(cells, len(sides), dtype=torch.float64, generator=torch.Generator().manual_seed(cells)) * (
        high - low
    )


SIDES = [(0.0, 1.0), (-3.0, 2.0), (5.0, 5.5), (-1.0, 1.0)]
TESSELLATIONS = [
    *(
        CVT(centroids(cells, SIDES[:dims]), SIDES[:dims], dtype=torch.float64)
        for cells, dims in ((53, 1), (211, 2), (97, 3), (101, 4))
    ),
    CVT(centroids(97, SIDES[:3]), SIDES[:3], dtype=torch.float64, relative=False),
    *(Grid(counts, SIDES[: len(counts)], dtype=torch.float64) for counts in ((7,), (5, 3), (2, 5, 3), (3, 2, 5, 7))),
]


@pytest.mark.parametrize("tessellation", TESSELLATIONS, ids=lambda each: f"{type(each).__name__}-{len(each.low)}")
def test_every_pixel_shows_the_cell_in_which_it_lies(ready: Tab, tessellation: Tessellation) -> None:
    width, height, dims = 67, 43, len(tessellation.low)
    at = [low + 0.37 * (high - low) for low, high in SIDES[:dims]]
    pairs = list(itertools.permutations(range(dims), 2)) if dims > 1 else [(0, None)]
    for x, y in pairs:
        where = torch.tensor(at, dtype=torch.float64).repeat(height, width, 1)  # (height, width, M)
        across = (torch.arange(width) + 0.5) / width
        where[..., x] = tessellation.low[x] + across * (tessellation.high[x] - tessellation.low[x])
        if y is not None:
            up = 1 - (torch.arange(height) + 0.5) / height
            where[..., y] = (tessellation.low[y] + up * (tessellation.high[y] - tessellation.low[y])).unsqueeze(1)
        words = ", ".join(map(json.dumps, (told(tessellation), {"x": x, "y": y, "at": at}, width, height)))
        ids = ready.run(f"empower.raster({words})")
        assert torch.equal(torch.tensor(ids), tessellation.locate(where.flatten(0, 1)))
