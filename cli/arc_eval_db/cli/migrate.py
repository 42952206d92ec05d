"""`arc-eval-db migrate`: the database's schema."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from arc_eval_db.cli.main import EXIT_FOUND
from arc_eval_db.cli.policies import AGE, Age, Change, change_or_list, in_days, in_words
from arc_eval_db.cli.running import command, database_settings, json_option, print_json, print_table, run_async
from arc_eval_db.database import Session
from arc_eval_db.migrations import Edition, Migration, Migrator, schema_difference

T = TypeVar("T")

# An index on a large table takes as long as it takes; the lock time-out still keeps writers from queueing behind it.
_STEP_TIMEOUT_S = 6 * 3600

edition_option = click.option(
    "--edition",
    type=click.Choice([edition.value for edition in Edition]),
    help="Which scripts to apply.  [default: those applied before, or TimescaleDB where the server has it]",
)


@click.group()
def migrate() -> None:
    """Bring the database's schema to this release's, and see where it stands.

    The database is ARC_EVAL_DATABASE_URL. Each migration is one transaction; several `migrate` at once take turns.
    """


@migrate.command()
@click.option("--to", "target", type=click.IntRange(min=1), help="Stop after this version.  [default: the newest]")
@edition_option
@json_option
@command
def up(target: int | None, edition: str | None, as_json: bool) -> None:
    """Apply the migrations that are missing."""

    async def work(migrator: Migrator) -> list[Migration]:
        return await migrator.up(target)

    _print_steps("applied", _with_migrator(work, edition, quiet=as_json), as_json=as_json)


@migrate.command()
@click.option(
    "--to", "target", type=click.IntRange(min=0), required=True, help="Undo everything after this version; 0: all."
)
@click.option("--yes", is_flag=True, help="Do not ask. Undoing drops tables with their rows.")
@json_option
@command
def down(target: int, yes: bool, as_json: bool) -> None:
    """Undo migrations, newest first."""
    if not yes:
        click.confirm("This drops tables with their rows. Go on?", abort=True)

    async def work(migrator: Migrator) -> list[Migration]:
        return await migrator.down(target)

    _print_steps("undone", _with_migrator(work, None, quiet=as_json), as_json=as_json)


@migrate.command()
@json_option
@command
def status(as_json: bool) -> None:
    """List the migrations. Exit code 3 when one is missing or has changed."""

    async def work(migrator: Migrator) -> tuple[Edition, list[dict[str, object]]]:
        rows: list[dict[str, object]] = [
            {
                "version": state.version,
                "name": state.name,
                "state": "unknown to this release"
                if state.unknown
                else "changed after it was applied"
                if state.drifted
                else "applied"
                if state.applied_at
                else "missing",
                "applied_at": state.applied_at,
            }
            for state in await migrator.status()
        ]
        return await migrator.edition(), rows

    edition, rows = _with_migrator(work, None, quiet=True)
    if as_json:
        print_json({"edition": edition.value, "migrations": rows})
    else:
        print_table(
            f"edition: {edition}", ("version", "name", "state", "applied at"), [tuple(row.values()) for row in rows]
        )
    if any(row["state"] in ("missing", "changed after it was applied") for row in rows):
        raise SystemExit(EXIT_FOUND)


@migrate.command()
@json_option
@command
def verify(as_json: bool) -> None:
    """Compare the database's schema with this release's. Exit code 3 when they differ."""

    async def work(session: Session) -> list[str]:
        return await schema_difference(session, await Migrator(session).edition())

    difference = run_async(_with_session(work))
    if as_json:
        print_json({"same": not difference, "difference": difference})
    elif difference:
        click.echo("\n".join(difference))
    else:
        click.echo("the schema is this release's")
    if difference:
        raise SystemExit(EXIT_FOUND)


@migrate.command()
@click.option("--yes", is_flag=True, help="Do not ask. The tables of events are locked until it is done.")
@json_option
@command
def convert(yes: bool, as_json: bool) -> None:
    """Turn plain tables into hypertables, where the server has TimescaleDB by now.

    All rows are kept: a table with rows older than its policy keeps them until `migrate policies` says otherwise.
    Workers wait, or are stopped first; it takes as long as to write all rows again, and as much disk.
    """
    if not yes:
        click.confirm("This rewrites the tables of events and locks them meanwhile. Go on?", abort=True)

    async def work(migrator: Migrator) -> list[Migration]:
        return await migrator.convert()

    _print_steps("converted", _with_migrator(work, None, quiet=as_json), as_json=as_json)


@migrate.command()
@click.argument("relation", required=False)
@click.option("--compress-after", type=AGE, help="Compress chunks that are older, such as 7d; or never.")
@click.option("--drop-after", type=AGE, help="Drop chunks that are older, such as 90d; or never.")
@click.option("--yes", is_flag=True, help="Do not ask. A shorter life drops rows.")
@json_option
@command
def policies(
    relation: str | None, compress_after: Age | None, drop_after: Age | None, yes: bool, as_json: bool
) -> None:
    """List how long rows stay and when they are compressed, or change it for RELATION.

    \b
    arc-eval-db migrate policies
    arc-eval-db migrate policies tool_usage --drop-after 180d
    """
    if relation is None and (compress_after or drop_after):
        raise click.UsageError("name the table: arc-eval-db migrate policies TABLE --drop-after 90d")
    change = Change(relation, compress_after, drop_after, confirmed=yes) if compress_after or drop_after else None
    edition, found = run_async(_with_session(lambda session: change_or_list(session, relation, change)))
    if as_json:
        print_json({"edition": edition.value, "policies": [in_days(policy) for policy in found]})
        return
    print_table(
        f"edition: {edition}",
        ("table", "compressed after", "dropped after"),
        [(policy.relation, in_words(policy.compress_after), in_words(policy.drop_after)) for policy in found],
    )
    if edition is Edition.POSTGRESQL:
        click.echo("only recorded: without TimescaleDB nothing is compressed or dropped", err=True)


async def _with_session(work: Callable[[Session], Awaitable[T]]) -> T:
    settings = database_settings(database_command_timeout_s=_STEP_TIMEOUT_S, database_statement_timeout_ms=0)
    async with await Session.connect(settings, application_name="arc-eval-db migrate") as session:
        return await work(session)


def _with_migrator(work: Callable[[Migrator], Awaitable[T]], edition: str | None, *, quiet: bool) -> T:
    async def with_session(session: Session) -> T:
        report = None if quiet else lambda message: click.echo(message, err=True)
        return await work(Migrator(session, edition=Edition(edition) if edition else None, report=report))

    return run_async(_with_session(with_session))


def _print_steps(what: str, migrations: list[Migration], *, as_json: bool) -> None:
    if as_json:
        print_json({what: [migration.label for migration in migrations]})
    elif migrations:
        click.echo(f"{what}: {', '.join(migration.label for migration in migrations)}")
    else:
        click.echo("nothing to do")
