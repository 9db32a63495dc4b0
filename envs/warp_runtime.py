"""Start Warp quietly, work in the order of torch's stream, and say when kernels have to be compiled."""

import gc
import logging
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
import warp as wp

log = logging.getLogger(__name__)

GRAPHS = ("cuda",)  # devices on which launches are recorded once; Warp can do it on "cpu", too, where it gains nothing


class Notices:
    """What Warp has to say, but for its banner: which kernels it had to compile, on one line of a terminal."""

    def __init__(self) -> None:
        self.compiled = 0

    def debug(self, message: str) -> None:
        log.debug(message)

    def info(self, message: str) -> None:
        if not message.startswith("Module ") or "(compiled)" not in message:
            return log.debug(message)
        if self.compiled == 0:
            log.info("compiling kernels, once on this machine; later runs find them in %s", wp.config.kernel_cache_dir)
        self.compiled += 1
        if sys.stderr.isatty():
            print(f"\rcompiled {self.compiled}: {message.split()[1]}\x1b[K\r", end="", file=sys.stderr, flush=True)

    def warning(self, message: str, category: type[Warning] | None = None, stacklevel: int = 1) -> None:
        log.warning(message)

    def error(self, message: str) -> None:
        log.error(message)


wp.set_logger(Notices())


def start() -> None:
    """Initialise Warp, without the complaint that its native part prints where there is no CUDA."""
    if torch.cuda.is_available():
        return wp.init()
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            wp.init()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def scope(device: torch.device) -> AbstractContextManager:
    """Make Warp work on a device, on CUDA in the order of torch's stream. Entered by the calling thread only."""
    if device.type == "cuda":
        return wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(device)))
    return wp.ScopedDevice("cpu")


class Graph:
    """A fixed sequence of kernel launches, which CUDA takes as one graph.

    The first run compiles what it needs, and is recorded; the arrays that it works on are fixed from then on. `forget`
    it when one of them is replaced by another array: the next run is recorded anew.
    """

    def __init__(self, launch: Callable[[], None], device: torch.device) -> None:
        self._launch, self._device = launch, device
        self._graph: wp.Graph | None = None

    def __call__(self) -> None:
        """Run it once, inside a `scope`, without waiting for the device."""
        if self._graph is not None:
            return wp.capture_launch(self._graph)
        self._launch()
        if self._device.type in GRAPHS:
            self._graph = self._record()

    def forget(self) -> None:
        """Let the next run be recorded anew."""
        self._graph = None

    def _record(self) -> wp.Graph:
        # Not on torch's stream: CUDA cannot capture its default one.
        stream = wp.Stream() if self._device.type == "cuda" else None
        collecting = gc.isenabled()
        gc.disable()  # what is collected meanwhile would be freed inside the graph
        try:
            with wp.ScopedStream(stream), wp.ScopedCapture(stream=stream) as capture:
                self._launch()
        finally:
            if collecting:
                gc.enable()
        return capture.graph
