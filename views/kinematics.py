"""A model for a page that has no simulator: how bodies hang together, what they look like, and where to look from."""

from typing import Any

import mujoco
import numpy as np

from envs import scene
from views.blocks import array

GEOM, JOINT, TRACKING = mujoco.mjtGeom, mujoco.mjtJoint, mujoco.mjtCamLight
SHAPES = {
    int(GEOM.mjGEOM_PLANE): "plane",
    int(GEOM.mjGEOM_SPHERE): "sphere",
    int(GEOM.mjGEOM_CAPSULE): "capsule",
    int(GEOM.mjGEOM_ELLIPSOID): "ellipsoid",
    int(GEOM.mjGEOM_CYLINDER): "cylinder",
    int(GEOM.mjGEOM_BOX): "box",
    int(GEOM.mjGEOM_MESH): "mesh",
}
JOINTS = {
    int(JOINT.mjJNT_FREE): "free",
    int(JOINT.mjJNT_BALL): "ball",
    int(JOINT.mjJNT_SLIDE): "slide",
    int(JOINT.mjJNT_HINGE): "hinge",
}
DEFAULT = np.array([0.5, 0.5, 0.5, 1], np.float32)  # colour of a shape that has none of its own
CLUSTERS = 14  # a mesh's vertices are merged within this many cells along its longest side


def describe(model: mujoco.MjModel) -> dict[str, Any]:
    """Return bodies, geoms and view of a model, in types that JSON has; what is invisible is left out."""
    return {
        "bodies": [body(model, number) for number in range(model.nbody)],
        "geoms": [*geoms(model), *visible_sites(model)],
        "meshes": {str(number): mesh(model, number) for number in meshes_used(model)},
        "view": view(model),
        "coordinates": int(model.nq),
    }


def body(model: mujoco.MjModel, number: int) -> dict[str, Any]:
    """Describe a body: its parent, its pose in the parent's frame, and its joints in the order that they act."""
    first, count = int(model.body_jntadr[number]), int(model.body_jntnum[number])
    return {
        "name": model.body(number).name,
        "parent": int(model.body_parentid[number]),
        "position": rounded(model.body_pos[number]),
        "quaternion": rounded(model.body_quat[number]),
        "joints": [joint(model, number) for number in range(first, first + count)],
    }


def joint(model: mujoco.MjModel, number: int) -> dict[str, Any]:
    """Describe a joint: where it reads qpos, and what it does with it."""
    address = int(model.jnt_qposadr[number])
    return {
        "kind": JOINTS[int(model.jnt_type[number])],
        "address": address,
        "axis": rounded(model.jnt_axis[number]),
        "anchor": rounded(model.jnt_pos[number]),
        "reference": float(model.qpos0[address]),
    }


def geoms(model: mujoco.MjModel) -> list[dict[str, Any]]:
    """Describe the geoms that MuJoCo draws."""
    groups, found = scene.geom_groups(model), []
    for number in range(model.ngeom):
        kind, colour = int(model.geom_type[number]), colour_of(model.geom_rgba[number], model.geom_matid[number], model)
        if kind not in SHAPES or model.geom_group[number] not in groups or colour[3] == 0:
            continue
        shape = {
            "table": "geom_pos",
            "number": number,
            "body": int(model.geom_bodyid[number]),
            "shape": SHAPES[kind],
            "size": rounded(model.geom_size[number]),
            "position": rounded(model.geom_pos[number]),
            "quaternion": rounded(model.geom_quat[number]),
            "colour": rounded(colour),
        }
        if SHAPES[kind] == "mesh":
            shape["mesh"] = str(int(model.geom_dataid[number]))
        found.append(shape)
    return found


def visible_sites(model: mujoco.MjModel) -> list[dict[str, Any]]:
    """Describe the sites that MuJoCo draws: targets, for instance."""
    return [
        {
            "table": "site_pos",
            "number": int(number),
            "body": int(model.site_bodyid[number]),
            "shape": SHAPES[int(model.site_type[number])],
            "size": rounded(model.site_size[number]),
            "position": rounded(model.site_pos[number]),
            "quaternion": rounded(model.site_quat[number]),
            "colour": rounded(colour_of(model.site_rgba[number], model.site_matid[number], model)),
        }
        for number in scene.visible_sites(model)
    ]


def colour_of(own: np.ndarray, material: int, model: mujoco.MjModel) -> np.ndarray:
    """Return a shape's colour (4,): its own, or its material's if it keeps the default."""
    return model.mat_rgba[material] if material >= 0 and (own == DEFAULT).all() else own


def meshes_used(model: mujoco.MjModel) -> list[int]:
    return sorted({int(shape["mesh"]) for shape in geoms(model) if "mesh" in shape})


def mesh(model: mujoco.MjModel, number: int) -> dict[str, Any]:
    """Return a mesh with fewer vertices: those in one cell of a lattice become one (Rossignac and Borrel, 1993)."""
    start, count = model.mesh_vertadr[number], model.mesh_vertnum[number]
    first, faces = model.mesh_faceadr[number], model.mesh_facenum[number]
    vertices = model.mesh_vert[start : start + count]  # (n, 3)
    triangles = model.mesh_face[first : first + faces]  # (f, 3)
    corner, side = vertices.min(0), max(float(np.ptp(vertices, axis=0).max()), 1e-9) / CLUSTERS
    _, cell = np.unique(((vertices - corner) / side).astype(int), axis=0, return_inverse=True)  # (n,)
    cell = cell.reshape(-1)
    size = np.bincount(cell)
    merged = np.stack([np.bincount(cell, axis) / size for axis in vertices.T], 1)  # (m, 3)
    faces = cell[triangles]
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    _, once = np.unique(np.sort(faces, 1), axis=0, return_index=True)
    return {"vertices": array(merged, "float32"), "faces": array(faces[np.sort(once)], "uint16")}


def view(model: mujoco.MjModel) -> dict[str, Any]:
    """Say where to look from: the first camera's direction, and the body to follow, if it can go away.

    What moves is followed if a camera of the model tracks it, or if it has a free joint and limbs; an object that has
    a free joint alone is not (our choice).
    """
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    tracking = [int(TRACKING.mjCAMLIGHT_TRACK), int(TRACKING.mjCAMLIGHT_TRACKCOM)]
    tracked = [int(model.cam_bodyid[n]) for n in range(model.ncam) if model.cam_mode[n] in tracking]
    roots = model.body_rootid[model.jnt_bodyid]  # of each joint
    free = [int(root) for root, kind in zip(roots, model.jnt_type, strict=True) if kind == JOINT.mjJNT_FREE]
    tracked += [root for root in free if (roots == root).sum() > 1]
    bodies = [number for number in tracked if number > 0]
    root = int(model.body_rootid[bodies[0]]) if bodies else 0
    goes = root > 0 and any(model.jnt_type[model.jnt_bodyid == root] != int(JOINT.mjJNT_HINGE))
    direction = -data.cam_xmat[0].reshape(3, 3)[:, 2] if model.ncam else np.array([0.0, 1.0, -0.3])
    return {"direction": rounded(direction), "follow": root if goes else None, "centre": rounded(model.stat.center)}


def rounded(values: np.ndarray) -> list[float]:
    """Write numbers in as many digits as float32 has."""
    return [float(f"{value:.9g}") for value in np.asarray(values, np.float64)]
