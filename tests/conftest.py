"""Settings of every test."""

import os

os.environ.setdefault("MUJOCO_GL", "disabled")  # tests import dm_control's tasks, also where there is no OpenGL

import torch

torch.set_num_threads(1)  # small tensors are several times slower on two threads
