"""`arc-eval-db local`: real servers on this machine, without Docker."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from arc_eval_db.cli.main import EXIT_FOUND
from arc_eval_db.cli.running import (
    command,
    end_like_ctrl_c,
    json_option,
    print_json,
    print_table,
    progress,
    run_async,
    shell_exports,
)
from arc_eval_db.consumers.kafka import TopicsAdmin
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Migrator
from arc_eval_db.schemas.topics import DEFAULT_PARTITIONS
from arc_eval_db.settings import KafkaSettings

if TYPE_CHECKING:
    from arc_eval_db.local import LocalStack, StackStatus

directory_option = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the stack keeps everything.  [default: ARC_EVAL_LOCAL_DIR, or .arc-eval-db]",
)


@click.group()
def local() -> None:
    """Kafka and PostgreSQL on this machine, without Docker.

    Real servers as background processes, listening on this machine only. Everything they keep is in one directory;
    delete it (after `local down`) to start anew.
    """


@local.command()
@directory_option
@json_option
@command
def up(directory: Path | None, as_json: bool) -> None:
    """Start both servers, make the topics, and migrate the database. Doing it twice is fine."""
    end_like_ctrl_c()
    stack = stack_in(directory)
    status = start_stack(stack)
    if as_json:
        print_json(status_fields(status))
        return
    print_status(status)
    suffix = f" --directory {directory}" if directory else ""
    click.echo(f'\nnext: eval "$(arc-eval-db local env{suffix})"   and stop with: arc-eval-db local down{suffix}')


@local.command()
@directory_option
@command
def down(directory: Path | None) -> None:
    """Stop both servers. What they keep stays."""
    click.echo("stopped" if stack_in(directory).down() else "nothing was running")


@local.command()
@directory_option
@json_option
@command
def status(directory: Path | None, as_json: bool) -> None:
    """Show both servers. Exit code 3 when one is not running."""
    current = stack_in(directory).status()
    if as_json:
        print_json(status_fields(current))
    else:
        print_status(current)
    if not current.running:
        raise SystemExit(EXIT_FOUND)


@local.command()
@directory_option
@json_option
@command
def env(directory: Path | None, as_json: bool) -> None:
    """Print the variables that point everything else at the stack: eval "$(arc-eval-db local env)"."""
    environment = stack_in(directory).environment()
    if as_json:
        print_json(environment)
    else:
        click.echo(shell_exports(environment))


@local.command(context_settings={"ignore_unknown_options": True})
@directory_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@command
def psql(directory: Path | None, arguments: tuple[str, ...]) -> None:
    """Open PostgreSQL's own client on the stack's database; it comes with the server.

    What follows is passed on: arc-eval-db local psql -c "SELECT count(*) FROM outcomes"
    """
    program, environment = stack_in(directory).psql_command()
    os.execve(program, [str(program), *arguments], {**os.environ, **environment})  # noqa: S606 - no shell is wanted


@local.command()
@command
def fetch() -> None:
    """Fetch what the stack needs, so that everything else works without a network. `make install` does it."""
    from arc_eval_db.local import StackOptions, fetch_programs  # noqa: PLC0415 - needs the extra

    fetch_programs(StackOptions.from_environment(os.environ), click.echo)


def stack_in(directory: Path | None) -> LocalStack:
    """The stack in a directory, by default the one that the environment names.

    Raises:
        MissingExtraError: the extra `local` is not installed; workers in production do without it.
    """
    from arc_eval_db.local import LocalStack, StackOptions, default_directory  # noqa: PLC0415 - needs the extra

    return LocalStack(directory or default_directory(os.environ), StackOptions.from_environment(os.environ))


def start_stack(stack: LocalStack) -> StackStatus:
    """Servers, topics and schema: everything that a first event needs."""
    status = stack.up(progress)
    run_async(_prepare(stack.environment()))
    return status


async def _prepare(environment: dict[str, str]) -> None:
    database = DatabaseSettings.load(database_url=environment["ARC_EVAL_DATABASE_URL"])
    kafka = KafkaSettings.from_environment({**os.environ, **environment})
    await asyncio.gather(_create_topics(kafka), _migrate(database))


async def _create_topics(kafka: KafkaSettings) -> None:
    async with TopicsAdmin(kafka) as admin:
        for name in await admin.create(partitions=DEFAULT_PARTITIONS):
            progress(f"created topic {name}")


async def _migrate(database: DatabaseSettings) -> None:
    async with await Session.connect(database, application_name="arc-eval-db local") as session:
        await Migrator(session, report=progress).up()


def print_status(status: StackStatus) -> None:
    """A line for each server."""
    rows = [
        (
            server.name,
            server.state,
            server.version,
            f"127.0.0.1:{server.port}" if server.port else None,
            server.pid,
            server.log_file,
        )
        for server in (status.kafka, status.postgres)
    ]
    print_table(None, ("server", "state", "version", "address", "pid", "log"), rows)
    if status.edition is not None:
        click.echo(f"edition: {status.edition}")


def status_fields(status: StackStatus) -> dict[str, Any]:
    """The status for programs."""
    return {
        "directory": str(status.directory),
        "running": status.running,
        "edition": status.edition,
        "servers": [
            {
                "name": server.name,
                "state": server.state,
                "version": server.version,
                "port": server.port,
                "pid": server.pid,
                "log_file": str(server.log_file),
            }
            for server in (status.kafka, status.postgres)
        ],
    }
