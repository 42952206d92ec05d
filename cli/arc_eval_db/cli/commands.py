"""All commands."""

from __future__ import annotations

import importlib
from importlib.metadata import version

import click

_COMMANDS = (
    "alerts",
    "api",
    "bench",
    "canary",
    "compare",
    "config",
    "consume",
    "dashboard",
    "dead-letters",
    "demo",
    "doctor",
    "health",
    "lag",
    "local",
    "migrate",
    "replay",
    "spool",
    "topics",
)
"""Each is declared in the module of its name, under its name."""
_ADDITIONS = {"config": ("config_changes", "config_deployments")}
"""Modules that add to a command."""


class CommandsOnDemand(click.Group):
    """Imports a command when it is asked for: all of them together take longer than most commands run."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(importlib.import_module(f"arc_eval_db.cli.{name}"), name)
        for addition in _ADDITIONS.get(cmd_name, ()):
            importlib.import_module(f"arc_eval_db.cli.{addition}")
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=CommandsOnDemand,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="""
    Settings are environment variables: ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS and ARC_EVAL_DATABASE_URL are the two that
    matter. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done and something is not as it should be, 130 interrupted.
    """,
)
@click.version_option(version("arc-eval-db"), prog_name="arc-eval-db", message="%(prog)s %(version)s")
def cli() -> None:
    """From thousands of short-lived agent runs to rows that people trust.

    \b
    Start here:
      arc-eval-db demo                          see the whole path at work, in about two minutes
      arc-eval-db local up                      start Kafka and PostgreSQL on this machine, without Docker
      eval "$(arc-eval-db local env)"           point this shell at them
      arc-eval-db consume                       write events into the database, until Ctrl-C
      arc-eval-db lag                           see how far behind the consumers are
      arc-eval-db dashboard                     see all of it in a browser
    """
