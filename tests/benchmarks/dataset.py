"""Months of executions, made inside the server from the recorded runs: what the benchmarks read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from arc_eval_db.database import Session
from support.recorded_runs import recorded_runs

VERSIONS_PER_MODEL = 4
SIMULATION_EXECUTIONS = 1000

_TEMPLATES = """
CREATE TEMP TABLE runs (
    run int, task text, model text, exit_status text, resolved boolean, cost double precision, sent bigint,
    received bigint, steps int
);
CREATE TEMP TABLE steps (run int, step int, tool text, args_bytes int, result_bytes bigint, error text);

CREATE TEMP TABLE made (
    id uuid, started_at timestamptz, ended_at timestamptz, LIKE runs, version_id uuid, scenario_id uuid,
    simulation_id uuid
) ON COMMIT DELETE ROWS;

CREATE FUNCTION pg_temp.uuid7_at(moment timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(overlay(overlay(
        uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM moment) * 1000)::bigint) FROM 3) FROM 1 FOR 6)
        PLACING set_byte('\\x00'::bytea, 0, 112 + floor(random() * 16)::int) FROM 7 FOR 1), 'hex')::uuid
$$;
"""

_PARENTS = """
INSERT INTO configurations (id, name) SELECT DISTINCT md5('configuration ' || model)::uuid, model FROM runs
ON CONFLICT DO NOTHING;
INSERT INTO configuration_versions (id, configuration_id)
SELECT DISTINCT md5(model || variant)::uuid, md5('configuration ' || model)::uuid
FROM runs, generate_series(1, {versions}) AS variant
ON CONFLICT DO NOTHING;
INSERT INTO scenarios (id, name) SELECT DISTINCT md5('scenario ' || task)::uuid, task FROM runs
ON CONFLICT DO NOTHING;
INSERT INTO failure_patterns (id, kind, signature, example, first_seen_at, last_seen_at)
SELECT DISTINCT
    md5(exit_status)::uuid, exit_status, 'ended with ' || exit_status, 'ended with ' || exit_status, now(), now()
FROM runs WHERE exit_status <> 'submitted'
ON CONFLICT DO NOTHING;
"""

# A day's executions from $1 to $2, evenly spread; what would end after $5 is running, one in a thousand never ends.
_EXECUTIONS = """
INSERT INTO made
SELECT
    pg_temp.uuid7_at(started_at) AS id, started_at,
    CASE WHEN started_at + took < $5::timestamptz AND random() > 0.001 THEN started_at + took END AS ended_at,
    run.*,
    md5(run.model || (1 + floor(random() * {versions})::int))::uuid AS version_id,
    md5('scenario ' || run.task)::uuid AS scenario_id,
    md5('simulation ' || date_trunc('hour', started_at)::text || number / {simulation})::uuid AS simulation_id
FROM (
    SELECT number, $1::timestamptz + number * (INTERVAL '1 day' / $3::int) AS started_at,
        floor(random() * $4::int)::int AS run
    FROM generate_series(0, $3::int - 1) AS number
) AS numbered
JOIN runs AS run USING (run)
CROSS JOIN LATERAL (SELECT (2 * run.steps + random()) * INTERVAL '1 second' AS took) AS duration
WHERE started_at < $2::timestamptz
"""

_ROWS = {
    "simulations": """
INSERT INTO simulations (id, name) SELECT DISTINCT simulation_id, 'nightly-' || left(simulation_id::text, 8) FROM made
ON CONFLICT DO NOTHING""",
    "executions": """
INSERT INTO executions (id, configuration_version_id, scenario_id, simulation_id, started_at, ended_at, source)
SELECT id, version_id, scenario_id, simulation_id, started_at, ended_at, '/sandboxes/' || left(id::text, 8)
FROM made ORDER BY started_at""",
    "execution_events": """
INSERT INTO execution_events (
    time, event_id, execution_id, configuration_version_id, scenario_id, simulation_id, sequence, type, source, data,
    log_partition, log_offset
)
SELECT started_at, pg_temp.uuid7_at(started_at), id, version_id, scenario_id, simulation_id, 1,
    'arc_eval.execution.started.v1', '/sandboxes/' || left(id::text, 8),
    jsonb_build_object('scenario', task, 'attempt', 1), abs(hashtext(id::text)) % 6,
    row_number() OVER (ORDER BY started_at)
FROM made ORDER BY started_at""",
    "tool_usage": """
