"""Guards of what makes the sink fast: events read in bulk, batches made beforehand, several processes."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_BULK = "schemas/arc_eval_db/schemas/bulk.py"
_READ_AHEAD = "consumers/arc_eval_db/consumers/read_ahead.py"
_SINK = "consumers/arc_eval_db/consumers/sink.py"
_PROCESSES = "consumers/arc_eval_db/consumers/worker_processes.py"

_BULK_TESTS = "tests/schemas/test_schemas_bulk.py"
_READ_AHEAD_TESTS = "tests/consumers/test_consumers_read_ahead.py"
_KNOWN_TESTS = "tests/consumers/test_consumers_known_parents.py"
_PROCESS_TESTS = "tests/cli/test_cli_workers.py"

SINK_MUTATIONS = (
    Mutation(
        "bulk-ids",
        "Ids that are read in bulk have the form and the version that the parser asks for",
        _BULK,
        "    if not _have_ids(columns):\n        return None\n",
        "",
        (f"{_BULK_TESTS}::test_ids_in_another_form_are_left_to_the_parser",),
    ),
    Mutation(
        "bulk-time",
        "Times that are read in bulk are within the window",
        _BULK,
        "    return columns if min(times) >= TIME_MIN and max(times) <= time_max else None\n",
        "    return columns\n",
        (f"{_BULK_TESTS}::test_limits_are_the_parsers",),
    ),
    Mutation(
        "bulk-depth",
        "What is read in bulk is not nested too deep",
        _BULK,
        "    return opened <= JSON_DEPTH_MAX or not any(map(exceeds_depth, values))\n",
        "    return opened >= 0\n",
        (f"{_BULK_TESTS}::test_limits_are_the_parsers",),
    ),
    Mutation(
        "bulk-numbers",
        "Numbers that JSON cannot hold are refused in bulk too",
        _BULK,
        "        check_exact_json(value)  # orjson makes a null of a number that is not finite\n",
        "        pass\n",
        (f"{_BULK_TESTS}::test_it_takes_nothing_that_the_parser_takes_otherwise",),
    ),
    Mutation(
        "bulk-consistency",
        "A start whose ids are not those of what it names is refused in bulk too",
        _BULK,
        "            if not all(map(_is_consistent, *map(columns.__getitem__, _CONSISTENT))):\n",
        "            if False:\n",
        (f"{_BULK_TESTS}::test_it_takes_nothing_that_the_parser_takes_otherwise",),
    ),
    Mutation(
        "known-parents-committed",
        "What a transaction wrote is known only once it is committed",
        _SINK,
        "        async with session.transaction():\n            report",
        "        self._known.note(batch.rows.contexts)\n        async with session.transaction():\n            report",
        (f"{_KNOWN_TESTS}::test_what_was_rolled_back_is_not_known",),
    ),
    Mutation(
        "known-parents-forgotten",
        "What one connection's database knows is not expected of the next one's",
        _SINK,
        "            self._known.forget()\n",
        "            pass\n",
        (f"{_KNOWN_TESTS}::test_another_connection_may_be_another_database",),
    ),
    Mutation(
        "read-ahead-forgets",
        "Nobody goes on behind records that were read beforehand and dropped",
        _READ_AHEAD,
        "        self._source.forget_positions()\n",
        "",
        (f"{_READ_AHEAD_TESTS}::test_what_was_dropped_is_read_again",),
    ),
    Mutation(
        "workers-restart",
        "A worker process that dies is started again",
        _PROCESSES,
        "            if self._stopping.is_set() or (code == 0 and not self._restart_ended):\n",
        "            if True:\n",
        (f"{_PROCESS_TESTS}::test_a_worker_that_dies_is_replaced",),
    ),
    Mutation(
        "workers-fatal",
        "A worker process that a person has to help is not started again and again",
        _PROCESSES,
        "            if code == EXIT_FATAL:\n",
        "            if code is None:\n",
        (f"{_PROCESS_TESTS}::test_what_needs_a_person_ends_all",),
    ),
    Mutation(
        "workers-end-together",
        "Worker processes do not outlive the one that started them",
        "cli/arc_eval_db/cli/consume.py",
        "    _at_end_of_input(worker.stop)\n    saying",
        "    saying",
        (f"{_PROCESS_TESTS}::test_workers_end_with_the_process_that_started_them",),
    ),
)
