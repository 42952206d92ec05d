"""The parts of `arc-eval-db config` that say which version runs where."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

import click

from arc_eval_db.cli.config import ROW_ID, config, limit_option, read_page, say_more, with_manager
from arc_eval_db.cli.config_output import print_deployments
from arc_eval_db.cli.identity import by_option, this_user
from arc_eval_db.cli.moments import MOMENT, require_span
from arc_eval_db.cli.printable import printable
from arc_eval_db.cli.running import command, json_option, print_json, run_async
from arc_eval_db.configurations import ConfigurationManager, Deployment

F = TypeVar("F", bound=Callable[..., Any])


def place_options(function: F) -> F:
    """The options that say where."""
    for option in (
        click.option("--environment", required=True, help="Such as main, staging or dev."),
        click.option("--deployment", required=True, metavar="ID", help="Modal's id of the deployment, or another's."),
    ):
        function = option(function)
    return function


@config.command()
@click.argument("reference", metavar="REF")
@place_options
@click.option("--replace", is_flag=True, help="The configuration's other versions leave it at the same moment.")
@by_option
@json_option
@command
def deploy(reference: str, deployment: str, environment: str, replace: bool, by: str | None, as_json: bool) -> None:
    """Note that a version is in a deployment from now on."""

    async def work(manager: ConfigurationManager) -> bool:
        return await manager.deploy(
            reference, deployment=deployment, environment=environment, by=by or this_user(), replace=replace
        )

    is_new = run_async(with_manager(work))
    if as_json:
        print_json({"deployed": is_new})
    else:
        place = printable(f"{deployment} ({environment})")
        click.echo(f"{printable(reference)} {'is now' if is_new else 'was already'} in {place}")


@config.command()
@click.argument("reference", metavar="REF")
@place_options
@by_option
@json_option
@command
def undeploy(reference: str, deployment: str, environment: str, by: str | None, as_json: bool) -> None:
    """Note that a version has left a deployment; with NAME alone, all versions of the configuration."""

    async def work(manager: ConfigurationManager) -> tuple[int, ...]:
        return await manager.undeploy(reference, deployment=deployment, environment=environment, by=by or this_user())

    gone = run_async(with_manager(work))
    if as_json:
        print_json({"undeployed": gone})
    else:
        place = printable(f"{deployment} ({environment})")
        click.echo(f"left {place}: {', '.join(map(str, gone))}" if gone else f"nothing of it was in {place}")


@config.command()
@click.option("--deployment", metavar="ID", help="Of this deployment.")
@click.option("--environment", help="In this environment.")
@click.option("--configuration", metavar="NAME", help="Of this configuration.")
@click.option("--at", type=MOMENT, help="What was there then.  [an age such as 2h, 3d, or ISO 8601]")
@click.option("--since", type=MOMENT, help="What was there at any moment from then on.")
@click.option("--until", type=MOMENT, help="What was there at any moment before then.")
@click.option("--current", is_flag=True, help="Only what is there now.")
@click.option("--before", type=ROW_ID, metavar="ID", help="Only ids below this one: the next page.")
@limit_option
@json_option
@command
def deployments(
    deployment: str | None,
    environment: str | None,
    configuration: str | None,
    at: datetime | None,
    since: datetime | None,
    until: datetime | None,
    current: bool,
    before: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """Say which versions were in which deployments, from when until when; the latest first."""
    if at is not None and (since is not None or until is not None):
        raise click.UsageError("--at is a moment, --since and --until are a span: give either")
    require_span(since, until)

    def read(manager: ConfigurationManager, below: int | None, most: int) -> Awaitable[Sequence[Deployment]]:
        return manager.deployments(
            deployment=deployment,
            environment=environment,
            configuration=configuration,
            at=at,
            since=since,
            until=until,
            current=current,
            before_id=below,
            limit=most,
        )

    found, next_before = read_page(read, lambda one: one.id, before, limit)
    if as_json:
        print_json({"deployments": [asdict(one) for one in found], "next_before": next_before})
    else:
        print_deployments(found)
    say_more("--before", next_before)
