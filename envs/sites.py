"""Let the ray caster, which knows geoms only, see sites: it takes each for one more geom, behind those of the model.

`finger_turn`'s target is a site.
"""

import dataclasses
from types import SimpleNamespace

import mujoco
import mujoco_warp as mjw
import numpy as np
import warp as wp
from mujoco_warp._src.bvh import build_scene_bvh


def add(
    model: mujoco.MjModel, sites: np.ndarray, caster: mjw.Model, data: mjw.Data, context: mjw.RenderContext
) -> tuple[mjw.Model, mjw.Data]:
    """Return a ray caster's model and data, and change its context: `sites` are then geoms, numbered from `ngeom`."""
    if not len(sites):
        return caster, data
    shapes = {
        "geom_type": np.concatenate([model.geom_type, model.site_type[sites]]),
        "geom_dataid": np.concatenate([model.geom_dataid, np.full(len(sites), -1, np.int32)]),
        "geom_matid": np.concatenate([model.geom_matid, model.site_matid[sites]]),
        "geom_size": np.concatenate([model.geom_size, model.site_size[sites]]),
        "geom_rgba": np.concatenate([model.geom_rgba, model.site_rgba[sites]]),
    }
    count, worlds = len(shapes["geom_type"]), data.nworld
    caster = dataclasses.replace(
        caster,
        geom_type=wp.array(shapes["geom_type"], dtype=int),
        geom_dataid=wp.array(shapes["geom_dataid"][None], dtype=int),
        geom_matid=wp.array(shapes["geom_matid"][None], dtype=int),
        geom_size=wp.array(shapes["geom_size"][None], dtype=wp.vec3),
        geom_rgba=wp.array(shapes["geom_rgba"][None], dtype=wp.vec4),
    )
    data = dataclasses.replace(
        data,
        geom_xpos=wp.zeros((worlds, count), dtype=wp.vec3),
        geom_xmat=wp.zeros((worlds, count), dtype=wp.mat33),
    )
    ids = np.concatenate([context.enabled_geom_ids.numpy(), model.ngeom + np.arange(len(sites), dtype=np.int32)])
    context.enabled_geom_ids, context.bvh_ngeom = wp.array(ids, dtype=int), len(ids)
    context.geom_ray_types = tuple(sorted({*context.geom_ray_types, *map(int, model.site_type[sites])}))
    boxes = worlds * (context.bvh_ngeom + context.bvh_nflexgeom)
    context.lower, context.upper = wp.zeros(boxes, dtype=wp.vec3), wp.zeros(boxes, dtype=wp.vec3)
    context.group = wp.zeros(boxes, dtype=int)
    begin = mujoco.MjData(model)
    mujoco.mj_forward(model, begin)
    flex = {name: getattr(model, f"flex_{name}") for name in ("vertadr", "vertnum", "edge", "radius")}
    build_scene_bvh(
        SimpleNamespace(ngeom=count, **shapes, **{f"flex_{name}": value for name, value in flex.items()}),
        SimpleNamespace(
            geom_xpos=np.concatenate([begin.geom_xpos, begin.site_xpos[sites]]),
            geom_xmat=np.concatenate([begin.geom_xmat, begin.site_xmat[sites]]),
            flexvert_xpos=begin.flexvert_xpos,
        ),
        context,
        worlds,
    )
    return caster, data
