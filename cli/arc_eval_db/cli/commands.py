"""All commands."""

from __future__ import annotations

from importlib.metadata import version

import click

from arc_eval_db.cli import config_changes, config_deployments  # noqa: F401 - adds commands to `config`
from arc_eval_db.cli.alerts import alerts
from arc_eval_db.cli.api import api
from arc_eval_db.cli.bench import bench
from arc_eval_db.cli.canary import canary
from arc_eval_db.cli.compare import compare
from arc_eval_db.cli.config import config
from arc_eval_db.cli.consume import consume
from arc_eval_db.cli.dashboard import dashboard
from arc_eval_db.cli.dead_letters import dead_letters
from arc_eval_db.cli.demo import demo
from arc_eval_db.cli.doctor import doctor
from arc_eval_db.cli.health import health
from arc_eval_db.cli.lag import lag
from arc_eval_db.cli.local import local
from arc_eval_db.cli.migrate import migrate
from arc_eval_db.cli.replay import replay
from arc_eval_db.cli.spool import spool
from arc_eval_db.cli.topics import topics


@click.group(
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


for command in (
    demo,
    local,
    migrate,
    topics,
    consume,
    replay,
    lag,
    health,
    alerts,
    canary,
    dead_letters,
    dashboard,
    config,
    compare,
    api,
    spool,
    doctor,
    bench,
):
    cli.add_command(command)
