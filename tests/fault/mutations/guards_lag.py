"""Guards of lag: what is said of it, and that saying it does no harm."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_LAG = "consumers/arc_eval_db/consumers/lag"
_TESTS = "tests/consumers/test_consumers_lag.py"
_SAMPLING_TESTS = "tests/consumers/test_consumers_lag_sampling.py"
_STATE_TESTS = "tests/consumers/test_consumers_lag_states.py"

LAG_MUTATIONS = (
    Mutation(
        "lag-sampling-does-no-harm",
        "A sample of the lag that fails does not end its worker's sampling",
        f"{_LAG}/sampling.py",
        "except Exception as error:",
        "except TimeoutError as error:",
        (f"{_SAMPLING_TESTS}::test_a_worker_goes_on_where_sampling_fails",),
    ),
    Mutation(
        "lag-sampling-ends",
        "Sampling ends with its worker also where the Kafka client swallows that it was cancelled",
        f"{_LAG}/sampling.py",
        "while not self._is_over:",
        "while True:",
        (f"{_SAMPLING_TESTS}::test_a_cancellation_that_is_swallowed_does_not_keep_the_worker",),
    ),
    Mutation(
        "lag-samples-leave-the-database-alone",
        "Nor is a database asked to take one while the breaker is open",
        f"{_LAG}/sampling.py",
        "if samples and self._may_write():",
        "if samples:",
        (f"{_SAMPLING_TESTS}::test_a_database_that_is_to_be_left_alone_is",),
    ),
    Mutation(
        "lag-samples-bounded",
        "One sample is kept of a partition and interval, whoever takes it",
        "sql/queries/lag.sql",
        "sample.time > now() - $9::interval",
        "sample.time > now() + $9::interval",
        (f"{_SAMPLING_TESTS}::test_there_is_one_sample_a_partition_and_interval_whoever_takes_it",),
    ),
    Mutation(
        "lag-samples-take-turns",
        "Also where several take it at once",
        f"{_LAG}/sampling.py",
        '            await session.execute(queries("lag")["lock_lag_samples"], self._group)\n',
        "",
        (f"{_SAMPLING_TESTS}::test_a_worker_waits_while_another_takes_the_sample",),
    ),
    Mutation(
        "lag-gauges-forgotten",
        "The lag of a partition that another worker has is shown no more",
        f"{_LAG}/sampling.py",
        '            self._metrics.forget("arc_eval_consumer_lag_messages", **_labels(partition))\n',
        "",
        (f"{_SAMPLING_TESTS}::test_a_sample_says_what_is_unread",),
    ),
    Mutation(
        "lag-holes",
        "Offsets without a record are no lag",
        f"{_LAG}/measuring.py",
        "        return Unread(0)\n    messages",
        "        return Unread(lag.lag_messages)\n    messages",
        (f"{_TESTS}::test_a_transaction_s_marker_is_not_lag_for_ever",),
    ),
    Mutation(
        "lag-by-the-broker-s-time",
        "An event that was old when it arrived is not that far behind",
        f"{_LAG}/measuring.py",
        "return _age_s(self.messages, self.logged_at, now)",
        "return _age_s(self.messages, self.produced_at, now)",
        (f"{_TESTS}::test_a_replay_is_shown_and_is_no_age",),
    ),
    Mutation(
        "lag-of-living-replays",
        "A replay whose process is gone is not shown as running",
        "sql/queries/lag.sql",
        "    AND EXISTS (\n        SELECT FROM pg_locks",
        "    OR EXISTS (\n        SELECT FROM pg_locks",
        (f"{_TESTS}::test_a_replay_is_shown_and_is_no_age",),
    ),
    Mutation(
        "lag-paused-by-the-breaker",
        "A worker whose breaker is open says so through Kafka",
        "consumers/arc_eval_db/consumers/worker.py",
        "                await self._commit_to_kafka(source)\n                await self._wait(",
        "                await self._wait(",
        (f"{_TESTS}::test_the_lag_of_a_paused_consumer_appears_grows_and_goes",),
    ),
    Mutation(
        "lag-another-log",
        "A topic that was made anew is not shown as read",
        f"{_LAG}/watching.py",
        "another_log=_ANOTHER_LOG[halt] if halt else None,",
        "another_log=None,",
        (f"{_TESTS}::test_a_topic_that_was_made_anew_is_said",),
    ),
    Mutation(
        "lag-rewinds-are-no-rate",
        "A group that is sent back has no negative rate",
        f"{_LAG}/rates.py",
        "if rewound or made_anew or overtaken:",
        "if made_anew or overtaken:",
        (f"{_STATE_TESTS}::test_a_jump_is_no_rate",),
    ),
    Mutation(
        "lag-first-event-of-the-day",
        "The first event after a quiet night does not look stalled",
        f"{_LAG}/states.py",
        "min(facts.lag_s, facts.unmoved_s)",
        "max(facts.lag_s, facts.unmoved_s)",
        (f"{_STATE_TESTS}::test_a_state_has_a_reason_and_a_next_step",),
    ),
)
