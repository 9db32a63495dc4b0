"""Let the ray caster, which knows geoms only, see sites and tendons: they are geoms behind those of the model.

`finger_turn`'s target is a site, the string of `ball_in_cup` a tendon.
"""

import dataclasses
from types import SimpleNamespace

import mujoco
import mujoco_warp as mjw
import numpy as np
import torch
import warp as wp
from mujoco_warp._src.bvh import build_scene_bvh
from torch import Tensor

from envs.scene import visible_sites
from envs.tendons import PIECES, Tendons


class AddedGeoms:
    """Geoms for a model's visible sites and, behind those, capsules for its visible tendons; `count` in all.

    shapes: what a model says of geoms, (count, ...); the capsules' lengths change.
    """

    def __init__(self, model: mujoco.MjModel, device: torch.device) -> None:
        sites, self._tendons = visible_sites(model), Tendons(model, device)
        pieces = self._tendons.ids.repeat(PIECES)
        self._sites, self.count = torch.from_numpy(sites).to(device), len(sites) + len(pieces)
        self.shapes = {
            "geom_type": np.append(model.site_type[sites], np.full(len(pieces), int(mujoco.mjtGeom.mjGEOM_CAPSULE))),
            "geom_dataid": np.full(self.count, -1),
            "geom_matid": np.append(model.site_matid[sites], model.tendon_matid[pieces]),
            "geom_size": np.append(model.site_size[sites], model.tendon_width[pieces, None].repeat(3, 1), 0),
            "geom_rgba": np.append(model.site_rgba[sites], model.tendon_rgba[pieces], 0),
        }

    def poses(self, site_xpos: Tensor, site_xmat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return places (N, count, 3), frames (N, count, 9) and the capsules' half lengths (N, capsules)."""
        places, frames = site_xpos[:, self._sites], site_xmat[:, self._sites]
        if not len(self._tendons.ids):
            return places, frames, places[:, :0, 0]
        centres, of_capsules, half_lengths = self._tendons.capsules(site_xpos)
        return torch.cat([places, centres], 1), torch.cat([frames, of_capsules], 1), half_lengths

    def place(self, site_xpos: Tensor, site_xmat: Tensor, caster: mjw.Model, data: mjw.Data) -> None:
        """Put them where the sites say, into what `add` returned."""
        place, frame, half_length = self.poses(site_xpos, site_xmat)
        wp.to_torch(data.geom_xpos)[:, -self.count :] = place
        wp.to_torch(data.geom_xmat)[:, -self.count :] = frame.unflatten(2, (3, 3))
        if half_length.shape[1]:
            wp.to_torch(caster.geom_size)[:, -half_length.shape[1] :, 1] = half_length

    def add(
        self, model: mujoco.MjModel, caster: mjw.Model, data: mjw.Data, context: mjw.RenderContext
    ) -> tuple[mjw.Model, mjw.Data]:
        """Return a ray caster's model and data with them, and sizes of each environment's own; change its context."""
        tables = {name: np.append(getattr(model, name), more, 0) for name, more in self.shapes.items()}
        count, worlds = model.ngeom + self.count, data.nworld
        caster = dataclasses.replace(
            caster,
            geom_type=wp.array(tables["geom_type"], dtype=int),
            geom_dataid=wp.array(tables["geom_dataid"][None], dtype=int),
            geom_matid=wp.array(tables["geom_matid"][None], dtype=int),
            geom_size=wp.array(tables["geom_size"][None].repeat(worlds, 0), dtype=wp.vec3),
            geom_rgba=wp.array(tables["geom_rgba"][None], dtype=wp.vec4),
        )
        data = dataclasses.replace(
            data,
            geom_xpos=wp.zeros((worlds, count), dtype=wp.vec3),
            geom_xmat=wp.zeros((worlds, count), dtype=wp.mat33),
        )
        added = model.ngeom + np.arange(self.count, dtype=np.int32)
        ids = np.append(context.enabled_geom_ids.numpy(), added)
        context.enabled_geom_ids, context.bvh_ngeom = wp.array(ids, dtype=int), len(ids)
        context.geom_ray_types = tuple(sorted({*context.geom_ray_types, *map(int, self.shapes["geom_type"])}))
        boxes = worlds * (context.bvh_ngeom + context.bvh_nflexgeom)
        context.lower, context.upper = wp.zeros(boxes, dtype=wp.vec3), wp.zeros(boxes, dtype=wp.vec3)
        context.group = wp.zeros(boxes, dtype=int)
        self._build_tree(model, tables, context, worlds)
        return caster, data

    def _build_tree(
        self, model: mujoco.MjModel, tables: dict[str, np.ndarray], context: mjw.RenderContext, worlds: int
    ) -> None:
        """Build the tree over all geoms from where they are at first; it is fitted to where they go."""
        begin = mujoco.MjData(model)
        mujoco.mj_forward(model, begin)
        sites = (torch.from_numpy(of[None]).to(self._sites.device) for of in (begin.site_xpos, begin.site_xmat))
        place, frame, half_length = (values[0].cpu().numpy() for values in self.poses(*sites))
        if len(half_length):
            tables["geom_size"][-len(half_length) :, 1] = half_length
        flex = {f"flex_{name}": getattr(model, f"flex_{name}") for name in ("vertadr", "vertnum", "edge", "radius")}
        build_scene_bvh(
            SimpleNamespace(ngeom=len(tables["geom_type"]), **tables, **flex),
            SimpleNamespace(
                geom_xpos=np.append(begin.geom_xpos, place, 0),
                geom_xmat=np.append(begin.geom_xmat, frame, 0),
                flexvert_xpos=begin.flexvert_xpos,
            ),
            context,
            worlds,
        )
