"""Let the ray caster, which knows one terrain for all environments, see a terrain of each environment's own."""

import dataclasses

import mujoco
import mujoco_warp as mjw
import numpy as np
import torch
import warp as wp
from torch import Tensor

from envs.scene import TERRAIN, poses_drawn

LEAF_SIZE = 8  # triangles; with 1 all takes twice the memory, and pictures take as long


class Terrain:
    """Triangles of N terrains, two for each cell of the height field, in the ray caster's `context`.

    The tree over them is made once; where heights change, it is fitted to them.
    """

    def __init__(self, of: mujoco.MjModel, context: mjw.RenderContext, num_envs: int) -> None:
        assert of.nhfield == 1, f"a model with {of.nhfield} terrains"
        rows, columns = int(of.hfield_nrow[0]), int(of.hfield_ncol[0])
        across, along, self._top = of.hfield_size[0, :3].tolist()  # half-sizes, and the height of 1, metres
        y, x = np.meshgrid(np.linspace(-along, along, rows), np.linspace(-across, across, columns), indexing="ij")
        points = np.stack([x, y, np.zeros_like(x)], -1, dtype=np.float32).reshape(-1, 3)
        corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1, 1)  # (cells, 1)
        cell = [
            0,
            1,
            columns + 1,
            0,
            columns + 1,
            columns,
        ]  # cut from the first corner to the last, as by MuJoCo's rays
        triangles: wp.array = wp.array((corner + cell).ravel(), dtype=wp.int32)
        self._meshes = [
            wp.Mesh(wp.array(points, dtype=wp.vec3), triangles, bvh_leaf_size=LEAF_SIZE) for _ in range(num_envs)
        ]
        self._heights = torch.zeros(num_envs, rows * columns, device=wp.device_to_torch(triangles.device))
        context.hfield_bvh_id = wp.array([mesh.id for mesh in self._meshes], dtype=wp.uint64)
        half = wp.vec3(across, along, self._top / 2)
        context.hfield_bounds_size = wp.array([half] * num_envs, dtype=wp.vec3)

    def shape(self, heights: Tensor) -> None:
        """Give each terrain its heights (N, points), in [0, 1]. On CUDA this waits for which of them have changed."""
        for row in (heights != self._heights).any(1).nonzero().flatten().tolist():
            self._heights[row] = heights[row]
            wp.to_torch(self._meshes[row].points)[:, 2] = self._top * self._heights[row]
            self._meshes[row].refit()


def add(
    of: mujoco.MjModel, model: mjw.Model, context: mjw.RenderContext, num_envs: int
) -> tuple[mjw.Model, Terrain | None]:
    """Return a ray caster's model in which the terrain of environment n is the n-th, and these; change its context."""
    if TERRAIN not in poses_drawn(of):
        return model, None
    dataid = model.geom_dataid.numpy().repeat(num_envs, 0)  # (N, geoms)
    dataid[:, model.geom_type.numpy() == int(mujoco.mjtGeom.mjGEOM_HFIELD)] = np.arange(num_envs)[:, None]
    model = dataclasses.replace(model, geom_dataid=wp.array(dataid, dtype=int))
    return model, Terrain(of, context, num_envs)
