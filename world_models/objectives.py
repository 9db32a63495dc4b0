"""The objectives by their configurations: one registry."""

from collections.abc import Callable, Mapping

from world_models.c_dreamer import CDreamerModel, CDreamerModelConfig
from world_models.dreamer import DreamerModel, DreamerModelConfig
from world_models.infopower import InfoPowerModel, InfoPowerModelConfig
from world_models.infopower_plus import InfoPowerPlusModel, InfoPowerPlusModelConfig
from world_models.r2 import R2Model, R2ModelConfig
from world_models.repo import RePoModel, RePoModelConfig
from world_models.world_model import WorldModel

ModelConfig = (
    InfoPowerModelConfig
    | InfoPowerPlusModelConfig
    | DreamerModelConfig
    | CDreamerModelConfig
    | RePoModelConfig
    | R2ModelConfig
)
OBJECTIVES: dict[type, Callable[..., WorldModel]] = {
    InfoPowerModelConfig: InfoPowerModel,
    InfoPowerPlusModelConfig: InfoPowerPlusModel,
    DreamerModelConfig: DreamerModel,
    CDreamerModelConfig: CDreamerModel,
    RePoModelConfig: RePoModel,
    R2ModelConfig: R2Model,
}


def make_model(observation_shapes: Mapping[str, tuple[int, ...]], action_dim: int, config: ModelConfig) -> WorldModel:
    """Build the world model that a configuration names."""
    return OBJECTIVES[type(config)](observation_shapes, action_dim, config)
