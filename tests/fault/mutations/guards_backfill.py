"""Guards of replays: what they must not read, write, repeat or be in the way of."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_BACKFILL = "replay/arc_eval_db/replay/backfill.py"
_JOBS = "replay/arc_eval_db/replay/jobs.py"
_PLAN = "replay/arc_eval_db/replay/plan.py"
_RECORDED = "replay/arc_eval_db/replay/recorded.py"
_TARGETS = "replay/arc_eval_db/replay/targets.py"

_BACKFILL_TESTS = "tests/replay/test_replay_backfill.py"
_LOG_TESTS = "tests/replay/test_replay_log.py"

BACKFILL_MUTATIONS = (
    Mutation(
        "replay-truncated",
        "What retention has taken of a range that was asked for is not passed over",
        _PLAN,
        "            if planned.truncated:\n",
        "            if False:\n",
        (f"{_LOG_TESTS}::test_what_retention_took_is_said",),
    ),
    Mutation(
        "replay-ends",
        "A replay ends where the log ended when it was planned",
        _PLAN,
        "min(_resolve(spec.end, held, by_time), held.end)\n",
        "_resolve(spec.end, held, by_time)\n",
        (f"{_LOG_TESTS}::test_ranges_are_resolved",),
    ),
    Mutation(
        "replay-job-transaction",
        "How far a replay is stands in the transaction of its rows",
        _BACKFILL,
        "                    await self._jobs.note(session, self._job_id, reached, report.to_json())\n",
        "                    pass\n",
        (f"{_BACKFILL_TESTS}::test_a_job_goes_on_where_it_was",),
    ),
    Mutation(
        "replay-dry-run",
        "A dry run of a replay changes nothing",
        _BACKFILL,
        "                if self._dry_run:\n                    raise _DryRunError\n",
        "",
        (f"{_BACKFILL_TESTS}::test_a_dry_run_says_what_would_be_and_changes_nothing",),
    ),
    Mutation(
        "replay-dry-run-repeats",
        "What comes twice would be inserted once, and a dry run says so",
        _BACKFILL,
        "        self._seen.update(hashes)\n",
        "",
        (f"{_BACKFILL_TESTS}::test_what_comes_twice_in_a_dry_run_is_counted_once",),
    ),
    Mutation(
        "replay-dead-letter-limit",
        "A bad deploy does not turn a replay into dead letters",
        _BACKFILL,
        "                self._limit.check(batch.records, letters)\n",
        "",
        (f"{_BACKFILL_TESTS}::test_a_bad_deploy_ends_a_replay_before_it_fills_the_dead_letters",),
    ),
    Mutation(
        "replay-one-at-a-time",
        "Two processes are not at work on the same replay",
        _JOBS,
        '        if not await self._session.fetch_value(self._queries["lock_replay_job"], str(job_id)):\n',
        "        if False:\n",
        (f"{_BACKFILL_TESTS}::test_a_job_that_is_at_work_is_left_alone",),
    ),
    Mutation(
        "replay-yields",
        "A replay waits while live consumption is behind",
        _RECORDED,
        "        await gate.wait()\n        paces.append(gate)\n",
        "",
        (f"{_BACKFILL_TESTS}::test_it_waits_while_the_living_are_behind",),
    ),
    Mutation(
        "replay-own-topic",
        "A replay does not append to what it reads, nor to what is consumed",
        _RECORDED,
        "        _check_target_topic(kafka, topic, plan)\n",
        "        pass\n",
        (f"{_BACKFILL_TESTS}::test_not_into_a_topic_that_is_read",),
    ),
    Mutation(
        "replay-reconnects",
        "A replay goes on over another connection when its own is lost",
        _TARGETS,
        "        if self._session is None or self._session.is_closed:\n",
        "        if self._session is None:\n",
        (f"{_BACKFILL_TESTS}::test_a_database_that_is_away_is_waited_for",),
    ),
    Mutation(
        "replay-whole-file",
        "A file of records is there when it is whole",
        _TARGETS,
        '        return self.path.with_name(self.path.name + ".partial")\n',
        "        return self.path\n",
        ("tests/replay/test_replay_format.py::test_a_file_is_there_when_it_is_whole",),
    ),
)
