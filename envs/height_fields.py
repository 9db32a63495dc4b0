"""Terrain of each environment's own, which a batch of C simulations does not offer by itself."""

import copy
from typing import Any

import numpy as np
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
