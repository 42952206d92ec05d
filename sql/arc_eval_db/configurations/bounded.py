"""Work that may have no end, in a process of its own: few at once, each with a deadline, and killed when it is over.

What a JSON Schema can ask for has no bound (a pattern that backtracks, `$ref`s that double), and the differences of
large contents take long. In a thread it could not be ended, and would keep the interpreter's lock from all others.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import orjson

from arc_eval_db.configurations.bounded_child import EXIT_TOO_MUCH
from arc_eval_db.errors import ArcEvalError, FatalError, PoisonError, RetryableError

CPU_S_MAX = 5
"""Of a process, with the half second that it takes to start."""
DEADLINE_S = 15.0
"""The same on a machine that is so busy that it gets a third of a processor."""
WAIT_S_MAX = 10.0
"""For others to end. With the deadline it is less than a request to the API may take."""
PROCESSES_MAX = 2
MEMORY_BYTES_MAX = 1 << 30

# With the paths of this interpreter, which may come from its environment; the child gets none of that, as there are
# secrets in it. `-I`: nothing in the working directory is imported.
_START = (
    "import sys; sys.path[:] = sys.argv[3:]; from arc_eval_db.configurations.bounded_child import main; "
    "main(int(sys.argv[1]), int(sys.argv[2]))"
)
_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
# What the kernel ends with where time or memory is over; not every system has these signals.
_TOO_MUCH = frozenset(
    {EXIT_TOO_MUCH, *(-getattr(signal, name) for name in ("SIGKILL", "SIGXCPU") if hasattr(signal, name))}
)


class TooMuchWorkError(PoisonError):
    """It took more time or memory than it may, and was ended."""


class TooManyAtWorkError(RetryableError):
    """Others are at work that takes long, and did not end in time; try again."""


class BoundedWorkFailedError(FatalError):
    """The process that was to do it could not be started, or has failed."""


class TaskRefusedError(ArcEvalError):
    """The task itself says what is wrong; the message is for whoever has asked."""


class Bounded:
    """Does tasks of `bounded_child` in processes, for the tasks of one event loop."""

    def __init__(
        self,
        *,
        processes_max: int = PROCESSES_MAX,
        cpu_s: int = CPU_S_MAX,
        deadline_s: float = DEADLINE_S,
        wait_s: float = WAIT_S_MAX,
    ) -> None:
        """
        Args:
            cpu_s: of the processor, for each.
            deadline_s: from its start to its end.
            wait_s: for its turn.
        """
        self.cpu_s = cpu_s
        self._deadline_s, self._wait_s = deadline_s, wait_s
        self._turns = asyncio.Semaphore(processes_max)

    async def run(self, task: str, arguments: dict[str, Any]) -> Any:
        """The result of a task, as JSON has it.

        Raises:
            TaskRefusedError: the task says so.
            TooMuchWorkError: it was ended.
            TooManyAtWorkError: its turn did not come.
            BoundedWorkFailedError: a process cannot be started, or ends as it should not.
        """
        request = orjson.dumps({"task": task, "arguments": arguments})
        try:
            async with asyncio.timeout(self._wait_s):
                await self._turns.acquire()
        except TimeoutError as error:
            raise TooManyAtWorkError from error
        try:
            reply = orjson.loads(await self._reply(request))
        finally:
            self._turns.release()
        if "refused" in reply:
            raise TaskRefusedError(reply["refused"])
        return reply["result"]

    async def _reply(self, request: bytes) -> bytes:
        paths = [path for path in sys.path if path]
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-c", _START, str(self.cpu_s), str(MEMORY_BYTES_MAX), *paths),
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                # A traceback could quote a content.
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            raise BoundedWorkFailedError(f"a process could not be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(self._deadline_s):
                output, _ = await process.communicate(request)
        except TimeoutError as error:
            raise TooMuchWorkError from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode in _TOO_MUCH:
            raise TooMuchWorkError
        if process.returncode:
            raise BoundedWorkFailedError(f"the process that was to do it ended with {process.returncode}")
        return output
