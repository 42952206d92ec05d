"""What the pages say of performance, errors and tools equals what direct SQL over the rows says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from statsmodels.stats.proportion import proportion_confint

from arc_eval_db.consumers.canary import CANARY_NAME
from arc_eval_db.dashboards.web.data.errors import read_errors, read_patterns
from arc_eval_db.dashboards.web.data.figures import Figures, wilson_interval
from arc_eval_db.dashboards.web.data.names import read_choices
from arc_eval_db.dashboards.web.data.performance import (
    read_durations,
    read_performance,
    read_scenarios,
    read_series,
)
from arc_eval_db.dashboards.web.data.searching import Search, search
from arc_eval_db.dashboards.web.data.selections import (
    Filters,
    NothingMeantError,
    Selection,
    resolve,
    resolve_versions,
)
from arc_eval_db.dashboards.web.data.simulations import read_running
from arc_eval_db.dashboards.web.data.tools import Calls, read_tools
from arc_eval_db.dashboards.web.data.windows import Window
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, STARTED, TOOL_USED
from support.databases import connect
from support.events import event
from support.recorded_runs import EXECUTIONS, SUCCESSES, TOOL_ERRORS, TOOL_USES
from support.web_data import SIMULATION, around_now, recorded_database, write_contents

pytestmark = pytest.mark.database

SUMS = """
    count(*) AS executions, count(*) FILTER (WHERE success) AS succeeded, avg(score) AS score,
    avg(duration_ms) AS duration_ms, sum(cost_usd) AS cost_usd, sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens
