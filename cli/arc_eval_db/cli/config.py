"""`arc-eval-db config`: versions of agents' configurations, and what runs where."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from arc_eval_db.cli.config_output import (
    configuration_fields,
    print_audit,
    print_configuration,
    print_configurations,
    print_history,
    print_version,
    push_line,
    version_fields,
)
from arc_eval_db.cli.identity import by_option, this_user
from arc_eval_db.cli.printable import printable
from arc_eval_db.cli.running import command, database_settings, json_option, print_json, run_async
from arc_eval_db.configurations import (
    AuditEntry,
    Configuration,
    ConfigurationError,
    ConfigurationManager,
    ConfigurationVersion,
    DocumentError,
    Pushed,
    read_stream,
)
from arc_eval_db.configurations.json_text import JsonReader, require_object
from arc_eval_db.configurations.reader import NUMBER_MAX, ROW_ID_MAX, ROWS_MAX

K = TypeVar("K")
T = TypeVar("T")

ROW_ID = click.IntRange(1, ROW_ID_MAX)

limit_option = click.option(
    "--limit", type=click.IntRange(1, ROWS_MAX), default=100, show_default=True, help="Rows at the most."
)

revision_option = click.option(
    "--expected-revision", type=click.IntRange(1), help="Only if the configuration is still at this revision."
)


@click.group()
def config() -> None:
    """Version configurations by content, label them, compare them, and note what is deployed where.

    A version is named by NAME (its latest), NAME@3, NAME@label, its UUID, or sha256:PREFIX of its hash. Reading needs a
    login with the rights of arc_eval_reader, changing those of arc_eval_admin.
    """


@config.command()
@click.argument("file", metavar="FILE")
@click.option("--name", help='The configuration.  [default: the file\'s top-level "name", as the SDK takes it]')
@click.option("--label", "labels", multiple=True, help="Move this label to the version. May be repeated.")
@click.option("--description", help="What the configuration is for.")
@revision_option
@by_option
@click.option("--dry-run", is_flag=True, help="Do everything, take it back, and say what would happen.")
@json_option
@command
def push(
    file: str,
    name: str | None,
    labels: tuple[str, ...],
    description: str | None,
    expected_revision: int | None,
    by: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make the content of FILE, YAML or JSON, a version; "-" reads standard input.

    A configuration that is not there is created, and the answer says so. The same content is the same version, whoever
    pushes it, and whatever sandbox has sent it.
    """
    content = read_file(file)
    name = name or _name_in(content, file)

    async def work(manager: ConfigurationManager) -> Pushed:
        return await manager.push(
            name,
            content,
            by=by or this_user(),
            description=description,
            labels=labels,
            expected_revision=expected_revision,
            dry_run=dry_run,
        )

    _print_pushed(run_async(with_manager(work)), as_json=as_json, dry_run=dry_run)


@config.command()
@click.argument("name")
@click.argument("file", metavar="[FILE]", required=False)
@click.option("--label", "labels", multiple=True, help="Put this label on the first version. May be repeated.")
@click.option("--description", help="What the configuration is for.")
@by_option
@json_option
@command
def create(
    name: str, file: str | None, labels: tuple[str, ...], description: str | None, by: str | None, as_json: bool
) -> None:
    """Create a configuration, with FILE as its first version; refused where there is one with this name."""
    content = None if file is None else read_file(file)

    async def work(manager: ConfigurationManager) -> Pushed | None:
        return await manager.create(name, content, by=by or this_user(), description=description, labels=labels)

    pushed = run_async(with_manager(work))
    if pushed is not None:
        _print_pushed(pushed, as_json=as_json, dry_run=False)
    elif as_json:
        print_json({"configuration": name, "version": None})
    else:
        click.echo(f"created {printable(name)}, without a version")


@config.command(name="list")
@click.option("--archived", is_flag=True, help="Archived ones too.")
@click.option("--after", metavar="NAME", help="Only names behind this one: the next page.")
@limit_option
@json_option
@command
def list_command(archived: bool, after: str | None, limit: int, as_json: bool) -> None:
    """List configurations by name."""
    _print_found(as_json, limit, after, archived=archived)


