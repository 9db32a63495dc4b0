"""A task's functions in machine code, where dozens of small torch operations take longer than the physics."""

import copy
import hashlib
import logging
import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from envs.engines import CEngine, Engine
from envs.measures import Context
from envs.tasks.task import Task

log = logging.getLogger(__name__)

CPUINFO = Path("/proc/cpuinfo")  # machine code is of the instructions that are named there


class Reading(nn.Module):
    """All that a task says of a context: reward (N,), observation (N, O) and, if it can end, the end (N,) bool."""

    def __init__(self, task: Task, fields: tuple[str, ...]) -> None:
        super().__init__()
        self._task, self._fields = task, fields

    def forward(self, *values: Tensor) -> list[Tensor]:
        """Read the values of the fields, (N, ...) each."""
        c, task = dict(zip(self._fields, values, strict=True)), self._task
        ends = [] if task.terminal is None else [task.terminal(c)]
        return [task.reward(c), task.observe(c), *ends]


def compiled(task: Task, engine: Engine) -> Task:
    """Return a task whose functions are compiled for a processor and for the fields of one engine.

    Compiling takes some ten seconds, once on a machine for each task and number of environments: PyTorch's cache folder
    keeps what came of it. Raises ValueError for Warp's engine, and where a C++ compiler is missing or fails.
    """
    if not isinstance(engine, CEngine):
        raise ValueError("option compile is for engine c: leave it out with warp, and where it is chosen for a GPU")
    names = tuple(dict.fromkeys(task.fields))
    with torch.no_grad():
        program = torch.export.export(Reading(task, names), tuple(engine.fields[name] for name in names))
    run = _loaded(program)

    # each runs the whole program, so that there is only one to compile
    def function(output: int) -> Callable[[Context], Tensor]:
        return lambda c: run([c[name] for name in names])[output]

    fast = copy.copy(task)
    vars(fast).update(reward=function(0), observe=function(1))
    if task.terminal is not None:
        vars(fast).update(terminal=function(2))
    return fast


def _loaded(program: torch.export.ExportedProgram) -> Callable[[list[Tensor]], list[Tensor]]:
    """Return a program as a function that was compiled before, or is now."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    path = Path(cache_dir(), "environments", f"{_digest(program)}.pt2")
    load = partial(torch._inductor.aoti_load_package, str(path), run_single_threaded=True)
    if not path.exists():
        _write(program, path)
    try:
        package = load()
    except RuntimeError:  # the file was cut short
        _write(program, path)
        package = load()
    return package.loader.boxed_run  # without the trees that `package` takes apart and builds, four times as long


def _write(program: torch.export.ExportedProgram, path: Path) -> None:
    """Compile a program into a file; raise ValueError, in one line, where that fails."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InductorError, InvalidCxxCompiler

    log.info("compiling a task's functions, once on this machine; later runs find them in %s", path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{os.getpid()}-{path.name}")
    try:
        get_cpp_compiler()
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of PyTorch about itself
            torch._inductor.aoti_compile_and_package(
                program, package_path=str(written), inductor_configs={"cpp.threads": 1}
            )
        written.replace(path)
    except InvalidCxxCompiler:
        raise ValueError("option compile needs a C++ compiler: install g++, or leave the option out") from None
    except InductorError as error:
        said = next((line for line in str(error).splitlines() if "error:" in line), "see above")
        raise ValueError(f"option compile: the C++ compiler failed: {said}") from error
    finally:
        written.unlink(missing_ok=True)


def _digest(program: torch.export.ExportedProgram) -> str:
    """Tell programs apart by their operations, the strides of what they read, their constants, and what runs them."""
    processors = {line for line in CPUINFO.read_text().splitlines() if line.startswith(("flags", "Features"))}
    digest = hashlib.sha256(f"{torch.__version__} {sorted(processors)}".encode())
    digest.update(program.graph_module.print_readable(print_output=False, include_stride=True).encode())
    for name, value in sorted(program.constants.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode() + value.numpy().tobytes())
    return digest.hexdigest()
