"""What a renderer draws: poses of a simulation, colours, and what is seen behind."""

from collections.abc import Mapping
from typing import NamedTuple

import mujoco
import numpy as np
from torch import Tensor

KINEMATICS = ("geom_xpos", "geom_xmat", "cam_xpos", "cam_xmat", "light_xpos", "light_xdir")
SITES = ("site_xpos", "site_xmat")
BACKGROUNDS = ("sky", "sky+floor", "sky+grid")  # what a video replaces
TERRAIN = "hfield_data"  # heights (points,) in [0, 1], row by row
GROUPS = (0, 1, 2)  # of geoms, sites and tendons that MuJoCo draws unless told otherwise


class Backdrop(NamedTuple):
    """Show `frames[current[n]]` behind environment n, in a centred window as large as the frames.

    Or `around` it: on the sky, which is a cube far away with the frame on each of its faces, as in MuJoCo.
    """

    frames: Tensor  # (frames, window, window, 3) uint8
    current: Tensor  # (N,) int32
    around: bool = False


class Scene(NamedTuple):
    """What N environments look like."""

    poses: Mapping[str, Tensor]  # `poses_drawn` -> (N, ...) of any floating type; more names do no harm
    backdrop: Backdrop | None = None
    colours: Tensor | None = None  # (N, materials, 3) in [0, 1]; None: the model's


def poses_drawn(model: mujoco.MjModel) -> tuple[str, ...]:
    """Name the poses of a model that a renderer draws, and where there is a terrain its heights."""
    has_terrain = bool((model.geom_type == int(mujoco.mjtGeom.mjGEOM_HFIELD)).any())
    has_sites = bool(len(visible_sites(model)) or len(visible_tendons(model)))  # between which tendons are
    return KINEMATICS + SITES * has_sites + (TERRAIN,) * has_terrain


def visible_sites(model: mujoco.MjModel) -> np.ndarray:
    """Number the sites that MuJoCo draws."""
    shown = opacity(model, model.site_rgba, model.site_matid) > 0
    return np.flatnonzero(np.isin(model.site_group, GROUPS) & shown)


def visible_tendons(model: mujoco.MjModel) -> np.ndarray:
    """Number the tendons between two sites that MuJoCo draws; those that go further or around something are none."""
    first = np.minimum(model.tendon_adr, model.nwrap - 2)[:, None] + np.arange(2)  # (tendons, 2)
    pair = (model.tendon_num == 2) & (model.wrap_type[first] == int(mujoco.mjtWrap.mjWRAP_SITE)).all(1)
    shown = opacity(model, model.tendon_rgba, model.tendon_matid) > 0
    return np.flatnonzero(pair & np.isin(model.tendon_group, GROUPS) & shown)


def opacity(model: mujoco.MjModel, rgba: np.ndarray, matid: np.ndarray) -> np.ndarray:
    """Return the opacity (n,) of colours (n, 4); what keeps the default colour has its material's, if it has one."""
    alpha, own = rgba[:, 3].copy(), (rgba != (0.5, 0.5, 0.5, 1)).any(1)
    of_material = (matid >= 0) & ~own
    alpha[of_material] = model.mat_rgba[matid[of_material], 3]
    return alpha


def geom_groups(model: mujoco.MjModel) -> list[int]:
    """Say which groups of geoms to draw: where a skin covers them (dog), which rays do not meet, also what collides."""
    return [*GROUPS, 3] if model.nskin else list(GROUPS)  # in dm_control's dog, group 3 collides
