"""All commands."""

from __future__ import annotations

import importlib
from importlib.metadata import version

import click

_MODULES = {
    "alerts": ("alerts",),
    "api": ("api",),
    "bench": ("bench",),
    "canary": ("canary",),
    "compare": ("compare",),
    "config": ("config", "config_changes", "config_deployments"),
    "consume": ("consume",),
    "dashboard": ("dashboard",),
    "dead-letters": ("dead_letters",),
    "demo": ("demo",),
    "doctor": ("doctor",),
    "health": ("health",),
    "lag": ("lag",),
    "local": ("local",),
    "migrate": ("migrate",),
    "replay": ("replay",),
    "spool": ("spool",),
    "topics": ("topics",),
}
"""By command: the module that declares it, under its name, and those that add to it."""


class CommandsOnDemand(click.Group):
    """Imports a command when it is asked for: all of them together take longer than most commands run."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        modules = [importlib.import_module(f"arc_eval_db.cli.{name}") for name in _MODULES[cmd_name]]
        command = getattr(modules[0], cmd_name.replace("-", "_"))
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
