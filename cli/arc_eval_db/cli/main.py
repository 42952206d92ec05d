"""The entry point: loads the commands, and turns errors into messages and exit codes."""

from __future__ import annotations

import errno
import os
import sys

EXIT_FAILED = 1
"""The operation failed; standard error says why and what to do next."""
EXIT_FOUND = 3
"""The operation worked and what it looked at is not as it should be (`doctor`, `health`, `lag --max-lag`,
`migrate verify`, `dead-letters retry`, `compare --fail-if`)."""
EXIT_INTERRUPTED = 130

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run() -> None:
    """Run the command line and exit."""
    try:
        import click  # noqa: F401, PLC0415 - the base install is the SDK alone
    except ImportError:
        sys.exit(
            "arc-eval-db: the command line needs more packages; install them with: pip install 'arc-eval-db[consumers]'"
        )
    try:
        from arc_eval_db.cli.commands import cli  # noqa: PLC0415 - only after the check above

        cli(prog_name="arc-eval-db")
    except KeyboardInterrupt:  # before a command has begun; commands end in their own way
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        # What is left in the buffer would fail once more, at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        where = f" ({error.filename})" if error.filename else ""
        sys.exit(f"arc-eval-db: the output is not complete: {error.strerror}{where}; free room, or write elsewhere")
