"""The parts of `arc-eval-db config` that print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click
import orjson
from rich.text import Text

from arc_eval_db.cli.printable import printable
from arc_eval_db.cli.running import console, print_table
from arc_eval_db.configurations import (
    AuditEntry,
    Change,
    ChangeKind,
    Configuration,
    ConfigurationVersion,
    Deployment,
    Pushed,
)
from arc_eval_db.configurations.differences import pretty

_SIGNS = {ChangeKind.ADDED: ("+", "green"), ChangeKind.REMOVED: ("-", "red"), ChangeKind.CHANGED: ("~", "yellow")}
_VALUE_CHARACTERS_MAX = 200


def configuration_fields(configuration: Configuration) -> dict[str, Any]:
    """A configuration for programs."""
    return asdict(configuration)


def version_fields(version: ConfigurationVersion) -> dict[str, Any]:
    """A version for programs; without a content where that was not asked for."""
    fields = {**asdict(version), "reference": version.reference}
    if version.content is None:
        del fields["content"]
    return fields


def push_line(pushed: Pushed, *, dry_run: bool) -> str:
    """What became of a push, in one line."""
    version = pushed.version
    labels = f", labelled {', '.join(version.labels)}" if version.labels else ""
    what = "new" if pushed.is_new else "there already"
    what += ", the first of a new configuration" if pushed.created_configuration else ""
    dry = "; this was a dry run: nothing was changed" if dry_run else ""
    return f"{printable(version.reference)}  {version.id}  {what}{labels}{dry}"


def print_configurations(found: Sequence[Configuration]) -> None:
    """Configurations, one a line."""
    if not found:
        click.echo("no configurations")
        return
    rows = [
        (
            printable(one.name),
            one.latest_number,
            _labels(one),
            one.revision,
            "yes" if one.has_content_schema else "",
            _time(one.updated_at),
            ("archived; " if one.archived_at else "") + printable(one.description or ""),
        )
        for one in found
    ]
    print_table(None, ("name", "latest", "labels", "revision", "schema", "changed", "description"), rows)


def print_configuration(one: Configuration) -> None:
    """Everything about a configuration."""
    _print_fields(
        {
            "name": one.name,
            "id": one.id,
            "description": one.description or "none",
            "revision": one.revision,
            "latest": "no version yet" if one.latest_number is None else one.latest_number,
            "labels": _labels(one) or "none",
            "schema": "yes" if one.has_content_schema else "none",
            "since": _time(one.created_at),
            "changed": _time(one.updated_at),
            "archived": _time(one.archived_at) if one.archived_at else "no",
        }
    )


def _labels(one: Configuration) -> str:
    return ", ".join(f"{label}={number}" for label, number in sorted(one.labels.items()))


def _print_fields(fields: Mapping[str, object]) -> None:
    width = max(map(len, fields)) + 2
    for name, value in fields.items():
        click.echo(f"{name:{width}}{printable(str(value))}")


def print_history(versions: Sequence[ConfigurationVersion]) -> None:
    """Versions, one a line."""
    if not versions:
        click.echo("no versions")
        return
    rows = [
        (
            version.number,
            str(version.id),
            (version.content_hash or "")[:12] or None,
            _time(version.created_at),
            printable(version.created_by or "an event"),
            ", ".join(version.labels),
        )
        for version in versions
    ]
    print_table(None, ("number", "id", "sha256", "since", "by", "labels"), rows)


def print_version(version: ConfigurationVersion) -> None:
    """Everything about a version, its content last."""
    _print_fields(
        {
            "version": version.reference,
            "id": version.id,
            "sha256": version.content_hash or "not known",
            "since": _time(version.created_at),
            "by": version.created_by or "an event",
            "labels": ", ".join(version.labels) or "none",
        }
    )
    if version.content is None:
        click.echo("content is not known: no event has brought it, and nobody has pushed it")
    else:
        click.echo(printable(pretty(version.content), keep="\n"))


def print_audit(entries: Sequence[AuditEntry]) -> None:
    """The audit trail, one entry a line."""
    if not entries:
        click.echo("nothing was done")
        return
    rows = [
        (
            str(entry.id),
            _time(entry.time),
            printable(entry.actor or "an event"),
            printable(entry.configuration),
            entry.action.value,
            entry.number,
            printable(_about(entry)),
        )
        for entry in entries
    ]
    print_table(None, ("id", "time", "by", "configuration", "action", "number", "about"), rows)


def _about(entry: AuditEntry) -> str:
    details = {"label": entry.label} if entry.label else {}
    details |= {name: value for name, value in (entry.details or {}).items() if value is not None}
    return ", ".join(f"{name} {value}" for name, value in details.items())


def print_deployments(deployments: Sequence[Deployment]) -> None:
    """Deployments, one a line."""
    if not deployments:
        click.echo("no deployments")
        return
    rows = [
        (
            str(one.id),
            printable(one.deployment),
            printable(one.environment),
            printable(f"{one.configuration}@{one.number}"),
            _time(one.deployed_at),
            _time(one.undeployed_at) if one.undeployed_at else "now",
            printable(one.deployed_by),
        )
        for one in deployments
    ]
    print_table(None, ("id", "deployment", "environment", "version", "from", "to", "by"), rows)


def print_changes(changes: Sequence[Change]) -> None:
    """Differences by path, coloured on a terminal."""
    out = console()
    for change in changes:
        sign, colour = _SIGNS[change.kind]
        line = Text(f"{sign} {printable(change.place)}: ", style=colour)
        if change.kind is ChangeKind.CHANGED:
            line.append(_value(change.before), style="red").append(" -> ").append(_value(change.after), style="green")
        else:
            line.append(_value(change.after if change.kind is ChangeKind.ADDED else change.before))
        out.print(line, soft_wrap=True)


def print_text_diff(lines: Sequence[str]) -> None:
    """A unified diff, coloured on a terminal."""
    out = console()
    for line in lines:
        style = "bold" if line.startswith(("---", "+++")) else {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        out.print(Text(printable(line), style=style), soft_wrap=True)


def _value(value: Any) -> str:
    text = printable(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())
    return text if len(text) <= _VALUE_CHARACTERS_MAX else f"{text[:_VALUE_CHARACTERS_MAX]}… ({len(text):,} characters)"


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}Z"