INSERT INTO tool_usage (
    time, event_id, execution_id, configuration_version_id, scenario_id, simulation_id, sequence, tool, success,
    duration_ms, error, arguments, result_bytes, log_partition, log_offset
)
SELECT time, pg_temp.uuid7_at(time), id, version_id, scenario_id, simulation_id, step + 2, tool, error IS NULL,
    round((1500 * exp(2 * random() - 1))::numeric, 3)::double precision, error,
    jsonb_build_object('bytes', args_bytes), result_bytes, abs(hashtext(id::text)) % 6,
    row_number() OVER (ORDER BY time)
FROM (
    SELECT made.*, step.step, step.tool, step.error, step.args_bytes, step.result_bytes,
        made.started_at + (2 * step.step + random()) * INTERVAL '1 second' AS time
    FROM made JOIN steps AS step USING (run)
    WHERE step.step < $1::int
) AS used
WHERE time < $2::timestamptz ORDER BY time""",
    "failures": """
INSERT INTO failures (
    time, event_id, execution_id, configuration_version_id, scenario_id, simulation_id, sequence, kind, message,
    pattern_id, log_partition, log_offset
)
SELECT ended_at, pg_temp.uuid7_at(ended_at), id, version_id, scenario_id, simulation_id, steps + 2,
    exit_status, 'ended with ' || exit_status, md5(exit_status)::uuid, abs(hashtext(id::text)) % 6,
    row_number() OVER (ORDER BY ended_at)
FROM made WHERE ended_at IS NOT NULL AND exit_status <> 'submitted' ORDER BY ended_at""",
    "outcomes": """
INSERT INTO outcomes (
    time, event_id, execution_id, configuration_version_id, scenario_id, simulation_id, sequence, status, success,
    score, duration_ms, cost_usd, input_tokens, output_tokens, error_kind, last_sequence, log_partition, log_offset
)
SELECT ended_at, pg_temp.uuid7_at(ended_at), id, version_id, scenario_id, simulation_id, least(steps, $1::int) + 2,
    CASE WHEN resolved THEN 'succeeded' WHEN exit_status IS NULL THEN 'errored' ELSE 'failed' END, resolved,
    resolved::int, steps * 2000 + 1000 * random(), cost * (0.9 + 0.2 * random()),
    (sent * (0.9 + 0.2 * random()))::bigint, (received * (0.9 + 0.2 * random()))::bigint, exit_status,
    least(steps, $1::int) + 2 + (exit_status IS NOT NULL AND exit_status <> 'submitted')::int,
    abs(hashtext(id::text)) % 6, row_number() OVER (ORDER BY ended_at)
FROM made WHERE ended_at IS NOT NULL ORDER BY ended_at""",
}

_ARGUMENTS = {"tool_usage": ("steps", "until"), "outcomes": ("steps",)}


async def prepare(session: Session) -> int:
    """Load the recorded runs beside the schema, and what every execution points at. Returns how many runs there are."""
    runs = recorded_runs()
    await session.execute(_TEMPLATES)
    await session.copy("runs", _RUN_COLUMNS, [_run(number, run) for number, run in enumerate(runs)])
    steps = [
        (number, position, step["tool"], step["args_bytes"], step["result_bytes"], step["error"])
        for number, run in enumerate(runs)
        for position, step in enumerate(run["steps"])
    ]
    await session.copy("steps", ("run", "step", "tool", "args_bytes", "result_bytes", "error"), steps)
    await session.execute(_PARENTS.format(versions=VERSIONS_PER_MODEL))
    return len(runs)


_RUN_COLUMNS = ("run", "task", "model", "exit_status", "resolved", "cost", "sent", "received", "steps")


def _run(number: int, run: dict[str, Any]) -> tuple[Any, ...]:
    return (
        number,
        run["task"],
        run["model"],
        run["exit_status"],
        run["resolved"],
        run["cost_usd"],
        run["tokens_sent"],
        run["tokens_received"],
        len(run["steps"]),
    )


async def fill(
    session: Session,
    *,
    runs: int,
    since: datetime,
    until: datetime,
    executions_per_day: int,
    steps: int,
    report: Callable[[str], None],
) -> None:
    """Write the executions that began from `since` to `until`, one transaction a day.

    Args:
        runs: what `prepare` returned.
        steps: at most so many tool uses of each execution.
    """
    statement = _EXECUTIONS.format(versions=VERSIONS_PER_MODEL, simulation=SIMULATION_EXECUTIONS)
    arguments = {"steps": steps, "until": until}
    begin = since
    while begin < until:
        end = min(begin + timedelta(days=1), until)
        async with session.transaction():
            await session.execute(statement, begin, end, executions_per_day, runs, until)
            for table, insert in _ROWS.items():
                await session.execute(insert, *(arguments[name] for name in _ARGUMENTS.get(table, ())))
        report(f"filled up to {end:%Y-%m-%d %H:%M}")
        begin = end
