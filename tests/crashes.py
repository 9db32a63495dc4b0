"""A power cut between any two system calls."""

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import pytest


class Crash(BaseException):
    """Power cut: nothing after it runs, not even what handles exceptions."""


def crash_at(monkeypatch: pytest.MonkeyPatch, count: int, calls: Iterable[tuple[ModuleType, str]]) -> Callable[[], int]:
    """Let the `count`-th of these calls be the last; return how many were made."""
    made = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal made
            made += 1
            if made > count:
                raise Crash
            return function(*arguments, **options)

        return call

    for module, name in calls:
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    return lambda: made
