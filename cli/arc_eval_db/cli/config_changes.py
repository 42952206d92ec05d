"""The parts of `arc-eval-db config` that label, compare, archive, and set schemas."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any, Literal

import click

from arc_eval_db.cli.config import config, read_file, revision_option, with_manager
from arc_eval_db.cli.config_output import print_changes, print_text_diff
from arc_eval_db.cli.identity import by_option, this_user
from arc_eval_db.cli.main import EXIT_FOUND
from arc_eval_db.cli.printable import printable, printable_json
from arc_eval_db.cli.running import command, json_option, print_json, run_async
from arc_eval_db.configurations import (
    ConfigurationError,
    ConfigurationManager,
    Content,
    VersionNotFoundError,
    differences,
    json_patch,
    text_diff,
)
from arc_eval_db.configurations.differences import pretty

_FILES = (".yaml", ".yml", ".json")


@config.command()
@click.argument("reference", metavar="REF")
@click.argument("label")
@revision_option
@by_option
@json_option
@command
def label(reference: str, label: str, expected_revision: int | None, by: str | None, as_json: bool) -> None:
    """Move LABEL to a version, from wherever it is."""

    async def work(manager: ConfigurationManager) -> Any:
        return await manager.label(reference, label, by=by or this_user(), expected_revision=expected_revision)

    move = run_async(with_manager(work))
    if as_json:
        print_json(asdict(move))
    else:
        was = f", was on {move.previous_number}" if move.previous_number not in (None, move.number) else ""
        click.echo(f"{printable(move.configuration)}@{move.label} is {move.number}{was}")


@config.command()
@click.argument("name")
@click.argument("label")
@revision_option
@by_option
@json_option
@command
def unlabel(name: str, label: str, expected_revision: int | None, by: str | None, as_json: bool) -> None:
    """Take LABEL away from a configuration."""

    async def work(manager: ConfigurationManager) -> Any:
        return await manager.unlabel(name, label, by=by or this_user(), expected_revision=expected_revision)

    move = run_async(with_manager(work))
    if as_json:
        print_json(asdict(move))
    else:
        was = "was not there" if move.previous_number is None else f"was on {move.previous_number}"
        click.echo(f"{printable(name)} has no label {move.label}; it {was}")


@config.command()
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@click.option(
    "--format",
    "form",
    type=click.Choice(["paths", "text", "patch"]),
    default="paths",
    show_default=True,
    help="By path, as a unified diff of sorted JSON, or as JSON Patch (RFC 6902).",
)
@click.option("--exit-code", is_flag=True, help="Exit with 3 where they differ.")
@json_option
@command
def diff(before: str, after: str, form: Literal["paths", "text", "patch"], exit_code: bool, as_json: bool) -> None:
    """Compare two versions, or a version and a file.

    What ends in .yaml, .yml or .json is a file, and "-" is standard input. The order of keys and the way in which a
    number is written are no difference; the order of a list is one.
    """
    sides = (before, after)
    files = {side: Content.of(read_file(side)).value for side in sides if _is_file(side)}

    async def work(manager: ConfigurationManager) -> dict[str, Any]:
        return {side: await _content(manager, side) for side in sides if side not in files}

    try:
        contents: dict[str, Any] = files | (run_async(with_manager(work)) if len(files) < len(set(sides)) else {})
    except ConfigurationError as error:
        known = ", ".join(_FILES)
        for side in sides:
            if side not in files and Path(side).is_file():
                raise ConfigurationError(
                    f'{error}; {side} is a file, but those are known by {known}: give it as "-", on standard input'
                ) from error
        raise
    changes = differences(contents[before], contents[after])
    if form == "patch":
        print_json(json_patch(contents[before], contents[after]))
    elif form == "text":
        lines = text_diff(contents[before], contents[after], names=sides)
        print_json({"diff": lines}) if as_json else print_text_diff(lines)
    elif as_json:
        print_json({"changes": [{**asdict(change), "place": change.place} for change in changes]})
    else:
        print_changes(changes)
    if not changes and not as_json and form != "patch":
        click.echo("no difference")
    if changes and exit_code:
        raise SystemExit(EXIT_FOUND)


def _is_file(side: str) -> bool:
    return side == "-" or PurePath(side).suffix.lower() in _FILES


async def _content(manager: ConfigurationManager, reference: str) -> Any:
    version = await manager.get_version(reference)
    if version.content is None:
        raise VersionNotFoundError(f"the content of {version.reference} is not known: push it, and compare then")
    return version.content


@config.group()
def schema() -> None:
    """The JSON Schema (Draft 2020-12) that what people push must fit. What sandboxes send is never refused for it."""


@schema.command(name="set")
@click.argument("name")
@click.argument("file", metavar="FILE")
@revision_option
@by_option
@json_option
@command
def schema_set(name: str, file: str, expected_revision: int | None, by: str | None, as_json: bool) -> None:
    """Enforce the schema in FILE, YAML or JSON, from now on. Versions that are there stay."""
    document = read_file(file)
    _set_schema(name, document, expected_revision, by)
    print_json({"configuration": name, "schema": document}) if as_json else click.echo(
        f"{printable(name)} has a schema"
    )


@schema.command(name="clear")
@click.argument("name")
@revision_option
@by_option
@json_option
@command
def schema_clear(name: str, expected_revision: int | None, by: str | None, as_json: bool) -> None:
    """Let any content be pushed."""
    _set_schema(name, None, expected_revision, by)
    print_json({"configuration": name, "schema": None}) if as_json else click.echo(f"{printable(name)} has no schema")


@schema.command(name="show")
@click.argument("name")
@json_option
@command
def schema_show(name: str, as_json: bool) -> None:
    """Print the schema of a configuration."""
    document = run_async(with_manager(lambda manager: manager.get_content_schema(name)))
    if as_json:
        print_json({"configuration": name, "schema": document})
    elif document is None:
        click.echo(f"{printable(name)} has no schema; any content fits")
    else:
        click.echo(printable_json(pretty(document)))


def _set_schema(name: str, document: dict[str, Any] | None, expected_revision: int | None, by: str | None) -> None:
    async def work(manager: ConfigurationManager) -> None:
        await manager.set_content_schema(name, document, by=by or this_user(), expected_revision=expected_revision)

    run_async(with_manager(work))


@config.command()
@click.argument("name")
@click.argument("text")
@revision_option
@by_option
@json_option
@command
def describe(name: str, text: str, expected_revision: int | None, by: str | None, as_json: bool) -> None:
    """Say what a configuration is for, in place of what was said before."""

    async def work(manager: ConfigurationManager) -> None:
        await manager.update(name, by=by or this_user(), description=text, expected_revision=expected_revision)

    run_async(with_manager(work))
    print_json({"configuration": name, "description": text}) if as_json else click.echo(
        f"{printable(name)} is described"
    )


@config.command()
@click.argument("name")
@revision_option
@by_option
@json_option
@command
def archive(name: str, expected_revision: int | None, by: str | None, as_json: bool) -> None:
    """Take a configuration out of lists, and let nobody push to it. Sandboxes may go on to use it."""

    async def work(manager: ConfigurationManager) -> None:
        await manager.archive(name, by=by or this_user(), expected_revision=expected_revision)

    run_async(with_manager(work))
    print_json({"configuration": name, "archived": True}) if as_json else click.echo(f"{printable(name)} is archived")


@config.command()
@click.argument("name")
@revision_option
@by_option
@json_option
@command
def unarchive(name: str, expected_revision: int | None, by: str | None, as_json: bool) -> None:
    """Take back that a configuration was archived."""

    async def work(manager: ConfigurationManager) -> None:
        await manager.unarchive(name, by=by or this_user(), expected_revision=expected_revision)

    run_async(with_manager(work))
    print_json({"configuration": name, "archived": False}) if as_json else click.echo(
        f"{printable(name)} is not archived"
    )
