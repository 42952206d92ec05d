"""`arc-eval-db api`: the admin API, and who may use it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any, TypeVar

import click

from arc_eval_db.cli.identity import by_option, this_user
from arc_eval_db.cli.printable import printable
from arc_eval_db.cli.running import command, database_settings, json_option, print_json, print_table, run_async
from arc_eval_db.dashboards.api.database import ApiDatabase
from arc_eval_db.dashboards.api.settings import DEFAULT_HOST, DEFAULT_PORT, ApiSettings
from arc_eval_db.dashboards.api.tokens import (
    ApiToken,
    Scope,
    create_token,
    list_tokens,
    require_tokens_table,
    revoke_token,
)
from arc_eval_db.database import Session
from arc_eval_db.errors import FatalError

T = TypeVar("T")

_DAYS_MAX = 3650


class DashboardsMissingError(FatalError):
    """This needs fastapi, uvicorn and nicegui; install them with: pip install 'arc-eval-db[dashboards]'"""


class _LifetimeType(click.ParamType[timedelta]):
    name = "AGE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        match = re.fullmatch(r"(\d{1,4}) *(d|days?|w|weeks?)", str(value).strip().lower())
        days = int(match[1]) * (7 if match[2].startswith("w") else 1) if match else 0
        if not 0 < days <= _DAYS_MAX:
            self.fail(
                f"{value!r} is no lifetime: days or weeks such as 90d or 12w, at most {_DAYS_MAX} days", param, ctx
            )
        return timedelta(days=days)


@click.group()
def api() -> None:
    """Serve configurations over HTTP, and decide who may use that.

    Both need a login with the rights of arc_eval_admin.
    """


@api.command()
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="Anything but loopback needs a token first.")
@click.option("--port", type=click.IntRange(0, 65_535), default=DEFAULT_PORT, show_default=True, help="0: any.")
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    help="A name that requests may be for, as behind a proxy; needs a token too. May be repeated.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    envvar="ARC_EVAL_LOG_LEVEL",
    show_envvar=True,
    default="info",
    show_default=True,
)
@command
def serve(host: str, port: int, allowed_hosts: tuple[str, ...], log_level: str) -> None:
    """Serve the admin API until Ctrl-C or SIGTERM; requests at work have ten seconds to end.

    On loopback anybody on this machine may use it as long as the database has no token; from the first one on, and
    elsewhere always, every request needs one. It speaks HTTP: for other machines put a proxy with TLS before it.
    """
    if any(importlib.util.find_spec(name) is None for name in ("fastapi", "uvicorn")):
        raise DashboardsMissingError
    from arc_eval_db.consumers.logs import configure_logging  # noqa: PLC0415 - with what only this command needs
    from arc_eval_db.dashboards.api.server import OPEN_TO_ANYBODY  # noqa: PLC0415 - needs the extra
    from arc_eval_db.dashboards.api.server import serve as serve_api  # noqa: PLC0415 - needs the extra

    configure_logging(log_level)
    settings = ApiSettings(host=host, port=port, allowed_hosts=frozenset(allowed_hosts))
    database = ApiDatabase(database_settings())

    def tell(url: str, is_open: bool) -> None:
        click.echo(f"listening on {url}", err=True)
        if is_open:
            click.echo(f"warning: {OPEN_TO_ANYBODY}", err=True)

    run_async(serve_api(settings, database, on_listening=tell))


@api.group()
def token() -> None:
    """Make, list and revoke the tokens that let somebody in."""


@token.command()
@click.option("--name", required=True, help="Whose it is, for the audit trail.")
@click.option(
    "--scope", type=click.Choice([scope.value for scope in Scope]), required=True, help="admin: also to change."
)
@click.option("--expires", type=_LifetimeType(), help="A lifetime such as 90d.  [default: 90d]")
@click.option("--never-expires", is_flag=True, help="It is good until it is revoked.")
@by_option
@json_option
@command
def create(
    name: str, scope: str, expires: timedelta | None, never_expires: bool, by: str | None, as_json: bool
) -> None:
    """Make a token and show it, this once; only its hash is kept."""
    if expires is not None and never_expires:
        raise click.UsageError("--expires and --never-expires contradict each other")
    lifetime = None if never_expires else expires or timedelta(days=90)
    made, text = _with_session(
        lambda session: create_token(session, name=name, scope=Scope(scope), by=by or this_user(), lifetime=lifetime)
    )
    if as_json:
        print_json({"token": text, **_fields(made)})
        return
    click.echo(text)
    until = f"until {made.expires_at:%Y-%m-%d %H:%M}Z" if made.expires_at else "until it is revoked"
    click.echo(f"good {until}; it is not shown again; to end it: arc-eval-db api token revoke {made.id}", err=True)


@token.command(name="list")
@json_option
@command
def list_command(as_json: bool) -> None:
    """List tokens, without their secrets; the latest first."""
    found = _with_session(list_tokens)
    if as_json:
        print_json({"tokens": [_fields(one) for one in found]})
    elif not found:
        click.echo("no tokens; make one: arc-eval-db api token create --scope read --name NAME")
    else:
        rows = [
            (
                one.id,
                printable(one.name),
                one.scope.value,
                one.state(),
                f"{one.created_at:%Y-%m-%d}",
                printable(one.created_by),
                f"{one.expires_at:%Y-%m-%d}" if one.expires_at else "never",
                f"{one.last_used_at:%Y-%m-%d %H}h" if one.last_used_at else "never",
            )
            for one in found
        ]
        print_table(None, ("id", "name", "scope", "", "made", "by", "expires", "last used"), rows)


@token.command()
@click.argument("token_id", metavar="ID")
@by_option
@json_option
@command
def revoke(token_id: str, by: str | None, as_json: bool) -> None:
    """Revoke a token, from the next request on; ID is what `list` shows."""
    revoked = _with_session(lambda session: revoke_token(session, token_id, by=by or this_user()))
    if as_json:
        print_json(_fields(revoked))
    else:
        click.echo(f"revoked {revoked.id} ({printable(revoked.name)})")


def _with_session(work: Callable[[Session], Awaitable[T]]) -> T:
    async def run() -> T:
        async with await Session.connect(database_settings(), application_name="arc-eval-db api token") as session:
            await require_tokens_table(session)
            return await work(session)

    return run_async(run())


def _fields(one: ApiToken) -> dict[str, Any]:
    return {**asdict(one), "state": one.state()}
