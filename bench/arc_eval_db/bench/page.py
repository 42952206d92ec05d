"""Puts the tables of reports into a page: `python -m arc_eval_db.bench.page REPORT... docs/performance.md`."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arc_eval_db.bench.report import conditions, markdown, results_of

_MARKERS = re.compile(r"(<!-- bench: begin\b[^>]*-->\n).*?(<!-- bench: end -->)", re.DOTALL)


def filled(page: str, reports: Sequence[Mapping[str, Any]]) -> str:
    """The page with the tables of the reports, one after the other, between its markers.

    Raises:
        ValueError: it has no markers.
    """
    parts = []
    for report in reports:
        parts.append(f"{conditions(report)}.")
        parts += [f"{note}." for note in report.get("notes", ())]
        parts.append(markdown(results_of(report)))
    content = "\n\n".join(parts)
    text, count = _MARKERS.subn(lambda found: f"{found[1]}{content}\n{found[2]}", page)
    if count != 1:
        raise ValueError("the page has not one pair of markers: <!-- bench: begin --> and <!-- bench: end -->")
    return text


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="arc_eval_db.bench.page", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT", help="what `bench --json` wrote")
    parser.add_argument("page", type=Path)
    options = parser.parse_args()
    reports = [json.loads(path.read_bytes()) for path in options.reports]
    try:
        options.page.write_text(filled(options.page.read_text(encoding="utf-8"), reports), encoding="utf-8")
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
