"""What is made of the runs: medians, ratios, tables, a page."""

from __future__ import annotations

import json

import pytest

from arc_eval_db.bench.arena import Cost
from arc_eval_db.bench.page import filled
from arc_eval_db.bench.report import conditions, document, markdown, results_of, tables
from arc_eval_db.bench.results import Result, Spread, ceiling_ratio, ratio, spread
from arc_eval_db.bench.running import DEFAULT_SECTIONS, SECTIONS, chosen
from arc_eval_db.bench.sections.latency import percentile
from arc_eval_db.bench.sections.throughput import throughput


def result(section: str, name: str, *speeds: float, workload: str = "outcomes") -> Result:
    return Result(section, name, workload, runs=[{"per_second": speed, "broker_cpu_s": None} for speed in speeds])


def test_a_spread_is_the_median_and_the_ends() -> None:
    assert spread([3.0, 1.0, 2.0, 10.0]) == Spread(2.5, 1.0, 10.0)
    assert spread([]) is None
    assert result("sink", "x", 1.0, 5.0, 2.0).spread("per_second") == Spread(2.0, 1.0, 5.0)
    assert result("sink", "x", 1.0).spread("broker_cpu_s") is None


def test_a_ratio_is_taken_round_by_round() -> None:
    fast, slow = result("sink", "a", 20.0, 300.0, 40.0), result("sink", "b", 10.0, 100.0, 40.0)
    assert ratio(fast, slow) == Spread(2.0, 1.0, 3.0)


def test_the_ceiling_is_the_slowest_part_of_the_round() -> None:
    whole = result("sink", "x", 50.0, 60.0)
    parts = [result("fetch", "f", 500.0, 100.0), result("copy", "c", 100.0, 300.0)]
    assert ceiling_ratio(whole, parts) == Spread(0.55, 0.5, 0.6)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_value_that_was_seen(share: float, value: int) -> None:
    assert percentile(range(1, 101), share) == value
    assert percentile([7.0], share) == 7.0


def test_two_processes_are_measured_from_the_first_beginning_to_the_last_end() -> None:
    one = {"began": 100.0, "ended": 103.0, "cpu_s": 2.0, "memory_mb": 90.0, "startup_s": 1.0}
    other = {"began": 101.0, "ended": 104.0, "cpu_s": 1.0, "memory_mb": 80.0, "startup_s": 2.0}
    figures = throughput([one, other], Cost(4.0, None), 200_000)
    assert figures == {
        "per_second": 50_000,
        "seconds": 4.0,
        "cpu_s": 1.5,
        "database_cpu_s": 2.0,
        "broker_cpu_s": None,
        "memory_mb": 90.0,
        "startup_s": 2.0,
    }


def test_the_parts_of_the_sink_are_run_with_it() -> None:
    assert chosen(["sink"]) == ["fetch", "validate", "copy", "sink"]
    assert chosen([]) == list(DEFAULT_SECTIONS)
    assert chosen(["peers", "emit"]) == ["emit", "peers"]
    assert set(DEFAULT_SECTIONS) < set(SECTIONS)


SINK = [
    result("fetch", "outcomes", 400.0, 500.0),
    result("validate", "outcomes, collector off", 200.0, 200.0),
    result("validate", "outcomes, collector on", 10.0, 10.0),
    result("copy", "outcomes", 250.0, 300.0),
    result("sink", "outcomes, 1 process", 100.0, 150.0),
    result("sink", "duplicates, 1 process", 50.0, 50.0, workload="duplicates"),
]
PEERS = [
    result("peers", "plain loop", 1.0, 1.0),
    result("peers", "FastStream", 10.0, 20.0),
    result("peers", "arc-eval-db, 1 process", 20.0, 50.0),
]


def test_the_sink_is_compared_with_its_slowest_part_as_the_worker_has_it() -> None:
    (table,) = (table for table in tables(SINK) if "slowest part" in table.title)
    assert table.rows == [
        ("outcomes, 1 process", "validate (200/s)", "0.62 (0.50 to 0.75)"),
        ("duplicates, 1 process", "validate (200/s)", "0.25"),
    ]


def test_this_project_is_compared_with_the_fastest_peer() -> None:
    (table,) = (table for table in tables(PEERS) if "fastest peer" in table.title)
    assert table.title.endswith("FastStream")
    assert table.rows == [("arc-eval-db, 1 process", "2.25 (2.00 to 2.50)")]


def test_a_report_can_be_read_back_and_put_into_a_page() -> None:
    servers = {"kafka": "embedded", "postgresql": "18", "edition": "postgresql", "settings": {"fsync": "on"}}
    facts = {"servers": servers, "notes": ["quix is left out"], "rounds": 2, "sizes": {"events": 5}, "seconds": 3.0}
    report = json.loads(json.dumps(document(SINK + PEERS, **facts)))
    assert tables(results_of(report)) == tables(SINK + PEERS)
    page = filled("before\n<!-- bench: begin (x) -->\nold\n<!-- bench: end -->\nafter\n", [report])
    assert page.startswith("before\n<!-- bench: begin (x) -->\n")
    assert page.endswith("<!-- bench: end -->\nafter\n")
    assert "old" not in page
    for part in (conditions(report), "quix is left out", markdown(SINK + PEERS)):
        assert part in page
    assert filled(page, [report]) == page
    with pytest.raises(ValueError, match="markers"):
        filled("no markers", [report])
