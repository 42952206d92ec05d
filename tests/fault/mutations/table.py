"""The findings as a table: on a terminal, and in the documentation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from fault.mutations.runner import ROOT, Finding

PAGE = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- mutations: begin (made by `python -m fault.mutations --write-docs`) -->"
END = "<!-- mutations: end -->"


def line_of(finding: Finding) -> str:
    """One row for a terminal."""
    mutation = finding.mutation
    where = f"{mutation.file}:{mutation.line(ROOT) or '?'}"
    text = f"{finding.result.value:<18} {finding.seconds:6.1f} s  {mutation.name:<34} {where}"
    if finding.is_proof:
        return f"{text}\n{'':29}{finding.test}: {finding.detail[:120]}"
    return f"{text}\n{'':29}{finding.detail or ', '.join(mutation.tests)}"


def summary(findings: Sequence[Finding]) -> str:
    """The last line."""
    proved = sum(finding.is_proof for finding in findings)
    seconds = sum(finding.seconds for finding in findings)
    return f"{proved} of {len(findings)} guards are needed by their tests ({seconds:.0f} s)"


def as_markdown(findings: Sequence[Finding], servers: str, now: datetime | None = None) -> str:
    """The part of the page between the markers.

    Args:
        servers: the versions of Kafka and PostgreSQL, in words.
    """
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiokafka", "asyncpg"))
    date = f"{now or datetime.now(UTC):%Y-%m-%d}"
    lines = [
        BEGIN,
        f"Run on {date} with Python {python_version()}, {servers}, {libraries}: {summary(findings)}.",
        "",
        "| guard | where | test | result | s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for finding in findings:
        mutation = finding.mutation
        test = (finding.test or mutation.tests[0]).rpartition("/")[2].partition("[")[0].replace("::", " ")
        cells = (mutation.guard, f"`{mutation.file}`", f"`{test}`", finding.result.value, f"{finding.seconds:.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, END])


def write_docs(text: str, page: Path = PAGE) -> None:
    """Put `text` in place of the old table."""
    old = page.read_text()
    changed, count = re.subn(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: text, old, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{page.name} must hold the markers of this table once; it does {count} times")
    page.write_text(changed)
