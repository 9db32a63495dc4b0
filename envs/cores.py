"""How many threads there are cores for."""

import os


def cores() -> int:
    """Count the processor cores that this process may run on: a container or `taskset` may leave it few of them."""
    return len(os.sched_getaffinity(0))
