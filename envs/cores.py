"""How many threads there are cores for."""

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds of processor time in each period, and the period: cgroup v2


def cores() -> int:
    """Count the processor cores that this process may use: a container or `taskset` may leave it few of them."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = QUOTA.read_text().split()
        return min(allowed, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no cgroup, or no limit, which is called max
        return allowed
