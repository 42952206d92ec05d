"""Guards of the consumer: what it reads, what it sets aside, what it commits, when it gives up."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_SINK = "consumers/arc_eval_db/consumers/sink.py"
_SOURCE = "consumers/arc_eval_db/consumers/kafka/source.py"
_WORKER = "consumers/arc_eval_db/consumers/worker.py"
_WATCHDOG = "consumers/arc_eval_db/consumers/watchdog.py"
_POSITIONING = "consumers/arc_eval_db/consumers/positioning.py"
_HANDLER = "consumers/arc_eval_db/consumers/handler.py"
_PARSING = "schemas/arc_eval_db/schemas/parsing.py"

_SINK_TESTS = "tests/consumers/test_consumers_sink.py"
_WORKER_TESTS = "tests/consumers/test_consumers_worker.py"
_HANDLER_TESTS = "tests/consumers/test_consumers_handler.py"
_POSITION_TESTS = "tests/consumers/test_consumers_positioning.py"
_LIMIT_TESTS = "tests/consumers/test_consumers_dead_letter_limit.py"
_BREAKER_TESTS = "tests/consumers/test_consumers_breaker.py"
_WATCHDOG_TESTS = "tests/consumers/test_consumers_watchdog.py"
_SECRET_TESTS = "tests/fault/test_fault_secrets.py"
_GUARD_TESTS = "tests/fault/test_fault_guards.py"
_CONTENT_TESTS = "tests/fault/test_fault_content.py"

_COMMIT = (
    Mutation(
        "offsets-with-the-rows",
        "Rows and offsets are one transaction",
        _SINK,
        "            await self._offsets.advance(session, ranges, anchors)\n        self._limit.note",
        "        await self._offsets.advance(session, ranges, anchors)\n        self._limit.note",
        (f"{_SINK_TESTS}::test_the_slower_of_two_consumers_writes_nothing",),
    ),
    Mutation(
        "dead-letters-with-the-rows",
        "Dead letters and offsets are one transaction",
        _SINK,
        "            await insert_dead_letters(session, letters, group=self._offsets.group, version=CONSUMER_VERSION)\n"
        "            # Last, so that the lock on the offsets is held no longer than the commit takes.\n"
        "            await self._offsets.advance(session, ranges, anchors)\n",
        "            await self._offsets.advance(session, ranges, anchors)\n"
        "        await insert_dead_letters(session, letters, group=self._offsets.group, version=CONSUMER_VERSION)\n",
        (f"{_GUARD_TESTS}::test_a_dead_letter_that_cannot_be_written_holds_the_whole_batch",),
    ),
    Mutation(
        "dead-letter-once",
        "A record that is read again is set aside once",
        "sql/queries/dead_letters.sql",
        "ON CONFLICT (topic, log_partition, log_offset, log_timestamp) DO NOTHING",
        "",
        (f"{_SINK_TESTS}::test_a_dead_letter_is_stored_once",),
    ),
    Mutation(
        "dead-letter-limit",
        "A bad deploy does not turn a topic into dead letters",
        _SINK,
        "            self._limit.check(batch.records, letters)\n",
        "",
        (f"{_LIMIT_TESTS}::test_a_worker_stops_before_it_drains_a_topic_into_the_dead_letters",),
    ),
    Mutation(
        "dead-letter-limit-after-a-restart",
        "Nor does a worker that is started again and again, bit by bit",
        _WORKER,
        "        await self._limit.recall(session, new)\n",
        "",
        (f"{_LIMIT_TESTS}::test_a_worker_that_is_started_again_and_again_does_not_drain_a_topic_bit_by_bit",),
    ),
    Mutation(
        "smaller-batches",
        "What is too much for one transaction is tried again with fewer rows",
        _WORKER,
        "self._records_max = max(1, self._records_max // 2)",
        "pass",
        (f"{_WORKER_TESTS}::test_a_batch_that_is_too_much_for_the_server_is_made_smaller",),
    ),
)

_READ = (
    Mutation(
        "pause-on-assign",
        "A new partition is not read before the database said from where",
        _SOURCE,
        "self._consumer.pause(*assigned)",
        "pass",
        (f"{_WORKER_TESTS}::test_a_position_that_cannot_be_read_lets_no_record_through",),
    ),
    Mutation(
        "positioned-partitions-only",
        "Nor are records handed out that were fetched before",
        _SOURCE,
        "if messages and partition in self._positioned",
        "if messages",
        (f"{_GUARD_TESTS}::test_records_of_a_partition_without_a_position_are_not_handed_out",),
    ),
    Mutation(
        "no-reset-of-offsets",
        "An offset that the log no longer holds is not passed over in silence",
        _SOURCE,
        'auto_offset_reset="none"',
        'auto_offset_reset="latest"',
        (f"{_POSITION_TESTS}::test_retention_overtakes_a_worker_at_work",),
    ),
    Mutation(
        "read-committed",
        "What a producer's transaction took back becomes no row",
        _SOURCE,
        'isolation_level="read_committed"',
        'isolation_level="read_uncommitted"',
        (f"{_GUARD_TESTS}::test_what_a_producer_took_back_becomes_no_row",),
    ),
    Mutation(
        "silent-broker",
        "A broker that does not answer is no progress, and the client is rebuilt",
        _WORKER,
        "if silent_s > self._kafka.request_timeout_ms / 1000 + _SILENCE_GRACE_S:",
        "if silent_s < 0:",
        (f"{_WORKER_TESTS}::test_a_dead_broker_is_no_progress",),
    ),
)

_CONTENT = (
    Mutation(
        "nul-replacement",
        "NUL in a text, which PostgreSQL cannot store, costs no event",
        _HANDLER,
        'value, nul_replaced = replace_nul(record.value or b"")',
        'value, nul_replaced = record.value or b"", 0',
        (f"{_CONTENT_TESTS}::test_poison_among_good_events_costs_none_of_them",),
    ),
    Mutation(
        "size-limit",
        "An event over 900,000 bytes is refused before it is parsed",
        _PARSING,
        "if len(raw) > EVENT_BYTES_MAX:",
        "if len(raw) < 0:",
        (f"{_CONTENT_TESTS}::test_poison_among_good_events_costs_none_of_them",),
    ),
    Mutation(
        "depth-limit",
        "JSON nested too deep is refused before it is parsed",
        _PARSING,
        "if exceeds_depth(raw):",
        "if len(raw) < 0:",
        (f"{_CONTENT_TESTS}::test_poison_among_good_events_costs_none_of_them",),
    ),
    Mutation(
        "time-window",
        "Times that would make chunks of their own, or infinity, are refused",
        _PARSING,
        "if not TIME_MIN <= event.time <= (now or datetime.now(UTC)) + TIME_AHEAD_MAX:",
        "if event.time is None:",
        ("tests/fault/test_fault_time.py::test_times_outside_of_the_window_are_dead_letters",),
    ),
    Mutation(
        "finite-numbers",
        "NaN and infinity are refused wherever they stand",
        "schemas/arc_eval_db/schemas/json_fields.py",
        "if isinstance(number, float) and not math.isfinite(number):",
        "if number is None:",
        (f"{_CONTENT_TESTS}::test_poison_among_good_events_costs_none_of_them",),
    ),
    Mutation(
        "right-topic",
        "An event on another type's topic is set aside",
        _HANDLER,
        "if not self._topics.carries(record.topic, event.type):",
        "if not record.topic:",
        (f"{_HANDLER_TESTS}::test_a_known_type_on_the_wrong_topic_is_refused",),
    ),
)

_PROGRESS = (
    Mutation(
        "current-schema",
        "A worker does not write into a schema that is older than it",
        _WORKER,
        "                    await require_current_schema(session)\n",
        "",
        (f"{_WORKER_TESTS}::test_a_missing_schema_stops_loudly",),
    ),
    Mutation(
        "drain-deadline",
        "A stop does not wait for ever for the batch in hand",
        _WORKER,
        "await asyncio.wait({consuming}, timeout=self._settings.drain_timeout_s * _DRAIN_SHARE)",
        "await asyncio.wait({consuming})",
        (f"{_WORKER_TESTS}::test_a_batch_that_outlasts_the_drain_is_given_up_whole",),
    ),
    Mutation(
        "drop-the-silent-session",
        "Nor for a database that does not answer",
        _WATCHDOG,
        "                before_cancel()\n",
        "",
        (f"{_WORKER_TESTS}::test_a_stop_keeps_its_deadline_with_a_silent_database",),
    ),
    Mutation(
        "uvloop-lost-connection",
        "A connection that uvloop has lost is an outage and not the end of the worker",
        "consumers/arc_eval_db/consumers/kafka/errors.py",
        '        if "the handler is closed" not in str(error):\n',
        "        if error is not None:\n",
        ("tests/consumers/test_consumers_kafka_errors.py::test_a_connection_that_uvloop_has_lost_is_an_outage",),
    ),
    Mutation(
        "breaker",
        "A database that does not answer is left alone for a while",
        _WORKER,
        "if not self._breaker.allows():",
        "if self._session is self:",
        (f"{_BREAKER_TESTS}::test_an_outage_is_waited_out_in_the_group_and_probed_with_a_small_batch",),
    ),
    Mutation(
        "small-probe",
        "And then asked with a small batch",
        _WORKER,
        "self._records_max = min(self._records_max, _PROBE_RECORDS_MAX)\n                self._account",
        "self._account",
        (f"{_BREAKER_TESTS}::test_an_outage_is_waited_out_in_the_group_and_probed_with_a_small_batch",),
    ),
    Mutation(
        "conflicts-open-nothing",
        "A deadlock or a lock time-out is an answer, and opens no breaker",
        _WORKER,
        "self._breaker.succeeded()  # it answered",
        "self._breaker.failed(lost_connection=True)",
        (f"{_BREAKER_TESTS}::test_a_conflict_is_an_answer_and_opens_nothing",),
    ),
    Mutation(
        "stay-in-the-group",
        "A worker that waits for the database stays in its group, paused",
        _WORKER,
        "            await source.idle(seconds, self._stopping)\n            return\n",
        "            pass\n",
        (f"{_BREAKER_TESTS}::test_a_worker_that_waits_stays_in_its_group",),
    ),
    Mutation(
        "watchdog",
        "A worker that stopped moving starts over",
        _WATCHDOG,
        "await asyncio.wait({task}, timeout=left)",
        "await asyncio.wait({task})",
        (f"{_WATCHDOG_TESTS}::test_work_that_stands_still_is_ended_and_said_where",),
    ),
    Mutation(
        "cancelled-from-within",
        "A Kafka client that cancels the work it is part of does not end the worker",
        _WATCHDOG,
        "            if task.cancelled():",
        "            if False:",
        (f"{_WATCHDOG_TESTS}::test_work_that_is_cancelled_from_within_did_not_end",),
    ),
    Mutation(
        "blocked-event-loop",
        "A process whose event loop is blocked ends, and says where",
        _WATCHDOG,
        "            faulthandler.dump_traceback_later(timeout_s, exit=True)\n",
        "",
        (f"{_WATCHDOG_TESTS}::test_a_process_whose_event_loop_is_blocked_ends_and_says_where",),
    ),
    Mutation(
        "forgotten-by-the-group",
        "A worker without partitions in a group that stands still joins it anew",
        "consumers/arc_eval_db/consumers/standby.py",
        "max(self._patience_s_min, _PATIENCE_S_MAX))\n        return True",
        "max(self._patience_s_min, _PATIENCE_S_MAX))\n        return False",
        (f"{_WATCHDOG_TESTS}::test_a_worker_without_partitions",),
    ),
    Mutation(
        "no-requests-in-logs",
        "The Kafka client does not log requests, which hold events and passwords",
        "consumers/arc_eval_db/consumers/logs.py",
        "logging.CRITICAL if level > logging.DEBUG else logging.INFO",
        "logging.CRITICAL if level > logging.DEBUG else logging.DEBUG",
        (f"{_SECRET_TESTS}::test_payloads_show_nowhere_but_in_their_rows_and_dead_letters",),
    ),
    Mutation(
        "no-values-in-settings-errors",
        "An error in settings does not show the value, which may be a password in the wrong place",
        "consumers/arc_eval_db/consumers/settings.py",
        ", hide_input_in_errors=True)",
        ")",
        (f"{_SECRET_TESTS}::test_a_traceback_of_wrong_settings_shows_no_value",),
    ),
)

_LOG = (
    Mutation(
        "stored-offsets-not-kafkas",
        "The database says where to go on, not Kafka",
        _POSITIONING,
        "            source.seek(positions)\n",
        "            source.seek({partition: bounds[partition].end for partition in positions})\n",
        (f"{_WORKER_TESTS}::test_the_database_says_where_to_start_and_not_kafka",),
    ),
    Mutation(
        "gap-recorded",
        "What retention took before it was read is recorded",
        "sql/arc_eval_db/writer/offsets.py",
        "            await self._insert_gaps(session, {partition: gap.first}, gap.end, GapReason.RETENTION, version)\n",
        "",
        (f"{_POSITION_TESTS}::test_what_retention_took_is_recorded_exactly",),
    ),
    Mutation(
        "gap-once",
        "And once, by one of two that see it: compare-and-set of the jump",
        "sql/queries/offsets.sql",
        "step (topic, partition, before_offset, after_offset)\n"
        "        ON o.topic = step.topic AND o.partition = step.partition AND o.next_offset = step.before_offset",
        "step (topic, partition, before_offset, after_offset)\n"
        "        ON o.topic = step.topic AND o.partition = step.partition",
        (f"{_POSITION_TESTS}::test_a_gap_is_recorded_by_one_of_two_that_see_it",),
    ),
    Mutation(
        "anchor",
        "A topic made anew, with at least as many records, is recognised by its last known record",
        _POSITIONING,
        "return None if found is not None and anchor_of(found) == position.anchor else HaltReason.TOPIC_RECREATED",
        "return None",
        (f"{_POSITION_TESTS}::test_a_topic_made_anew_is_halted_until_it_is_accepted",),
    ),
    Mutation(
        "offset-beyond-the-log",
        "A topic made anew, with fewer records, is recognised by its end",
        _POSITIONING,
        "if position.next_offset > bounds.end:",
        "if position.next_offset < 0:",
        (f"{_POSITION_TESTS}::test_a_topic_made_anew_is_halted_until_it_is_accepted",),
    ),
    Mutation(
        "hold",
        "A halted partition is not read",
        _SOURCE,
        "                self._consumer.pause(partition)\n                self._consumer.seek(partition, offset)\n"
        "                self._positioned.pop(partition, None)\n",
        "                self._consumer.seek(partition, offset)\n                self._consumer.resume(partition)\n"
        "                self._positioned[partition] = time.time() * 1000\n",
        (f"{_POSITION_TESTS}::test_a_topic_made_anew_is_halted_until_it_is_accepted",),
    ),
    Mutation(
        "new-partitions-from-their-beginning",
        "A partition that was added is read from its beginning",
        _POSITIONING,
        "{partition: bounds[partition].start for partition in unseen}",
        "{partition: bounds[partition].end for partition in unseen}",
        (f"{_POSITION_TESTS}::test_new_partitions_are_read_from_their_beginning",),
    ),
)

CONSUMER_MUTATIONS = (*_COMMIT, *_READ, *_LOG, *_CONTENT, *_PROGRESS)
