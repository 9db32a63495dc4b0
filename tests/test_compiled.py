"""Tasks whose functions are compiled: all can be, and what they say then is the same, bit for bit."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import envs
from envs.compiled import Reading


@pytest.mark.parametrize("name", envs.TASKS)
def test_what_is_compiled_of_every_task_is_what_it_says(name: str) -> None:
    env = envs.make(name, 3)
    env.reset()
    for _ in range(2):
        env.step(torch.rand(3, env.action_dim) * 2 - 1)
    reading = Reading(env._functions, tuple(env.context))
    values = tuple(env.context.values())
    for traced, plain in zip(torch.export.export(reading, values).module()(*values), reading(*values), strict=True):
        torch.testing.assert_close(traced, plain, rtol=0, atol=0)


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_compiled_environments_give_the_same_bits_and_are_compiled_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    options: dict[str, Any] = {"seed": 3, "action_repeat": 2, "time_limit": 20, "stagger": True}
    fast, plain = envs.make("lqr_lqr_2_1", 4, compile=True, **options), envs.make("lqr_lqr_2_1", 4, **options)
    (package,) = (tmp_path / "environments").iterdir()
    written = package.stat().st_mtime_ns
    again = envs.make("lqr_lqr_2_1", 4, compile=True, **options)
    assert package.stat().st_mtime_ns == written
    assert fast.terminates
    steps, ends = [env.reset() for env in (fast, plain, again)], 0
    for _ in range(30):
        for name in ("state", "reward", "is_first", "is_last", "is_terminal"):
            assert torch.equal(steps[0][name], steps[1][name]) and torch.equal(steps[2][name], steps[1][name]), name
        ends += int(steps[0]["is_last"].sum())
        action = torch.rand(4, fast.action_dim) * 2 - 1
        steps = [env.step(action) for env in (fast, plain, again)]
    assert ends > 4


def test_other_constants_and_other_strides_are_compiled_anew() -> None:
    from envs.compiled import _digest

    def digest(scale: float, values: torch.Tensor) -> str:
        class Scaled(torch.nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x * constant

        constant = torch.full((2,), scale)
        return _digest(torch.export.export(Scaled(), (values,)))

    plain = torch.zeros(3, 2)
    same = digest(2.0, plain)
    assert same == digest(2.0, plain)
    assert same != digest(3.0, plain)
    assert same != digest(2.0, torch.zeros(2, 3).T)
    assert same != digest(2.0, plain.double())


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    line = r"^option compile needs a C\+\+ compiler: install g\+\+"
    with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}), pytest.raises(ValueError, match=line):
        envs.make("cartpole_balance", 2, compile=True)


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_a_compiler_that_fails_is_quoted_and_a_package_that_was_cut_short_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    failing = tmp_path / "failing"
    failing.write_text(
        '#!/bin/sh\ncase "$*" in *-version*) exec g++ "$@";; esac\necho "no.h: fatal error: none" >&2; exit 1\n'
    )
    failing.chmod(0o755)
    line = r"^option compile: the C\+\+ compiler failed: no.h: fatal error: none$"
    with torch._inductor.config.patch({"cpp.cxx": (str(failing),)}), pytest.raises(ValueError, match=line):
        envs.make("cartpole_balance_sparse", 2, compile=True)
    assert not list((tmp_path / "environments").iterdir())
    envs.make("cartpole_balance_sparse", 2, compile=True)
    (package,) = (tmp_path / "environments").iterdir()
    whole = package.read_bytes()
    package.write_bytes(whole[: len(whole) // 2])
    envs.make("cartpole_balance_sparse", 2, compile=True).reset()
    assert package.stat().st_size > len(whole) // 2
