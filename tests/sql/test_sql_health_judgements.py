"""What each check makes of what it sees: tables of cases, without a server."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from arc_eval_db.database import BatchTooLargeError, DatabaseUnavailableError, PoolStatistics, SchemaMismatchError
from arc_eval_db.errors import SettingsError
from arc_eval_db.health import CHECK_NAMES, CheckResult, CheckTimeoutError, HealthReport, HealthSettings, State
from arc_eval_db.health.check import Check, Context, Need
from arc_eval_db.health.checks import CHECKS
from arc_eval_db.health.looker import NoTimeLeftError
from arc_eval_db.health.report import overall
from arc_eval_db.health.unseen import judge_error, judge_lack

NAMED = {check.name: check for check in CHECKS}
GIB = 1024**3
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SETTINGS = HealthSettings.load()


def rates(**before: Any) -> dict[str, Any]:
    return {"at_s": 0.0, "rows_inserted": 0, "commits": 0, "rollbacks": 0, **before}


CONTEXT = Context(SETTINGS, earlier={"throughput": [rates()], "disk": [{"at_s": 0.0, "size_bytes": GIB}]})

SERVER = {"version": "18.4", "is_standby": False, "has_schema": True, "latency_ms": 1.0}
SESSIONS = {"hidden": 0, "sessions": 2, "longest_s": 1.0, "pid": 7}
LOCKS = {"waiting": 1, "longest_s": 1.0, "pid": 7, "blocked_by": "{9}"}
STATEMENT = {"query_id": "42", "calls": 10, "mean_ms": 10.0}
DEAD = {"relation": "public.outcomes", "dead": 20_000, "share": 0.1}
AUTOVACUUM = {"is_on": True, "due": 0, "relation": None}
STANDBYS = {"standbys": 1, "hidden": 0, "behind_bytes": 10, "behind_s": 0.1}
SLOT = {"slot": "s", "is_active": True, "wal_status": "reserved", "held_bytes": 10}
CHECKPOINTS = {"wal_bytes": GIB // 2, "wal_bytes_max": GIB, "age_s": 60.0}
DISK = {"at_s": 10.0, "size_bytes": GIB, "largest": "outcomes 1.0 GiB"}
CHUNKS = {"chunks": 5, "future": 0, "newest_at": NOON, "relation": "outcomes"}
COMPRESSION = {"compressed": 5, "overdue": 0, "oldest_s": 86_400.0, "before_bytes": GIB, "after_bytes": GIB // 6}
JOBS = {"jobs": 20, "paused": 0, "failed": 0, "job_id": None, "procedure": None}
LETTERS = {"reason": "invalid_json", "letters": 3, "quarantined": 0, "newest_at": NOON}
EXECUTIONS = {"looked_at": 5, "incomplete": 0, "outstanding": 0, "execution_id": None}
GAPS = {"gaps": 1, "lost": 5, "recreated": 0, "newest_at": NOON}
PARTITION = {"consumer_group": "g", "topic": "t", "partition": 0, "halted_s": None, "sample_age_s": 5.0}

CASES: list[tuple[str, list[dict[str, Any]], str, str]] = [
    ("server", [SERVER], "ok", "primary"),
    ("server", [{**SERVER, "latency_ms": 250.0}], "warn", "250.0 ms"),
    ("server", [{**SERVER, "latency_ms": 2000.0}], "critical", ""),
    ("server", [{**SERVER, "has_schema": False}], "critical", "no schema"),
    ("writes", [{"write_ms": 1.0}], "ok", "taken back"),
    ("writes", [{"write_ms": 500.0}], "warn", ""),
    ("writes", [{"write_ms": 3000.0}], "critical", ""),
    ("throughput", [rates(at_s=2.0, rows_inserted=500)], "ok", "250 rows/s"),
    ("throughput", [rates(at_s=2.0, rows_inserted=-1)], "unknown", "anew"),
    ("throughput", [rates(at_s=0.0)], "unknown", "anew"),
    ("connections", [{"used": 10, "usable": 97}], "ok", "10 of 97"),
    ("connections", [{"used": 80, "usable": 97}], "warn", ""),
    ("connections", [{"used": 97, "usable": 97}], "critical", ""),
    ("pool", [{"in_use": 1, "size": 2, "size_max": 10}], "ok", "1 of at most 10"),
    ("pool", [{"in_use": 8, "size": 8, "size_max": 10}], "warn", ""),
    ("pool", [{"in_use": 10, "size": 10, "size_max": 10}], "critical", ""),
    ("idle_transactions", [SESSIONS], "ok", "process 7"),
    ("idle_transactions", [{**SESSIONS, "sessions": 0, "longest_s": None}], "ok", "no sessions"),
    ("idle_transactions", [{**SESSIONS, "longest_s": 10.0}], "warn", ""),
    ("idle_transactions", [{**SESSIONS, "longest_s": 300.0, "hidden": 2}], "critical", ""),
    ("idle_transactions", [{**SESSIONS, "hidden": 2}], "unknown", "2 sessions of other users are hidden"),
    ("long_transactions", [SESSIONS], "ok", "2 transactions are open"),
    ("long_transactions", [{**SESSIONS, "longest_s": 600.0}], "warn", "10.0 min"),
    ("long_transactions", [{**SESSIONS, "longest_s": 3600.0}], "critical", "1.0 h"),
    ("long_queries", [SESSIONS], "ok", "2 queries are running"),
    ("long_queries", [{**SESSIONS, "longest_s": 60.0}], "warn", ""),
    ("long_queries", [{**SESSIONS, "longest_s": 600.0}], "critical", ""),
    ("slow_statements", [], "ok", ""),
    ("slow_statements", [STATEMENT], "ok", "statement 42"),
    ("slow_statements", [{**STATEMENT, "mean_ms": 5000.0}], "warn", ""),
    ("slow_statements", [{**STATEMENT, "mean_ms": 60000.0, "query_id": None}], "critical", "hidden"),
    ("locks", [{**LOCKS, "waiting": 0}], "ok", "nobody"),
    ("locks", [LOCKS], "ok", "in its way: 9"),
    ("locks", [{**LOCKS, "longest_s": 2.0}], "warn", ""),
    ("locks", [{**LOCKS, "longest_s": 30.0, "blocked_by": None}], "critical", "none any more"),
    ("dead_tuples", [], "ok", "10,000"),
    ("dead_tuples", [DEAD], "ok", "10%"),
    ("dead_tuples", [{**DEAD, "share": 0.3}], "warn", ""),
    ("dead_tuples", [{**DEAD, "share": 0.6}], "critical", ""),
    ("autovacuum", [AUTOVACUUM], "ok", ""),
    ("autovacuum", [{**AUTOVACUUM, "due": 1, "relation": "public.outcomes"}], "warn", "public.outcomes"),
    ("autovacuum", [{**AUTOVACUUM, "due": 20, "relation": "x"}], "critical", ""),
    ("autovacuum", [{**AUTOVACUUM, "is_on": False}], "critical", "off"),
    ("wraparound", [{"database": "d", "age": 1000}], "ok", ""),
    ("wraparound", [{"database": "d", "age": 500_000_000}], "warn", ""),
    ("wraparound", [{"database": "d", "age": 1_200_000_000}], "critical", ""),
    ("standbys", [{**STANDBYS, "standbys": 0}], "ok", "no standby"),
    ("standbys", [STANDBYS], "ok", "10 B"),
    ("standbys", [{**STANDBYS, "behind_bytes": GIB}], "warn", "1.0 GiB"),
    ("standbys", [{**STANDBYS, "behind_bytes": 4 * GIB}], "critical", ""),
    ("standbys", [{**STANDBYS, "hidden": 1, "behind_bytes": None}], "unknown", "hidden"),
    ("slots", [], "ok", ""),
    ("slots", [SLOT], "ok", "in use"),
    ("slots", [{**SLOT, "held_bytes": GIB, "is_active": False}], "warn", "not in use"),
    ("slots", [{**SLOT, "held_bytes": 10 * GIB}], "critical", ""),
    ("slots", [{**SLOT, "wal_status": "lost", "held_bytes": None}], "critical", "lost"),
    ("checkpoints", [CHECKPOINTS], "ok", "512.0 MiB"),
    ("checkpoints", [{**CHECKPOINTS, "wal_bytes": GIB}], "warn", ""),
    ("checkpoints", [{**CHECKPOINTS, "wal_bytes": 2 * GIB}], "critical", ""),
    ("disk", [DISK], "unknown", "does not tell"),
    ("disk", [{**DISK, "size_bytes": GIB + 10 * 1024}], "unknown", "grows by 1.0 KiB/s"),
    ("chunks", [{**CHUNKS, "chunks": 0, "newest_at": None}], "ok", "no chunk"),
    ("chunks", [CHUNKS], "ok", "2026-11-23"),
    ("chunks", [{**CHUNKS, "future": 1}], "warn", "of outcomes"),
    ("chunks", [{**CHUNKS, "future": 10}], "critical", ""),
    ("compression", [COMPRESSION], "ok", "to 0.17"),
    ("compression", [{**COMPRESSION, "before_bytes": None, "after_bytes": None}], "ok", ""),
    ("compression", [{**COMPRESSION, "overdue": 1}], "warn", "1.0 d"),
    ("compression", [{**COMPRESSION, "overdue": 14}], "critical", ""),
    ("compression", [{**COMPRESSION, "after_bytes": GIB * 3 // 4}], "warn", "0.75"),
    ("compression", [{**COMPRESSION, "before_bytes": 1000, "after_bytes": 1500}], "ok", "1.50"),
    ("jobs", [JOBS], "ok", ""),
    ("jobs", [{**JOBS, "failed": 1, "job_id": 1003, "procedure": "policy_retention"}], "warn", "policy_retention"),
    ("jobs", [{**JOBS, "failed": 5}], "critical", ""),
    ("jobs", [{**JOBS, "paused": 1}], "warn", "paused"),
    ("aggregates", [], "warn", ""),
    ("aggregates", [{"aggregate": "outcomes_hourly", "job_id": 1000, "behind_s": None}], "ok", ""),
    ("aggregates", [{"aggregate": "outcomes_hourly", "job_id": 1000, "behind_s": 21_600.0}], "warn", "outcomes_hourly"),
    ("aggregates", [{"aggregate": "outcomes_hourly", "job_id": None, "behind_s": 21_600.0}], "warn", "has no policy"),
    ("aggregates", [{"aggregate": "outcomes_hourly", "job_id": 1000, "behind_s": 86_400.0}], "critical", "1.0 d"),
    ("dead_letters", [], "ok", "none"),
    ("dead_letters", [LETTERS, {**LETTERS, "reason": "unknown_type", "quarantined": 1}], "warn", "3 unknown_type"),
    ("dead_letters", [{**LETTERS, "letters": 100_000}], "critical", "at least"),
    ("new_dead_letters", [], "ok", "none"),
    ("new_dead_letters", [{"reason": "invalid_json", "letters": 100}], "warn", "100 invalid_json"),
    ("new_dead_letters", [{"reason": "invalid_json", "letters": 10_000}], "critical", "at least"),
    ("orphans", [{"relation": "outcomes", "looked_at": 5, "orphans": 0}], "ok", "of 5"),
    ("orphans", [{"relation": "outcomes", "looked_at": 5, "orphans": 1}], "critical", "1 of outcomes"),
    ("executions", [EXECUTIONS], "ok", ""),
    ("executions", [{**EXECUTIONS, "incomplete": 1, "outstanding": 3, "execution_id": "x"}], "warn", "3 in all"),
    ("executions", [{**EXECUTIONS, "incomplete": 100}], "critical", ""),
    ("log_gaps", [{**GAPS, "gaps": 0, "lost": 0, "newest_at": None}], "ok", ""),
    ("log_gaps", [GAPS], "warn", "5 records"),
    ("log_gaps", [{**GAPS, "lost": 10_000}], "critical", ""),
    ("log_gaps", [{**GAPS, "lost": 0, "recreated": 1}], "warn", "nobody knows"),
    ("partitions", [], "ok", "no group"),
    ("partitions", [PARTITION], "ok", "moves"),
    ("partitions", [{**PARTITION, "sample_age_s": None}], "unknown", "consumer_lag_samples"),
    ("partitions", [{**PARTITION, "sample_age_s": 300.0}], "unknown", "no worker has recorded the lag for 5.0 min"),
    ("partitions", [{**PARTITION, "sample_age_s": 300.0}, PARTITION], "ok", "moves"),
    ("partitions", [{**PARTITION, "halted_s": 400.0, "sample_age_s": 300.0}], "warn", "t/0 of group g"),
    ("partitions", [{**PARTITION, "halted_s": 300.0}], "warn", "t/0 of group g"),
    ("partitions", [{**PARTITION, "halted_s": 1800.0}], "critical", ""),
]


@pytest.mark.parametrize(("name", "rows", "state", "words"), CASES)
def test_a_figure_is_judged(name: str, rows: list[dict[str, Any]], state: str, words: str) -> None:
    check = NAMED[name]
    judged = check.judge(rows, CONTEXT)
    assert judged.state == state
    assert words in judged.found
    assert judged.next_step or check.next_step, "nobody is told what to do"


def test_every_check_is_seen_well_and_not_well() -> None:
    states = {name: {state for one, _, state, _ in CASES if one == name} for name in CHECK_NAMES}
    assert {name for name, seen in states.items() if not seen & {"warn", "critical"}} == {"throughput", "disk"}
    assert {name for name, seen in states.items() if "ok" not in seen} == {"disk"}


def with_settings(**changes: Any) -> Context:
    return Context(HealthSettings.load(**changes), earlier=CONTEXT.earlier)


def test_a_floor_and_a_disk_are_a_person_s_to_name() -> None:
    slow = [rates(at_s=2.0, rows_inserted=500)]
    assert NAMED["throughput"].judge(slow, with_settings(throughput_warn_rows_per_s=251)).state is State.WARN
    for room, state in ((2 * GIB, "ok"), (1.25 * GIB, "warn"), (1.1 * GIB, "critical")):
        judged = NAMED["disk"].judge([DISK], with_settings(disk_bytes=room))
        assert judged.state == state
        assert bool(judged.next_step) is (state != "ok")


def test_a_pool_s_use_is_what_the_pool_says() -> None:
    assert Context(SETTINGS).lacks(Need.POOL)
    assert not Context(SETTINGS, PoolStatistics(1, 1, 0, 2)).lacks(Need.POOL)


def unseen(check: Check, sqlstate: str | None, kind: type[SchemaMismatchError] = SchemaMismatchError) -> str:
    error = kind("said the server")
    error.sqlstate = sqlstate
    judged = judge_error(check, Context(SETTINGS, user_name="grafana"), error)
    assert (judged.state, judged.value) == (State.UNKNOWN, None)
    assert judged.found == f"{kind.__name__}: said the server"
    return judged.next_step or ""


@pytest.mark.parametrize(
    ("sqlstate", "may_write"), [("57014", False), ("55P03", False), ("53100", False), ("25006", True)]
)
def test_a_write_that_is_refused_is_critical(sqlstate: str, may_write: bool) -> None:
    error = SchemaMismatchError("said the server")
    error.sqlstate = sqlstate
    assert judge_error(NAMED["writes"], replace(CONTEXT, may_write=may_write), error).state is State.CRITICAL
    assert judge_error(NAMED["orphans"], replace(CONTEXT, may_write=may_write), error).state is State.UNKNOWN


def test_a_write_that_was_not_tried_is_unseen() -> None:
    assert judge_error(NAMED["writes"], CONTEXT, CheckTimeoutError()).state is State.CRITICAL
    assert judge_error(NAMED["writes"], CONTEXT, NoTimeLeftError()).state is State.UNKNOWN


def test_what_cannot_be_seen_says_why_and_what_to_do() -> None:
    assert unseen(NAMED["orphans"], "42501") == 'GRANT arc_eval_reader TO "grafana"'
    assert unseen(NAMED["checkpoints"], "42501") == 'GRANT pg_monitor TO "grafana"'
    assert unseen(NAMED["writes"], "42501") == 'GRANT arc_eval_writer TO "grafana"'
    assert "only reads" in unseen(NAMED["writes"], "25006", DatabaseUnavailableError)  # type: ignore[arg-type]
    assert unseen(NAMED["writes"], "42P01") == "arc-eval-db migrate up"
    assert unseen(NAMED["orphans"], "42P01") == "arc-eval-db migrate up"
    assert "CHECK_TIMEOUT_S" in unseen(NAMED["orphans"], "57014", BatchTooLargeError)  # type: ignore[arg-type]
    assert judge_error(NAMED["locks"], CONTEXT, CheckTimeoutError()).next_step == "arc-eval-db doctor --database"
    for name in ("jobs", "slow_statements", "pool"):
        judged = judge_lack(NAMED[name])
        assert (judged.state, judged.found) == (State.UNKNOWN, NAMED[name].needs.value)
        assert judged.next_step


def test_the_worst_that_was_seen_is_the_state() -> None:
    ok, warn, critical, unknown = State
    assert overall([ok, unknown, warn]) is warn
    assert overall([warn, critical, ok]) is critical
    assert overall([unknown, ok]) is ok
    assert overall([unknown]) is unknown


def test_a_report_is_json() -> None:
    result = CheckResult("locks", State.WARN, 3.0, "s", "one waits", "look")
    report = HealthReport(NOON, "postgresql", (result,), ("compression",))
    document = json.loads(report.to_json())
    assert (document["state"], document["checked_at"], document["edition"]) == (
        "warn",
        "2026-11-23T12:00:00Z",
        "postgresql",
    )
    assert document["checks"] == [
        {"check": "locks", "state": "warn", "value": 3.0, "unit": "s", "found": "one waits", "next_step": "look"}
    ]
    assert document["lost_without_timescaledb"] == ["compression"]
    assert report.result("locks") is result


def test_every_threshold_belongs_to_a_check_and_every_limit_is_a_setting() -> None:
    used = {limit for check in CHECKS for limit in check.limits}
    assert set(HealthSettings.model_fields) - used == {"check_timeout_s", "timeout_s", "sample_s"}
    assert used <= set(HealthSettings.model_fields)


def test_wrong_thresholds_name_their_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARC_EVAL_HEALTH_QUERY_WARN_S", "-1")
    with pytest.raises(SettingsError, match="ARC_EVAL_HEALTH_QUERY_WARN_S"):
        HealthSettings.load()
    monkeypatch.setenv("ARC_EVAL_HEALTH_QUERY_WARN_S", "601")
    with pytest.raises(SettingsError, match="WARN_S: must not be above ARC_EVAL_HEALTH_QUERY_CRITICAL_S"):
        HealthSettings.load()
    monkeypatch.setenv("ARC_EVAL_HEALTH_QUERY_WARN_S", "30")
    assert HealthSettings.load().query_warn_s == 30
