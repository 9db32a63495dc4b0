"""Humanoid of the CMU motion-capture data: stand, walk, run (dm_control.suite.humanoid_CMU)."""

from functools import partial

from dm_control.suite import humanoid_CMU as suite

from envs.tasks.humanoid import SPEEDS, Anatomy, Humanoid
from envs.tasks.task import ZY

ANATOMY = Anatomy(
    source=suite.get_model_and_assets,
    control_timestep=0.02,
    time_limit=20,
    torso="thorax",
    up=ZY,
    limbs=("lhand", "lfoot", "rhand", "rfoot"),
    feet={
        "left_foot": ("sensor_touch_lfoot", "sensor_touch_ltoes"),
        "right_foot": ("sensor_touch_rfoot", "sensor_touch_rtoes"),
    },
)
TASKS = {f"humanoid_CMU_{name}": partial(Humanoid, ANATOMY, speed) for name, speed in SPEEDS.items()}