@config.command()
@click.argument("text", required=False)
@click.option("--label", help="With this label on a version.")
@click.option("--containing", metavar="JSON", help='With a version that holds this, such as \'{"model": "m1"}\'.')
@click.option("--archived", is_flag=True, help="Archived ones too.")
@click.option("--after", metavar="NAME", help="Only names behind this one: the next page.")
@limit_option
@json_option
@command
def search(
    text: str | None,
    label: str | None,
    containing: str | None,
    archived: bool,
    after: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Find configurations whose name or description holds TEXT, and that meet the other conditions."""
    contained = None
    if containing is not None:
        try:
            contained = require_object(JsonReader(containing, "--containing").read(), "--containing")
        except DocumentError as error:
            raise click.BadParameter(str(error)) from error
    _print_found(as_json, limit, after, text=text, label=label, containing=contained, archived=archived)


@config.command()
@click.argument("reference", metavar="REF")
@json_option
@command
def show(reference: str, as_json: bool) -> None:
    """Show a version and its content."""
    version = run_async(with_manager(lambda manager: manager.get_version(reference)))
    if as_json:
        print_json(version_fields(version))
    else:
        print_version(version)


@config.command()
@click.argument("name")
@json_option
@command
def info(name: str, as_json: bool) -> None:
    """Show a configuration, archived or not: its description, labels, and the revision that changes can ask for."""
    found = run_async(with_manager(lambda manager: manager.get(name)))
    if as_json:
        print_json(configuration_fields(found))
    else:
        print_configuration(found)


@config.command()
@click.argument("name")
@click.option(
    "--before", type=click.IntRange(1, NUMBER_MAX), metavar="NUMBER", help="Only numbers below this one: the next page."
)
@limit_option
@json_option
@command
def history(name: str, before: int | None, limit: int, as_json: bool) -> None:
    """List the versions of a configuration, the newest first."""

    def read(manager: ConfigurationManager, below: int | None, most: int) -> Awaitable[Sequence[ConfigurationVersion]]:
        return manager.history(name, before_number=below, limit=most)

    versions, next_before = read_page(read, lambda version: version.number or 0, before, limit)
    if as_json:
        fields = [version_fields(version) for version in versions]
        print_json({"versions": fields, "next_before": next_before})
    else:
        print_history(versions)
    say_more("--before", next_before)


@config.command()
@click.argument("name", required=False)
@click.option("--before", type=ROW_ID, metavar="ID", help="Only entries before this one: the next page.")
@limit_option
@json_option
@command
def audit(name: str | None, before: int | None, limit: int, as_json: bool) -> None:
    """Show who did what, and when, to a configuration or to all; the latest first."""

    def read(manager: ConfigurationManager, below: int | None, most: int) -> Awaitable[Sequence[AuditEntry]]:
        return manager.audit(name, before_id=below, limit=most)

    entries, next_before = read_page(read, lambda entry: entry.id, before, limit)
    if as_json:
        print_json({"entries": [asdict(entry) for entry in entries], "next_before": next_before})
    else:
        print_audit(entries)
    say_more("--before", next_before)


def read_file(file: str) -> dict[str, Any]:
    """The object in a YAML or JSON file; "-" is standard input."""
    if file == "-":
        return read_stream(sys.stdin.buffer, "<stdin>")
    try:
        with Path(file).open("rb") as stream:
            return read_stream(stream, file)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigurationError(f'{file}: {why}; name a YAML or JSON file, or "-" for standard input') from error


def read_page(
    read: Callable[[ConfigurationManager, K | None, int], Awaitable[Sequence[T]]],
    key: Callable[[T], K],
    start: K | None,
    limit: int,
) -> tuple[Sequence[T], K | None]:
    """Rows from `start` on, and where the next page starts; None: there is none."""

    async def work(manager: ConfigurationManager) -> tuple[Sequence[T], K | None]:
        found = await read(manager, start, limit)
        if len(found) < limit:
            return found, None
        last = key(found[-1])
        return found, last if await read(manager, last, 1) else None

    return run_async(with_manager(work))


def say_more(option: str, start: object) -> None:
    """Tell people that there are more rows, where programs read `next_before` or `next_after`."""
    if start is not None:
        click.echo(f"there are more: {option} {printable(str(start))} shows the next page, --limit more rows", err=True)


async def with_manager(work: Callable[[ConfigurationManager], Coroutine[Any, Any, T]]) -> T:
    """What `work` returns, with a manager of one connection."""
    settings = database_settings(database_pool_size_min=1, database_pool_size_max=1)
    async with ConfigurationManager(settings, application_name="arc-eval-db config", is_quiet=True) as manager:
        return await work(manager)


def _name_in(content: dict[str, Any], file: str) -> str:
    name = content.get("name")
    if not isinstance(name, str):
        raise ConfigurationError(f'{file} has no text under "name"; say which configuration it is: --name NAME')
    return name


def _print_pushed(pushed: Pushed, *, as_json: bool, dry_run: bool) -> None:
    if not as_json:
        click.echo(push_line(pushed, dry_run=dry_run))
        return
    print_json(
        {
            "revision": pushed.revision,
            "is_new": pushed.is_new,
            "created_configuration": pushed.created_configuration,
            "dry_run": dry_run,
            "version": version_fields(pushed.version),
        }
    )


def _print_found(as_json: bool, limit: int, after: str | None, **conditions: Any) -> None:
    def read(manager: ConfigurationManager, start: str | None, most: int) -> Awaitable[Sequence[Configuration]]:
        return manager.search(**conditions, after=start, limit=most)

    found, next_after = read_page(read, lambda one: one.name, after, limit)
    if as_json:
        print_json({"configurations": [configuration_fields(one) for one in found], "next_after": next_after})
    else:
        print_configurations(found)
    say_more("--after", next_after)
