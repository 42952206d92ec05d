"""What a benchmark found: as tables for people, and as a document that can be kept."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from arc_eval_db.bench.results import Result, Spread, ceiling_ratio, ratio

_PACKAGES = ("arc-eval-db", "aiokafka", "asyncpg", "pydantic", "uvloop", "faststream", "quixstreams")


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a report; every cell is text."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    figure: str
    digits: int = 0
    with_spread: bool = False


_PATH = (
    _Column("events/s", "per_second", with_spread=True),
    _Column("CPU s", "cpu_s", 2),
    _Column("PostgreSQL", "database_cpu_s", 2),
    _Column("Kafka", "broker_cpu_s", 2),
    _Column("peak MB", "memory_mb"),
    _Column("start s", "startup_s", 1),
)
_COLUMNS: Mapping[str, Sequence[_Column]] = {
    "emit": (
        _Column("CPU µs a call", "cpu_us", 1, with_spread=True),
        _Column("wall µs a call", "wall_us", 1),
        _Column("import ms", "import_ms", 0, with_spread=True),
        _Column("MB after import", "import_mb", 1),
        _Column("MB after 10,000 events", "emitted_mb", 1),
    ),
    "produce": _PATH,
    "fetch": _PATH,
    "validate": _PATH,
    "copy": _PATH,
    "sink": _PATH,
    "latency": (
        _Column("p50 ms", "p50_ms", 1, with_spread=True),
        _Column("p95 ms", "p95_ms", 1),
        _Column("p99 ms", "p99_ms", 1, with_spread=True),
        _Column("worst ms", "worst_ms", 1),
        _Column("% of a core", "cpu_percent", 1),
        _Column("events/s", "per_second"),
    ),
    "replay": _PATH,
    "views": (_Column("ms", "milliseconds", 1, with_spread=True), _Column("rows", "rows")),
    "peers": _PATH,
}
_TITLES = {
    "emit": "The SDK on the caller's thread",
    "produce": "The SDK to the broker",
    "fetch": "Fetching alone",
    "validate": "Validation alone",
    "copy": "COPY alone",
    "sink": "Topic to table",
    "latency": "From emit to visible",
    "replay": "Replay into an empty database: the lifecycle workload",
    "views": "Views over the rows of the lifecycle workload",
    "peers": "What a user would pick instead: outcomes, from topic to table",
}


def machine() -> dict[str, Any]:
    """What the figures depend on, apart from the servers."""
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def document(results: Sequence[Result], **facts: Any) -> dict[str, Any]:
    """Everything, for JSON."""
    return {**machine(), **facts, "results": [result.to_json() for result in results]}


def results_of(report: Mapping[str, Any]) -> list[Result]:
    """The results in a document."""
    return [
        Result(each["section"], each["name"], each["workload"], each["guarantee"], each["runs"])
        for each in report["results"]
    ]


def tables(results: Sequence[Result]) -> list[Table]:
    """A table for each section that was run."""
    found = []
    for section, columns in _COLUMNS.items():
        if of_section := [result for result in results if result.section == section and result.runs]:
            found.append(_table(section, columns, of_section))
            if section == "sink":
                found.append(_ceilings(results))
            if section == "replay":
                found.append(_against_live(of_section))
            if section == "peers":
                found.append(_against_peers(of_section))
    return [table for table in found if table.rows]


def _table(section: str, columns: Sequence[_Column], results: Sequence[Result]) -> Table:
    shown = [column for column in columns if any(result.values(column.figure) for result in results)]
    has_guarantees = section == "peers"
    rows = []
    for result in results:
        cells = (_cell(result.spread(each.figure), each.digits, with_spread=each.with_spread) for each in shown)
        rows.append((result.name, *cells, *([result.guarantee or ""] if has_guarantees else [])))
    titles = [column.title for column in shown]
    return Table(_TITLES[section], ("", *titles, *(["guarantee"] if has_guarantees else [])), rows)


def _ceilings(results: Sequence[Result]) -> Table:
    """The sink against the slowest of its parts alone, in the same rounds."""
    rows = []
    for whole in (result for result in results if result.section == "sink"):
        # Outcomes that come twice are outcomes; what the sink does about it is not a part by itself.
        work = "outcomes" if whole.workload == "duplicates" else whole.workload
        parts = [
            result
            for result in results
            if result.section in ("fetch", "validate", "copy")
            and result.workload == work
            and not result.name.endswith("collector on")
        ]
        slowest = min(parts, key=_median, default=None)
        share = ceiling_ratio(whole, parts) if parts else None
        if share is not None and slowest is not None:
            rows.append(
                (whole.name, f"{slowest.section} ({_median(slowest):,.0f}/s)", _cell(share, 2, with_spread=True))
            )
    return Table("The sink as a share of its slowest part alone", ("", "slowest part", "sink / part"), rows)


def _against_live(results: Sequence[Result]) -> Table:
    """Replay against live consumption, in the same rounds."""
    live, *others = results
    found = [(each.name, ratio(each, live)) for each in others]
    rows = [(name, _cell(share, 2, with_spread=True)) for name, share in found if share is not None]
    return Table(f"Against {live.name}", ("", "times as fast"), rows)


def _against_peers(results: Sequence[Result]) -> Table:
    """Ours against the fastest of the others, in the same rounds."""
    ours = [result for result in results if result.name.startswith("arc-eval-db")]
    others = [result for result in results if result not in ours]
    if not ours or not others:
        return Table("", (), [])
    fastest = max(others, key=_median)
    rows = [
        (result.name, _cell(found, 2, with_spread=True))
        for result in ours
        if (found := ratio(result, fastest)) is not None
    ]
    return Table(f"Against the fastest peer: {fastest.name}", ("", "times as fast"), rows)


def _median(result: Result) -> float:
    found = result.spread("per_second")
    return found.median if found else 0.0


def _cell(found: Spread | None, digits: int, *, with_spread: bool) -> str:
    if found is None:
        return "-"
    text = f"{found.median:,.{digits}f}"
    if with_spread and found.least != found.most:
        text += f" ({found.least:,.{digits}f} to {found.most:,.{digits}f})"
    return text


def conditions(report: Mapping[str, Any]) -> str:
    """In a few lines, where and how the figures came about."""
    servers = report["servers"]
    settings = ", ".join(f"{name} {value}" for name, value in servers["settings"].items())
    packages = ", ".join(f"{name} {value}" for name, value in report["packages"].items())
    return (
        f"{report['cpus']} CPUs and {report['memory_gb']:g} GB for everything, {report['system']}; "
        f"{servers['edition']} edition on PostgreSQL {servers['postgresql']} ({settings}); Kafka {servers['kafka']}; "
        f"Python {report['python']}, {packages}; {report['rounds']} rounds, {report['sizes']['events']:,} events, "
        f"{report['seconds']:,.0f} s in all"
    )


def markdown(results: Sequence[Result]) -> str:
    """The tables for a page of the documentation."""
    return "\n\n".join(_markdown(table) for table in tables(results))


def _markdown(table: Table) -> str:
    lines = [f"**{table.title}**", ""]
    lines.append("| " + " | ".join(table.columns) + " |")
    lines.append("|" + " --- |" * len(table.columns))
    lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join(lines)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
