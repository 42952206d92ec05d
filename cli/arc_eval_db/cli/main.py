"""The entry point: loads the commands, and turns errors into messages and exit codes."""

from __future__ import annotations

import sys

EXIT_FAILED = 1
"""The operation failed; standard error says why and what to do next."""
EXIT_FOUND = 3
"""The operation worked and what it looked at is not as it should be (`doctor`, `health`, `lag --max-lag`,
`migrate verify`, `dead-letters retry`, `compare --fail-if`)."""
EXIT_INTERRUPTED = 130


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
