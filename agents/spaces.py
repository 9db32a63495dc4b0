"""What an agent knows of the environments that it acts in, and all that it knows of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Spaces:
    """Shapes and names of what N environments of one task show and take."""

    observations: Mapping[str, tuple[int, ...]]
    """Shapes of what the agent observes, without N, by name."""
    action_dim: int
    num_envs: int = 1
    """Environments that it learns in; it may act in another number."""
    episode_length: int = 1
    """Actions in an episode that nothing ends early."""
    measures: tuple[str, ...] = ()
    """Names of the columns of a timestep's `measures` (N, M)."""
    ranges: tuple[tuple[float, float] | None, ...] = ()
    """Least and largest value of each measure; None where nothing bounds it."""
    kinds: tuple[str, ...] = ()
    """How each measure is made of a timestep's `readings` (N, M): their `mean`, `maximum` or `change`."""
    signals: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Shapes of a timestep's signals, without N, by name."""
    task: str = ""
    action_repeat: int = 1
    """Control steps that an action is held."""
    terminates: bool = False
    """Whether the task can end an episode early, with no value beyond."""
