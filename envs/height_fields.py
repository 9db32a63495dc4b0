"""Terrain of each environment's own, which neither engine offers by itself."""

import copy
from typing import Any

import mujoco
import mujoco_warp as mjw
import numpy as np
import warp as wp
from mujoco.batch import Batch


class HeightFields:
    """The model field `hfield_data` of a batch, (N, points) float32: read and written by rows, as an array.

    A `Batch` shares height fields between its simulations, so each simulation gets a copy of the whole model: one with
    textures takes much more memory than its terrain. No other field of the model can then differ between simulations.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.models = [copy.copy(batch.model) for _ in range(batch.nsim)]
        self._values = np.stack([model.hfield_data for model in self.models])
        batch.set_models(self.models)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._values, dtype, copy=copy)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self._values[rows]

    def __setitem__(self, rows: Any, values: np.ndarray) -> None:
        self._values[rows] = values
        for row in np.arange(len(self.models))[rows]:
            self.models[row].hfield_data[:] = self._values[row]
        self._batch.set_models(self.models)


def own_terrain(model: mjw.Model, of: mujoco.MjModel, num_envs: int) -> None:
    """Give each world of MuJoCo Warp a terrain of its own: its `hfield_data` then holds N times those of the model.

    MuJoCo Warp keeps terrain once for all worlds, but says for each world which terrain a shape is.
    """
    assert of.nhfield == 1, f"a model with {of.nhfield} terrains"
    model.nhfield, model.nhfielddata = num_envs, num_envs * of.nhfielddata
    for name in ("hfield_size", "hfield_nrow", "hfield_ncol", "hfield_data"):
        array = getattr(model, name)
        setattr(model, name, wp.array(np.concatenate([array.numpy()] * num_envs), dtype=array.dtype))
    model.hfield_adr = wp.array(np.arange(num_envs) * of.nhfielddata, dtype=int)
    terrain = of.geom_type == int(mujoco.mjtGeom.mjGEOM_HFIELD)  # (geoms,)
    dataid = np.where(terrain, np.arange(num_envs)[:, None], of.geom_dataid)  # (N, geoms)
    model.geom_dataid = wp.array(dataid, dtype=int)
