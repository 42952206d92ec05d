"""`arc-eval-db dashboard`: pages over the pipeline, its database and what agents did."""

from __future__ import annotations

import importlib.util

import click

from arc_eval_db.cli.api import DashboardsMissingError
from arc_eval_db.cli.running import command, database_settings, json_option, kafka_settings, print_json_line, run_async
from arc_eval_db.consumers.settings import ConsumerSettings


@click.command()
@click.option(
    "--host", help="Anything but loopback needs a token first.  [default: ARC_EVAL_DASHBOARD_HOST, or 127.0.0.1]"
)
@click.option("--port", type=click.IntRange(0, 65_535), help="0: any.  [default: ARC_EVAL_DASHBOARD_PORT, or 8330]")
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    help="A name that requests may be for, as behind a proxy; needs a token too. May be repeated.",
)
@click.option("--group", help="Consumer group.  [default: ARC_EVAL_CONSUMER_GROUP, or arc-eval-db]")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    envvar="ARC_EVAL_LOG_LEVEL",
    show_envvar=True,
    default="info",
    show_default=True,
)
@json_option
@command
def dashboard(
    host: str | None,
    port: int | None,
    allowed_hosts: tuple[str, ...],
    group: str | None,
    log_level: str,
    as_json: bool,
) -> None:
    """Serve the web dashboard until Ctrl-C or SIGTERM, with the admin API under /v1.

    On loopback anybody on this machine may use it as long as the database has no token; from the first one on, and
    elsewhere always, one logs in with a token of the API. It speaks HTTP: for other machines put a proxy with TLS
    before it. The database's login needs the rights of arc_eval_reader to look, and those of arc_eval_admin to change.
    """
    if any(importlib.util.find_spec(name) is None for name in ("fastapi", "uvicorn", "nicegui")):
        raise DashboardsMissingError
    from arc_eval_db.consumers.logs import configure_logging  # noqa: PLC0415 - with what only this command needs
    from arc_eval_db.dashboards.web.server import serve  # noqa: PLC0415 - needs the extra
    from arc_eval_db.dashboards.web.settings import DashboardSettings  # noqa: PLC0415 - with it

    configure_logging(log_level)
    names = frozenset(allowed_hosts) or None
    settings = DashboardSettings.load(host=host, port=port, allowed_hosts=names)
    consumers = ConsumerSettings.load(group=group)

    def say(url: str) -> None:
        if as_json:
            print_json_line({"url": url, "group": consumers.group})
        else:
            click.echo(f"listening on {url}", err=True)

    run_async(serve(settings, kafka_settings(), database_settings(), consumers.group, on_listening=say))