"""
IN_WINDOW = "time >= $1 AND time < $2"


@pytest.fixture(scope="module")
async def recorded(
    database_server: DatabaseSettings, template: tuple[DatabaseSettings, Edition]
) -> AsyncIterator[Session]:
    """The recorded runs; nothing writes here."""
    async with recorded_database(database_server, template[0]) as settings, await connect(settings) as opened:
        yield opened


def times(selection: Selection) -> tuple[Any, Any]:
    return selection.window.since, selection.window.until


def check(figures: Figures, row: Mapping[str, Any]) -> None:
    assert (figures.executions, figures.succeeded) == (row["executions"], row["succeeded"])
    for name in ("score", "duration_ms", "cost_usd", "input_tokens", "output_tokens"):
        expected = row[name]
        assert getattr(figures, name) == (None if expected is None else pytest.approx(expected)), name


async def check_performance(session: Session, selection: Selection, condition: str, *arguments: Any) -> None:
    found = await read_performance(session, selection)
    given = (*times(selection), *arguments)
    direct = f"FROM outcomes WHERE {IN_WINDOW} AND {condition}"
    (total,) = await session.fetch(f"SELECT {SUMS} {direct}", *given)
    check(found.total, total)
    by_version = await session.fetch(f"SELECT configuration_version_id AS id, {SUMS} {direct} GROUP BY 1", *given)
    assert found.configurations_all == len(found.configurations) == len(by_version)
    rows = {row["id"]: row for row in by_version}
    for configuration in found.configurations:
        check(configuration.figures, rows[configuration.version.id])
    unit = "hour" if selection.window.step.duration.days == 0 else "day"
    by_bucket = await session.fetch(
        f"SELECT date_trunc('{unit}', time, 'UTC') AS bucket, {SUMS} {direct} GROUP BY 1 ORDER BY 1", *given
    )
    assert list(found.buckets) == [row["bucket"] for row in by_bucket]
    for row in by_bucket:
        check(found.buckets[row["bucket"]], row)
    scenarios = await read_scenarios(session, selection)
    by_scenario = await session.fetch(f"SELECT scenario_id AS id, {SUMS} {direct} GROUP BY 1", *given)
    rows = {row["id"]: row for row in by_scenario}
    assert {scenario.id for scenario in scenarios.scenarios} == rows.keys()
    for scenario in scenarios.scenarios:
        check(scenario.figures, rows[scenario.id])
        assert ids.scenario_id(scenario.scenario) == scenario.id
    series = await read_series(session, selection, [row.version for row in found.configurations])
    for line in series:
        assert sum(figures.executions for figures in line.buckets.values()) == next(
            row.figures.executions for row in found.configurations if row.version == line.version
        )


@pytest.mark.parametrize("hours", [24, 24 * 20], ids=["by the hour", "by the day"])
async def test_performance_equals_direct_sql(recorded: Session, hours: float) -> None:
    selection = around_now(hours=hours)
    await check_performance(recorded, selection, "true")
    found = await read_performance(recorded, selection)
    assert (found.total.executions, found.total.succeeded) == (EXECUTIONS, SUCCESSES)
    assert found.total.failed is not None
    assert found.total.errored is not None
    assert SUCCESSES + found.total.failed + found.total.errored == EXECUTIONS
    names = {row.version.text for row in found.configurations}
    assert "gpt-4o-2024-05-13@1" in names


async def test_performance_of_some(recorded: Session) -> None:
    (row, *_) = await recorded.fetch("SELECT configuration_version_id, scenario_id FROM outcomes LIMIT 1")
    version, scenario, simulation = row["configuration_version_id"], row["scenario_id"], ids.simulation_id(SIMULATION)
    by_version = "configuration_version_id = $3"
    await check_performance(recorded, around_now(versions=(version,)), by_version, version)
    await check_performance(recorded, around_now(excluded=(version,)), "configuration_version_id <> $3", version)
    await check_performance(recorded, around_now(scenario_id=scenario), "scenario_id = $3", scenario)
    await check_performance(recorded, around_now(simulation_id=simulation), "simulation_id = $3", simulation)
    await check_performance(
        recorded,
        around_now(simulation_id=simulation, scenario_id=scenario, versions=(version,), hours=24 * 20),
        f"simulation_id = $3 AND scenario_id = $4 AND {by_version.replace('$3', '$5')}",
        *(simulation, scenario, version),
    )
    nothing = around_now(simulation_id=ids.simulation_id("never"))
    assert (await read_performance(recorded, nothing)).total == Figures()
    assert (await read_scenarios(recorded, nothing)).scenarios == ()


async def test_percentiles_equal_direct_sql(recorded: Session) -> None:
    selection = around_now()
    percentiles = "percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY duration_ms) AS p"
    rows = await recorded.fetch(f"SELECT configuration_version_id AS id, {percentiles} FROM outcomes GROUP BY 1")
    found = await read_durations(recorded, selection, [row["id"] for row in rows])
    assert {key: [each.p50_ms, each.p95_ms] for key, each in found.items()} == {row["id"]: row["p"] for row in rows}
    by_scenario = await recorded.fetch(f"SELECT scenario_id AS id, {percentiles} FROM outcomes GROUP BY 1")
    for narrowed in (selection, around_now(simulation_id=ids.simulation_id(SIMULATION))):
        scenarios = await read_scenarios(recorded, narrowed)
        seen = {key: [each.p50_ms, each.p95_ms] for key, each in scenarios.durations.items()}
        assert seen == {row["id"]: row["p"] for row in by_scenario}


@pytest.mark.parametrize("simulation", [None, SIMULATION])
@pytest.mark.parametrize("hours", [24, 24 * 20], ids=["by the hour", "by the day"])
async def test_tools_and_errors_equal_direct_sql(recorded: Session, hours: float, simulation: str | None) -> None:
    selection = around_now(hours=hours, simulation_id=ids.simulation_id(simulation) if simulation else None)
    tools = await read_tools(recorded, selection)
    assert tools.total == Calls(TOOL_USES, TOOL_ERRORS)
    rows = await recorded.fetch(
        "SELECT tool, count(*) AS calls, count(*) FILTER (WHERE NOT success) AS errors, avg(duration_ms) AS mean,"
        " percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) AS p95 FROM tool_usage GROUP BY 1"
    )
    assert {tool.tool: (tool.calls, tool.errors) for tool in tools.tools} == {
        row["tool"]: (row["calls"], row["errors"]) for row in rows
    }
    by_tool = {row["tool"]: row for row in rows}
    for tool in tools.tools:
        assert tool.duration_ms == pytest.approx(by_tool[tool.tool]["mean"])
        assert tool.p95_ms == pytest.approx(by_tool[tool.tool]["p95"])
    by_version = await recorded.fetch(
        "SELECT configuration_version_id AS id, count(*) AS calls, count(*) FILTER (WHERE NOT success) AS errors"
        " FROM tool_usage GROUP BY 1"
    )
    assert tools.versions == {row["id"]: Calls(row["calls"], row["errors"]) for row in by_version}

    errors = await read_errors(recorded, selection)
    kinds = await recorded.fetch(
        "SELECT status, error_kind, count(*) AS n, count(DISTINCT configuration_version_id) AS versions"
        " FROM outcomes WHERE NOT success GROUP BY 1, 2"
    )
    assert {(row.status, row.kind): (row.occurrences, row.versions) for row in errors.outcomes} == {
        (row["status"], row["error_kind"]): (row["n"], row["versions"]) for row in kinds
    }


async def test_failures_and_their_patterns(session: Session) -> None:
    first, second = ids.uuid7(), ids.uuid7()
    await write_contents(
        session,
        event(STARTED, subject=first),
        event(STARTED, subject=second),
        *(event(FAILURE_RECORDED, {"message": f"order {number} not found"}, subject=first) for number in range(3)),
        event(FAILURE_RECORDED, {"message": "order 9 not found"}, subject=second),
        event(FAILURE_RECORDED, {"kind": "stuck", "message": "no way on"}, subject=second),
    )
    for selection in (around_now(), around_now(simulation_id=ids.simulation_id("nightly"))):
        errors = await read_errors(session, selection)
        assert [(row.kind, row.occurrences, row.versions) for row in errors.failures] == [
            ("policy_violation", 4, 1),
            ("stuck", 1, 1),
        ]
        patterns = (await read_patterns(session, selection)).patterns
        assert [(row.signature, row.failures, row.executions) for row in patterns] == [
            ("order <n> not found", 4, 2),
            ("no way on", 1, 1),
        ]
    assert (await read_patterns(session, around_now(simulation_id=ids.simulation_id("other")))).patterns == ()


async def test_what_was_not_measured_is_not_zero(session: Session) -> None:
    subject = ids.uuid7()
    bare = {"score": None, "duration_ms": None, "cost_usd": None}
    await write_contents(
        session, event(STARTED, subject=subject), event(COMPLETED, bare, subject=subject), event(TOOL_USED)
    )
    found = await read_performance(session, around_now())
    total = found.total
    assert (total.executions, total.success_rate) == (1, 1.0)
    assert (total.score, total.duration_ms, total.cost_usd, total.cost_usd_per_success) == (None,) * 4
    assert await read_durations(session, around_now(), [found.configurations[0].version.id]) == {}


def test_figures_of_nothing() -> None:
    assert (Figures().success_rate, Figures().success_interval, Figures().cost_usd_per_success) == (None, None, None)


@given(some.integers(1, 10**7).flatmap(lambda runs: some.tuples(some.integers(0, runs), some.just(runs))))
def test_the_interval_is_wilsons(counts: tuple[int, int]) -> None:
    found = wilson_interval(*counts)
    assert found == pytest.approx(proportion_confint(*counts, method="wilson"), abs=1e-9)


async def test_canaries_are_in_nobodys_figures_unless_they_are_asked_for(session: Session) -> None:
    canary = {"name": CANARY_NAME, "purpose": "a test"}
    subject, other = ids.uuid7(), ids.uuid7()
    about = {
        "configuration_version_id": str(ids.configuration_version_id(canary)),
        "scenario_id": str(ids.scenario_id(CANARY_NAME)),
        "simulation_id": None,
    }
    start = {"scenario": CANARY_NAME, "simulation": None, "configuration": canary, "configuration_name": CANARY_NAME}
    await write_contents(
        session,
        event(STARTED, {**about, **start}, subject=subject),
        event(TOOL_USED, about, subject=subject),
        event(COMPLETED, about, subject=subject),
        event(STARTED, {**about, **start}),
        event(STARTED, subject=other),
        event(COMPLETED, subject=other),
    )

    async def found(configuration: str = "", scenario: str = "") -> tuple[int, int, int]:
        filters = Filters(configuration=configuration, scenario=scenario)
        selection = await resolve(session, filters, now=datetime.now(UTC))
        performance = await read_performance(session, selection)
        tools = await read_tools(session, selection)
        executions = (await search(session, Search(selection))).executions
        return performance.total.executions, tools.total.calls, len(executions)

    assert await found() == (1, 0, 1)
    assert await found(configuration=CANARY_NAME) == (1, 1, 2)
    assert await found(configuration=f"{CANARY_NAME}@1") == (1, 1, 2)
    assert (await found(scenario=CANARY_NAME))[0] == 1
    assert (await read_running(session)).alone == ()


async def test_what_has_no_name_yet_is_found_by_its_id(session: Session) -> None:
    """Its start has not arrived, and with it the names."""
    await write_contents(session, event(COMPLETED))
    (row,) = (await read_scenarios(session, around_now())).scenarios
    assert row.reference == str(ids.scenario_id("refund-flow"))
    selection = await resolve(session, Filters(scenario=row.reference), now=datetime.now(UTC))
    assert (await read_performance(session, selection)).total.executions == 1
    await write_contents(session, event(STARTED))
    (row,) = (await read_scenarios(session, around_now())).scenarios
    assert row.reference == "refund-flow"
    selection = await resolve(session, Filters(scenario=row.reference), now=datetime.now(UTC))
    assert (await read_performance(session, selection)).total.executions == 1


async def test_what_a_configuration_means(session: Session) -> None:
    first, second = {"name": "careful", "beam": 1}, {"name": "careful", "beam": 2}
    versions = [ids.configuration_version_id(content) for content in (first, second)]
    for content, version in zip((first, second), versions, strict=True):
        about = {"configuration_version_id": str(version), "configuration": content, "configuration_name": "careful"}
        await write_contents(session, event(STARTED, about))
    assert set(await resolve_versions(session, "careful")) == set(versions)
    assert await resolve_versions(session, "careful@2") == (versions[1],)
    assert await resolve_versions(session, str(versions[0])) == (versions[0],)
    for text in ("nobody", "careful@3", "careful@", "@1"):
        with pytest.raises(NothingMeantError, match="choose one from the list"):
            await resolve_versions(session, text)
    choices = await read_choices(session)
    assert choices.configurations == ("careful", "careful@2", "careful@1")
    assert (choices.scenarios, choices.simulations) == (("refund-flow",), ("nightly",))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"range": "2y"}, "choose one of 1h, 6h"),
        ({"from": "yesterday"}, "must be a time such as"),
        ({"from": "2026-01-02T00:00Z", "to": "2026-01-01T00:00Z"}, "the range is empty"),
        ({"from": "2024-01-01T00:00Z", "to": "2026-01-01T00:00Z"}, "at most 366 days"),
        ({"from": "2019-12-31T00:00Z", "to": "2020-01-03T00:00Z"}, "choose a range from 2020"),
        ({"from": "0001-01-01T00:00+10:00"}, "choose a range|at most|must be a time"),
        ({"to": "9999-12-31T23:59Z"}, "choose a range|at most|must be a time"),
    ],
)
def test_a_range_that_is_none_is_refused(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Filters.of(parameters).window(datetime.now(UTC))


@given(some.dictionaries(some.sampled_from(["range", "from", "to", "configuration", "scenario"]), some.text()))
def test_whatever_an_address_says_is_understood_or_refused(parameters: dict[str, str]) -> None:
    try:
        filters = Filters.of(parameters)
        window = filters.window(datetime.now(UTC))
    except ValueError:
        return
    assert Filters.of(filters.parameters()) == filters
    assert window.since < window.until
    assert all(character.isprintable() or ord(character) > 0x7F for character in filters.configuration)


@given(some.integers(0, 4 * 365 * 86_400), some.timedeltas(timedelta(seconds=1), timedelta(365)))
def test_a_window_is_whole_buckets_around_what_was_asked(seconds: int, length: timedelta) -> None:
    since = datetime(2021, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    window = Window.of(since, since + length)
    assert window.since <= since < window.since + window.step.duration
    assert window.until - window.step.duration < since + length <= window.until
    buckets = window.buckets()
    assert (buckets[0], buckets[-1]) == (window.since, window.until - window.step.duration)
    assert len(buckets) <= 368
