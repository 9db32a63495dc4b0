"""Single-threaded torch: small tensors are several times slower on two threads."""

import torch

torch.set_num_threads(1)
