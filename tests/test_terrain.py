"""Terrain of each environment's own in pictures, against MuJoCo's own rays, and where the simulation has it."""

import mujoco
import numpy as np
import pytest
import torch
from test_renderer import is_sentinel, poses, sentinel, traced_background
from torch import Tensor

import envs
from envs.renderer import Renderer
from envs.scene import TERRAIN

LAKES = """
<mujoco>
  <asset><hfield name="hills" nrow="4" ncol="5" size="2 1.5 1 .1"/></asset>
  <worldbody>
    <camera pos=".1 .2 4" fovy="50"/>
    <geom type="plane" size="9 9 1"/>
    <geom type="hfield" hfield="hills" pos=".2 .1 -.5" euler="10 0 20"/>
    <body><freejoint/><geom type="sphere" size=".3"/></body>
  </worldbody>
</mujoco>
"""


def shows_what_rays_meet(
    model: mujoco.MjModel, picture: Tensor, heights: Tensor, qpos: np.ndarray, camera: int = 0
) -> bool:
    """Say whether the video is where rays of MuJoCo's meet background, in a world with these heights (points,)."""
    model.hfield_data[:] = heights
    expected = traced_background(model, qpos, len(picture), floor=True, camera=camera)
    assert 0.05 < expected.float().mean() < 0.95
    return int((is_sentinel(picture) != expected).sum()) <= 0.002 * expected.numel()  # rounding at outlines


@pytest.mark.parametrize("threads", [1, 2])
def test_each_environment_shows_its_own_hills_also_when_some_of_them_change(threads: int) -> None:
    """A video covers lakes between the hills, whose shores tell how each of the large cells is cut into triangles."""
    model, count, size = mujoco.MjModel.from_xml_string(LAKES), 8, 61
    renderer = Renderer(model, count, size, threads=threads)
    random = torch.Generator().manual_seed(3)
    heights = torch.rand(count, 20, generator=random)
    scene = poses(model, [model.qpos0] * count)
    for changed in ([], [2, 7], [0]):
        heights[changed] = torch.rand(len(changed), 20, generator=random)
        image = renderer.render(scene | {TERRAIN: heights}, sentinel(size, count))
        for n in (0, 1, 2, 7):
            assert shows_what_rays_meet(model, image[n], heights[n], model.qpos0)
    renderer.close()


@pytest.mark.parametrize("engine", ["c", "warp"])
def test_pictures_show_the_ground_of_the_episode(engine: str) -> None:
    """Flooded, to see its shape: no camera of this task sees the sky."""
    size, water = 23, 0.7
    env = envs.make("quadruped_escape", num_envs=2, pixels=True, size=size, engine=engine, seed=2)
    floor, renderer = env.model.geom("floor").id, Renderer(env.model, 2, size, camera=env.camera)
    env.model.geom_pos[floor, 2], env.model.geom_sameframe[floor] = water, 0
    pictures, grounds = [], []
    for rows in (None, torch.tensor([False, True])):
        pictures.append(env.reset(rows)["pixels"])
        scene = env.kinematics
        assert torch.equal(pictures[-1], renderer.render(scene))
        grounds.append(scene[TERRAIN])
        scene["geom_xpos"][:, floor, 2] = water
        image = renderer.render(scene, sentinel(size, 2))
        for n in range(2):
            qpos = env.coordinates[n].numpy()
            assert shows_what_rays_meet(env.model, image[n], grounds[-1][n], qpos, camera=env.camera)
    for first, then in (pictures, grounds):
        assert torch.equal(first[0], then[0]) and not torch.equal(first[1], then[1])
    env.close()
