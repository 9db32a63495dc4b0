"""The objectives by their configurations: one registry."""

from collections.abc import Callable, Mapping

from world_models.infopower import InfoPowerModel, InfoPowerModelConfig
from world_models.world_model import WorldModel

ModelConfig = InfoPowerModelConfig
OBJECTIVES: dict[type, Callable[..., WorldModel]] = {InfoPowerModelConfig: InfoPowerModel}


def make_model(observation_shapes: Mapping[str, tuple[int, ...]], action_dim: int, config: ModelConfig) -> WorldModel:
    """Build the world model that a configuration names."""
    return OBJECTIVES[type(config)](observation_shapes, action_dim, config)
