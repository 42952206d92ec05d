"""Guards below the consumer: the adapter to the driver, the writer, the schema, the statements."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_SESSION = "sql/arc_eval_db/database/session.py"
_ERRORS = "sql/arc_eval_db/database/errors.py"
_BATCH_WRITER = "sql/arc_eval_db/writer/batch_writer.py"
_TABLE_ROWS = "sql/arc_eval_db/writer/table_rows.py"
_TABLES = "sql/migrations/0001_core_tables.up.sql"
_CONNECTING = "sql/arc_eval_db/database/connecting.py"

_DATABASE_TESTS = "tests/sql/test_sql_database.py"
_WRITER_TESTS = "tests/sql/test_sql_writer.py"
_OFFSET_TESTS = "tests/sql/test_sql_offsets.py"
_SINK_TESTS = "tests/consumers/test_consumers_sink.py"
_GUARD_TESTS = "tests/fault/test_fault_guards.py"


def _unique_index(table: str) -> Mutation:
    return Mutation(
        f"unique-index-{table.replace('_', '-')}",
        f"An event twice is one row of `{table}`: unique (event_id, time)",
        _TABLES,
        f"CREATE UNIQUE INDEX {table}_event_id_time_key",
        f"CREATE INDEX {table}_event_id_time_key",
        (f"{_WRITER_TESTS}::test_writing_the_same_again_touches_no_row",),
    )


def _sqlstate(
    code: str, error: str, meaning: str, test: str = f"{_DATABASE_TESTS}::test_errors_are_told_apart_by_their_sqlstate"
) -> Mutation:
    return Mutation(
        f"sqlstate-{code.lower()}",
        f"SQLSTATE {code}: {meaning}",
        _ERRORS,
        f'    "{code}": {error},',
        "",
        (test,),
    )


_OFFSETS = (
    Mutation(
        "compare-and-set",
        "A consumer that lost its partition moves no offset: compare-and-set",
        "sql/queries/offsets.sql",
        "step (topic, partition, before_offset, after_offset, anchor_offset, anchor_timestamp_ms, anchor_hash)\n"
        "        ON o.topic = step.topic AND o.partition = step.partition AND o.next_offset = step.before_offset",
        "step (topic, partition, before_offset, after_offset, anchor_offset, anchor_timestamp_ms, anchor_hash)\n"
        "        ON o.topic = step.topic AND o.partition = step.partition",
        (f"{_SINK_TESTS}::test_the_slower_of_two_consumers_writes_nothing",),
    ),
    Mutation(
        "fenced-error",
        "An offset that did not move ends the transaction",
        "sql/arc_eval_db/writer/offsets.py",
        "if fenced := sorted(set(wanted) - moved):",
        "if fenced := sorted(set(wanted) - moved - set(wanted)):",
        (f"{_SINK_TESTS}::test_the_slower_of_two_consumers_writes_nothing",),
    ),
)

_ROWS = (
    *(_unique_index(table) for table in ("outcomes", "tool_usage", "failures", "execution_events")),
    Mutation(
        "duplicates-left-out",
        "Rows that are there already do not keep the others from being written",
        _TABLE_ROWS,
        "FROM {staging} ON CONFLICT DO NOTHING",
        "FROM {staging}",
        (f"{_WRITER_TESTS}::test_an_event_twice_in_one_batch_is_one_row",),
    ),
    Mutation(
        "savepoint-around-the-batch",
        "A refused row does not end the transaction: savepoint around the first COPY",
        _BATCH_WRITER,
        "async with session.savepoint():\n                # The rows come before",
        "if True:\n                # The rows come before",
        (f"{_WRITER_TESTS}::test_refused_rows_are_found_and_the_others_written",),
    ),
    Mutation(
        "savepoint-around-an-attempt",
        "Nor while it is searched for: savepoint around each attempt",
        _TABLE_ROWS,
        "async with session.savepoint():\n                return await _copy_rows",
        "if True:\n                return await _copy_rows",
        (f"{_WRITER_TESTS}::test_refused_rows_are_found_and_the_others_written",),
    ),
    Mutation(
        "suspects-are-tried-alone",
        "A row is refused only after it was refused alone, whatever line the server named",
        _TABLE_ROWS,
        "            is_refused = await _store_alone(session, table, window[suspect], stored)",
        "            is_refused = True\n            stored.refused.append((window[suspect][0], refusal))",
        (f"{_WRITER_TESTS}::test_a_server_that_does_not_know_the_line_costs_time_and_nothing_else",),
    ),
    Mutation(
        "parents-before-the-commit",
        "No row lacks its execution: what rows point at is written in their transaction",
        _BATCH_WRITER,
        "                await batch.parents(known=known).write(session)\n            report = BatchReport(inserted",
        "            report = BatchReport(inserted",
        (f"{_WRITER_TESTS}::test_tools_before_any_start_have_their_execution",),
    ),
    Mutation(
        "lock-order",
        "Writers that meet the same executions do not deadlock: rows are locked in one order",
        "sql/queries/parents.sql",
        "        AND (known.metadata IS NOT NULL OR given.metadata IS NULL)\n)\nORDER BY id\n",
        "        AND (known.metadata IS NOT NULL OR given.metadata IS NULL)\n)\n",
        (f"{_GUARD_TESTS}::test_writers_that_meet_the_same_executions_in_opposite_order_take_turns",),
    ),
)

_CONNECTION = (
    Mutation(
        "copy-timeout",
        "A COPY to a silent server ends: time-out outside the driver",
        _SESSION,
        "asyncio.wait({copy}, timeout=self._command_timeout_s)",
        "asyncio.wait({copy})",
        (f"{_DATABASE_TESTS}::test_copy_ends_in_time_when_the_server_falls_silent",),
    ),
    Mutation(
        "copy-termination-listener",
        "A COPY on a lost connection ends at once: termination listener",
        _SESSION,
        "self._connection.add_termination_listener(end)",
        "pass",
        (f"{_DATABASE_TESTS}::test_copy_ends_at_once_when_the_connection_is_lost",),
    ),
    Mutation(
        "terminate-instead-of-rollback",
        "A cancelled transaction drops its connection instead of rolling back on it",
        _SESSION,
        "            else:\n                self.terminate()\n            raise",
        "            else:\n                await self._roll_back(transaction)\n            raise",
        (f"{_DATABASE_TESTS}::test_cancelling_a_transaction_drops_the_connection_and_stays_a_cancellation",),
    ),
    Mutation(
        "idle-in-transaction-timeout",
        "A frozen consumer holds its locks only for a while",
        _CONNECTING,
        '"idle_in_transaction_session_timeout": str(settings.database_idle_in_transaction_timeout_ms),',
        "",
        (f"{_OFFSET_TESTS}::test_a_frozen_consumer_holds_the_others_up_only_for_a_while",),
    ),
    Mutation(
        "lock-timeout",
        "A lock that is not given is an error to try again, not a wait for ever",
        _CONNECTING,
        '"lock_timeout": str(settings.database_lock_timeout_ms),',
        "",
        (f"{_OFFSET_TESTS}::test_a_frozen_consumer_holds_the_others_up_only_for_a_while",),
    ),
    Mutation(
        "session-timezone",
        "Times mean UTC whatever the server is set to",
        _CONNECTING,
        '            "timezone": "UTC",\n',
        "",
        (f"{_GUARD_TESTS}::test_a_servers_time_zone_does_not_reach_a_session",),
    ),
)

_CLASSES = (
    _sqlstate("22", "RowRefusedError", "a value cannot be stored; the row is set aside"),
    _sqlstate(
        "23",
        "RowRefusedError",
        "a constraint refuses the row; it is set aside",
        f"{_WRITER_TESTS}::test_refused_rows_are_found_and_the_others_written",
    ),
    _sqlstate("23505", "DuplicateRowError", "the row is there already; no dead letter"),
    _sqlstate("23502", "SchemaMismatchError", "the schema is to blame, not the event"),
    _sqlstate(
        "40",
        "TransactionConflictError",
        "a deadlock is tried again, without the breaker",
        "tests/fault/test_fault_schema.py::test_a_deadlock_is_tried_again_and_costs_nothing",
    ),
    _sqlstate(
        "42",
        "SchemaMismatchError",
        "a missing table or right stops loudly",
        f"{_GUARD_TESTS}::test_a_right_that_is_missing_stops_a_worker",
    ),
    _sqlstate(
        "53200",
        "BatchTooLargeError",
        "the same again with fewer rows",
        f"{_GUARD_TESTS}::test_what_a_worker_tries_again",
    ),
    _sqlstate(
        "55P03",
        "TransactionConflictError",
        "a lock time-out is tried again",
        f"{_GUARD_TESTS}::test_what_a_worker_tries_again",
    ),
    _sqlstate(
        "57014",
        "BatchTooLargeError",
        "after a statement time-out the batch is tried again, with fewer rows",
        f"{_GUARD_TESTS}::test_what_a_worker_tries_again",
    ),
    Mutation(
        "lost-connection-first",
        "A lost connection is an outage, whatever exception it surfaces as",
        _ERRORS,
        "raise _translated(error, is_closed=connection is not None and is_closed(connection)) from error",
        "raise _translated(error, is_closed=False) from error",
        (f"{_GUARD_TESTS}::test_an_exception_of_a_lost_connection_is_no_refused_row",),
    ),
    Mutation(
        "lost-connection-by-other-names",
        "So it is where the event loop says so with an error of its own",
        _ERRORS,
        "except (RuntimeError, AttributeError) as error:",
        "except ZeroDivisionError as error:",
        (f"{_GUARD_TESTS}::test_an_exception_of_a_lost_connection_is_no_refused_row",),
    ),
    Mutation(
        "no-values-in-messages",
        "What the database says of a value is cut out of its message",
        _ERRORS,
        'text = _QUOTED.sub("…", text)',
        "pass",
        (f"{_DATABASE_TESTS}::test_messages_show_no_values",),
    ),
)

DATABASE_MUTATIONS = (*_OFFSETS, *_ROWS, *_CONNECTION, *_CLASSES)
