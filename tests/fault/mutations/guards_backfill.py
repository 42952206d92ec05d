"""Guards of replays: what they must not read, write, repeat or be in the way of."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_BACKFILL = "replay/arc_eval_db/replay/backfill.py"
_CHECKING = "replay/arc_eval_db/replay/checking.py"
_JOBS = "replay/arc_eval_db/replay/jobs.py"
_PLAN = "replay/arc_eval_db/replay/plan.py"
_RECORDED = "replay/arc_eval_db/replay/recorded.py"
_RUNNER = "replay/arc_eval_db/replay/runner.py"
_SESSIONS = "replay/arc_eval_db/replay/sessions.py"
_TARGETS = "replay/arc_eval_db/replay/targets.py"
_LOG_WRITER = "consumers/arc_eval_db/consumers/kafka/log_writer.py"

_BACKFILL_TESTS = "tests/replay/test_replay_backfill.py"
_CHECKING_TESTS = "tests/replay/test_replay_checking.py"
_JOB_TESTS = "tests/replay/test_replay_jobs.py"
_LOG_TESTS = "tests/replay/test_replay_log.py"
_TOPIC_TESTS = "tests/replay/test_replay_topic.py"

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
        "                    await self._job.note(session, Progress(reached, report.to_json()))\n",
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
        '        if not await session.fetch_value(self._queries["lock_replay_job"], str(self.id)):\n',
        "        if False:\n",
        (f"{_JOB_TESTS}::test_a_job_that_is_at_work_is_left_alone",),
    ),
    Mutation(
        "replay-taken-over",
        "A replay that another process has taken over writes nothing more",
        _JOBS,
        '        if progress.get("run") != str(self._run):\n',
        "        if False:\n",
        (f"{_JOB_TESTS}::test_a_job_that_was_taken_over_writes_nothing_more",),
    ),
    Mutation(
        "replay-lost-answer",
        "A replay's batch whose commit was not answered counts once",
        _JOBS,
        '        if progress["batches"] == self._batches:\n',
        "        if True:\n",
        (f"{_JOB_TESTS}::test_a_commit_whose_answer_is_lost_counts_once",),
    ),
    Mutation(
        "replay-lost-answer-window",
        "Where it is not known what was inserted, the aggregates are refreshed",
        _BACKFILL,
        "changed=bool(written.inserted) or self._is_uncertain",
        "changed=bool(written.inserted)",
        (f"{_JOB_TESTS}::test_without_a_job_a_lost_answer_leaves_the_window_to_be_refreshed",),
    ),
    Mutation(
        "replay-halves",
        "A replay that ends between the halves of a batch goes on with the second one",
        _RUNNER,
        "                positions[record.topic_partition] = record.offset\n",
        "                del positions[record.topic_partition]\n",
        (f"{_JOB_TESTS}::test_the_halves_of_what_is_too_much_count_once",),
    ),
    Mutation(
        "replay-batch-bytes",
        "A replay's batch is bounded in bytes",
        _RUNNER,
        "        return self.bytes_read >= BATCH_BYTES_MAX\n",
        "        return False\n",
        (f"{_JOB_TESTS}::test_a_batch_is_bounded_in_bytes",),
    ),
    Mutation(
        "replay-last-word",
        "What cannot be recorded of a replay's end does not hide why it ended",
        _RECORDED,
        '        except ArcEvalError as cause:\n            log.warning("job_end',
        '        except ZeroDivisionError as cause:\n            log.warning("job_end',
        (f"{_JOB_TESTS}::test_a_database_that_stays_away_leaves_the_error_as_it_was",),
    ),
    Mutation(
        "replay-truncated-meanwhile",
        "What retention takes while a replay is planned or paused is not passed over",
        _RECORDED,
        "        if (gone := first - offsets.first) and not allow_truncated:\n",
        "        if (gone := first - offsets.first) and False:\n",
        (f"{_JOB_TESTS}::test_retention_that_takes_what_was_planned_is_said",),
    ),
    Mutation(
        "verify-window-bytes",
        "A window of the log is bounded in bytes",
        _CHECKING,
        "            if held and bytes_held + record.size_bytes > bytes_max:\n",
        "            if False:\n",
        (f"{_CHECKING_TESTS}::test_windows_are_bounded_in_bytes",),
    ),
    Mutation(
        "verify-report-bounded",
        "A report names no more differences than it may",
        _CHECKING,
        "            del window.differences[self._room :]\n",
        "",
        (f"{_CHECKING_TESTS}::test_a_report_is_bounded_and_counts_everything",),
    ),
    Mutation(
        "shadow-dropped-anew",
        "No shadow is left where its connection is gone",
        _CHECKING,
        "            if session.is_closed and not keep:\n",
        "            if False:\n",
        (f"{_CHECKING_TESTS}::test_a_shadow_is_dropped_also_where_its_connection_is_gone",),
    ),
    Mutation(
        "replay-too-large",
        "A record that a topic does not take is named",
        _LOG_WRITER,
        "        except MessageSizeTooLargeError as error:\n",
        "        except ZeroDivisionError as error:\n",
        (f"{_TOPIC_TESTS}::test_a_record_that_the_topic_does_not_take_is_named",),
    ),
    Mutation(
        "replay-empty-record",
        "A record with neither key nor value is replayed into a topic too",
        _LOG_WRITER,
        "        if record.key is not None or record.value is not None:\n",
        "        if True:\n",
        (f"{_TOPIC_TESTS}::test_a_record_with_neither_key_nor_value_is_one_too",),
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
        (f"{_TOPIC_TESTS}::test_not_into_a_topic_that_is_read",),
    ),
    Mutation(
        "replay-reconnects",
        "A replay goes on over another connection when its own is lost",
        _SESSIONS,
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
