"""What a return code says about how a sandbox ended."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any, Self

_DEADLINE_CODE = 124


@dataclass(frozen=True, slots=True)
class SandboxExit:
    """How a sandbox ended.

    >>> SandboxExit.from_returncode(-9).message
    'ended by SIGKILL'
    >>> SandboxExit.from_returncode(137, out_of_memory=True).message
    'ended by SIGKILL, out of memory'
    >>> SandboxExit.from_returncode(3).message
    'exited with code 3'
    """

    exit_code: int | None
    """None where the code says nothing but the signal."""
    signal: str | None
    """Name of the signal that ended it, such as "SIGKILL"; None where it ended by itself."""
    out_of_memory: bool | None = None
    """None: not known. A return code alone cannot tell: 137 is every SIGKILL, whoever sent it."""

    @classmethod
    def from_returncode(cls, returncode: int, *, out_of_memory: bool | None = None) -> Self:
        """Read a return code as Python, shells, containers and Modal write it.

        Negative is a signal (Python's subprocess); 128 plus the number of a signal is that signal (shells, containers).
        `Sandbox.returncode` of Modal is the process's own code, or 124 after the sandbox's time-out, or 137 where the
        sandbox was terminated (`_result_returncode` in modal/sandbox.py of github.com/modal-labs/modal-client).
        """
        if returncode < 0:
            return cls(None, _signal_name(-returncode) or f"signal {-returncode}", out_of_memory)
        return cls(returncode, _signal_name(returncode - 128), out_of_memory)

    @property
    def is_success(self) -> bool:
        """Whether it exited with code 0."""
        return self.exit_code == 0

    @property
    def message(self) -> str:
        """One line for people."""
        if self.signal is not None:
            said = f"ended by {self.signal}"
        elif self.exit_code == _DEADLINE_CODE:
            said = "exited with code 124, which is what Modal and timeout(1) give after a time-out"
        else:
            said = f"exited with code {self.exit_code}"
        return f"{said}, out of memory" if self.out_of_memory else said

    def details(self) -> dict[str, Any]:
        """The same for machines."""
        return {"exit_code": self.exit_code, "signal": self.signal, "out_of_memory": self.out_of_memory}


def _signal_name(number: int) -> str | None:
    try:
        return signal.Signals(number).name
    except ValueError:
        return None
