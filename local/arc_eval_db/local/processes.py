"""Background processes that outlive the command that started them."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from arc_eval_db.local.errors import MissingExtraError, StackSetupError

try:
    import psutil
except ImportError as error:
    raise MissingExtraError from error

Match = Callable[[Sequence[str]], bool]
"""Tells from a command line whether a process is the one looked for."""

POLL_INTERVAL_S = 0.02

CREATE_TIME_TOLERANCE_S = 2.0
"""psutil derives the time from the boot time, which moves a little when the clock is set. A recycled pid within two
seconds would also have to have the same command line."""

KILL_TIMEOUT_S = 10.0
"""SIGKILL takes effect at once, except while a process is stuck in the kernel (a dead network disk)."""

STRIPPED_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH")
"""Options meant for somebody else's JVM, such as a debugger's port, must not reach ours. `PG*` is stripped as well."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process, told apart from a later one with the same pid by when it was created (seconds since 1970)."""

    pid: int
    created: float


class _Detached(subprocess.Popen[bytes]):
    """A child that is meant to outlive its handle, so losing the handle is nothing to warn about."""

    def __del__(self) -> None:
        pass


_children: dict[int, _Detached] = {}
"""The servers this very process started: they stay zombies until it has asked for their exit code."""


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would redirect PostgreSQL's tools or change the JVM, plus `extra`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PG") and name not in STRIPPED_VARIABLES
    }
    return {**kept, **(extra or {})}


def spawn(
    command: Sequence[str], *, log_file: Path, directory: Path, user: pwd.struct_passwd | None = None
) -> ProcessId:
    """Start `command` in a session of its own, so that neither Ctrl-C nor the end of the terminal reaches it.

    Args:
        log_file: standard output and error are appended to it.
        directory: the working directory.
        user: run as this user; only root can.

    Raises:
        StackSetupError: the program cannot be run.
    """
    try:
        with log_file.open("ab") as log:
            child = _Detached(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=clean_environment(),
                start_new_session=True,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise _cannot_run(command, error) from error
    _children[child.pid] = child
    return identify(child.pid) or ProcessId(child.pid, time.time())


def identify(pid: int) -> ProcessId | None:
    """The process that has `pid` now, or None."""
    try:
        return ProcessId(pid, psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def is_alive(process: ProcessId) -> bool:
    """Whether `process` itself (not a later one with its pid) still runs. A zombie does not."""
    try:
        current = psutil.Process(process.pid)
        if abs(current.create_time() - process.created) > CREATE_TIME_TOLERANCE_S:
            return False
        # A JVM's first thread may be a zombie while others still hold files and ports.
        ended = current.status() == psutil.STATUS_ZOMBIE and current.num_threads() <= 1
    except psutil.Error:
        return False
    if ended:
        _reap()
    return not ended


def _reap() -> None:
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            _children.pop(pid, None)


def matches(process: ProcessId, match: Match) -> bool:
    """Whether `process` still runs and its command line fits."""
    try:
        return is_alive(process) and match(psutil.Process(process.pid).cmdline())
    except psutil.Error:
        return False


def find(match: Match) -> list[ProcessId]:
    """All running processes whose command line fits, oldest first."""
    _reap()
    found = [
        ProcessId(process.pid, process.info["create_time"])
        for process in psutil.process_iter(["cmdline", "create_time"])
        if match(process.info["cmdline"] or ())
    ]
    return sorted((process for process in found if is_alive(process)), key=lambda process: process.created)


def send(processes: Iterable[ProcessId], signal_number: signal.Signals) -> None:
    """Send a signal to those that still run.

    Raises:
        StackSetupError: they belong to another user.
    """
    for process in processes:
        if not is_alive(process):
            continue
        try:
            os.kill(process.pid, signal_number)
        except ProcessLookupError:
            continue
        except PermissionError as error:
            raise StackSetupError(
                f"process {process.pid} belongs to another user; next: run the command as the user who ran `local up`"
            ) from error


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Poll `condition` until it holds; False if it does not within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_INTERVAL_S)
    return True


def wait_gone(processes: Sequence[ProcessId], timeout_s: float) -> bool:
    """Wait until none of `processes` runs; False if one still does after `timeout_s`."""
    return wait_until(lambda: not any(is_alive(process) for process in processes), timeout_s)


def kill(processes: Sequence[ProcessId]) -> None:
    """End `processes` the hard way.

    Raises:
        StackSetupError: one of them does not end even so.
    """
    send(processes, signal.SIGKILL)
    if not wait_gone(processes, KILL_TIMEOUT_S):
        pids = ", ".join(str(process.pid) for process in processes if is_alive(process))
        raise StackSetupError(f"cannot end the processes {pids}, even with SIGKILL; next: look at them with ps")


def run(
    command: Sequence[str],
    *,
    timeout_s: float,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    user: pwd.struct_passwd | None = None,
) -> str:
    """Run a helper program to its end and return its standard output.

    Raises:
        StackSetupError: it cannot be run, fails, or takes longer than `timeout_s`.
    """
    name = Path(command[0]).name
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            timeout=timeout_s,
            cwd=directory,
            env=clean_environment(environment),
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
    except subprocess.CalledProcessError as error:
        detail = (error.stderr or error.stdout).strip() or f"exit code {error.returncode}"
        raise StackSetupError(f"{name} failed: {detail}") from None
    except subprocess.TimeoutExpired:
        raise StackSetupError(
            f"{name} did not end within {timeout_s:.0f} s; next: try again on a less busy machine"
        ) from None
    except (OSError, subprocess.SubprocessError) as error:
        raise _cannot_run(command, error) from error
    return result.stdout


def _cannot_run(command: Sequence[str], error: Exception) -> StackSetupError:
    next_step = "reinstall with pip install 'arc-eval-db[local]'"
    if isinstance(error, PermissionError | subprocess.SubprocessError):
        next_step = "check that this user may run it and, if this user is root, may become another one"
    return StackSetupError(f"cannot run {command[0]}: {error}; next: {next_step}")


def rotate_log(log_file: Path) -> None:
    """Keep the previous run's log as `<name>.1`."""
    with contextlib.suppress(FileNotFoundError):
        log_file.replace(log_file.with_name(log_file.name + ".1"))
