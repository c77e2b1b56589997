"""The page that scripts/demo and scripts/boot-test print: one line a step, with a tick."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from .waiting import LabError

LEFT, RIGHT = 41, 43  # columns of a step and of its result


class Failed(Exception):
    """A step that did not show what it should."""


def expect(condition: bool, otherwise: object) -> None:
    if not condition:
        raise Failed(str(otherwise))


class Show:
    """The page that the demo prints."""

    def __init__(self) -> None:
        self.colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.failed = 0
        self.passed = 0

    def _coloured(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.colours else text

    def title(self, text: str) -> None:
        print("\n" + self._coloured("1", text), flush=True)

    def done(self, what: str, result: str, ms: float) -> None:
        self.passed += 1
        self._line(self._coloured("32", "✓"), what, result, ms)

    def _line(self, mark: str, what: str, result: str, ms: float) -> None:
        print(f"  {mark} {what:<{LEFT}} {result:<{RIGHT}}"
              + self._coloured("2", f"{ms:7.0f} ms"), flush=True)

    def step(self, what: str, work: Callable[[], str | None],
             logs: Callable[[], str] | None = None) -> bool:
        """Runs a step; its result is what `work` returns."""
        began = time.monotonic()
        try:
            result = work() or ""
        except (Failed, LabError, OSError, ValueError) as error:
            self.failed += 1
            self._line(self._coloured("31", "✗"), what, "failed", (time.monotonic() - began) * 1e3)
            for line in (str(error) or repr(error)).splitlines():
                print(f"      {line}")
            if logs:
                print(logs(), flush=True)
            return False
        self.done(what, result, (time.monotonic() - began) * 1e3)
        return True
