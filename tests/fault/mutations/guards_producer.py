"""Guards of the SDK: the spool, the queue, and what happens when processes are killed or forked."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_SEGMENTS = "producers/arc_eval_db/producers/spool_segments.py"
_FORMAT = "producers/arc_eval_db/producers/spool_format.py"
_SPOOL = "producers/arc_eval_db/producers/spool.py"
_COLLECTOR = "producers/arc_eval_db/producers/collector.py"
_PUSH = "producers/arc_eval_db/producers/spool_push.py"
_OUTBOX = "producers/arc_eval_db/producers/outbox.py"
_SENDER = "producers/arc_eval_db/producers/sender.py"
_EMITTER = "producers/arc_eval_db/producers/emitter.py"
_KAFKA = "producers/arc_eval_db/producers/transports/kafka.py"

_SPOOL_TESTS = "tests/producers/test_producers_spool.py"
_SPOOL_EMITTER_TESTS = "tests/producers/test_producers_spool_emitter.py"
_PUSH_TESTS = "tests/producers/test_producers_spool_push.py"
_OUTBOX_TESTS = "tests/producers/test_producers_outbox.py"
_EMITTER_TESTS = "tests/producers/test_producers_emitter.py"
_INTERRUPTED_TESTS = "tests/producers/test_producers_interrupted.py"
_TIME_TESTS = "tests/fault/test_fault_time.py"

_SPOOLING = (
    Mutation(
        "spool-fsync",
        "What counts as spooled is on the disk",
        _SEGMENTS,
        "            _synchronise(self.descriptor)\n",
        "",
        (f"{_SPOOL_TESTS}::test_what_is_appended_is_synchronised_before_it_counts",),
    ),
    Mutation(
        "spool-directory-fsync",
        "And so is the file's name",
        _SEGMENTS,
        "        synchronise_directory(directory)\n        self.size = 0",
        "        self.size = 0",
        (f"{_SPOOL_TESTS}::test_the_directory_is_synchronised_when_a_file_is_made",),
    ),
    Mutation(
        "spool-parents-fsync",
        "And so are those of the directories above it",
        _SEGMENTS,
        "        synchronise_directory(path.parent)\n",
        "        pass\n",
        (f"{_SPOOL_TESTS}::test_the_directories_above_are_synchronised_when_they_are_made",),
    ),
    Mutation(
        "spool-crc",
        "A line that is not what was written is not sent",
        _FORMAT,
        'if checksum != b"%08x" % crc32(rest):',
        "if not checksum:",
        (f"{_SPOOL_TESTS}::test_a_changed_byte_costs_no_more_than_the_lines_it_touches",),
    ),
    Mutation(
        "spool-torn-line",
        "A line whose writer was killed is counted, and costs no other",
        _FORMAT,
        "return SpoolContent(records, len(found) - len(records), bool(tail))",
        "return SpoolContent(records, len(found) - len(records), False)",
        (f"{_SPOOL_TESTS}::test_a_file_cut_anywhere_costs_the_records_that_were_cut",),
    ),
    Mutation(
        "spool-truncate",
        "A write that fails leaves the file as it was",
        _SEGMENTS,
        "                os.ftruncate(self.descriptor, start)\n",
        "                pass\n",
        (f"{_SPOOL_TESTS}::test_a_full_disk_leaves_the_file_as_it_was",),
    ),
    Mutation(
        "spool-lock",
        "The spool of a living process is left alone",
        _PUSH,
        "is_ours = lock(descriptor) is True and _names(path, descriptor)",
        "is_ours = _names(path, descriptor)",
        (f"{_PUSH_TESTS}::test_a_living_process_keeps_its_segments",),
    ),
    Mutation(
        "spool-lock-of-a-new-file",
        "A new file that a push took away before it was locked is not written to",
        _SEGMENTS,
        "if lock(self.descriptor) is not False and os.fstat(self.descriptor).st_nlink:",
        "if lock(self.descriptor) is not False:",
        (f"{_SPOOL_TESTS}::test_a_new_file_that_a_push_took_away_is_not_written_to",),
    ),
    Mutation(
        "spool-reserve",
        "The last eighth of the spool is for lifecycle events",
        _SPOOL,
        "if after_next_batch <= self._bytes_max - self._bytes_max // _RESERVE_DIVISOR:",
        "if after_next_batch <= self._bytes_max:",
        (f"{_SPOOL_EMITTER_TESTS}::test_the_last_eighth_is_for_lifecycle_events",),
    ),
    Mutation(
        "spool-disk-deadline",
        "A dead disk does not hold up the sending",
        _SPOOL,
        "done, _ = await asyncio.wait({future}, timeout=timeout_s)",
        "done, _ = await asyncio.wait({future})",
        (f"{_SPOOL_EMITTER_TESTS}::test_a_dead_disk_does_not_stop_the_sending",),
    ),
    Mutation(
        "spool-read-again",
        "What a disk does not give back at once is asked for again",
        _COLLECTOR,
        "            self._backlog.rotate(-1)\n            return\n",
        "            found = [], batch.place\n",
        (f"{_SPOOL_EMITTER_TESTS}::test_what_the_disk_does_not_give_back_at_once_is_sent_later",),
    ),
    Mutation(
        "spool-last-append-deadline",
        "A disk that hangs at the end does not keep the thread",
        _SENDER,
        "done, _ = await asyncio.wait({collecting}, timeout=_LAST_WRITE_SHARE * (self._stop_by - time.monotonic()))",
        "done, _ = await asyncio.wait({collecting})",
        (f"{_SPOOL_EMITTER_TESTS}::test_a_disk_that_hangs_at_the_last_append_does_not_keep_the_thread",),
    ),
    Mutation(
        "push-keeps-what-grew",
        "A file that grew while it was pushed is not deleted",
        _PUSH,
        "        if segment.has_grown():\n",
        "        if segment is None:\n",
        (f"{_PUSH_TESTS}::test_a_file_that_grows_is_left_alone",),
    ),
    Mutation(
        "push-keeps-damage",
        "A damaged file is kept for people",
        _PUSH,
        "set_aside=bool(refused or segment.content.damaged_lines)",
        "set_aside=False",
        (f"{_PUSH_TESTS}::test_a_damaged_segment_is_sent_as_far_as_it_can_be_read_and_kept",),
    ),
)

_QUEUE = (
    Mutation(
        "queue-bound",
        "The queue is bounded",
        _OUTBOX,
        "return waiting >= self._records_max or (waiting > 0 and self._bytes + size > self._bytes_max)",
        "return waiting < 0",
        (f"{_OUTBOX_TESTS}::test_a_full_outbox_takes_no_more_tool_uses",),
    ),
    Mutation(
        "lifecycle-last-to-go",
        "Lifecycle events push out the others when the queue is full",
        _OUTBOX,
        "        if importance and self._ordinary:\n            return self._ordinary.pop()[1]\n",
        "",
        (f"{_OUTBOX_TESTS}::test_a_lifecycle_event_pushes_out_the_newest_of_the_others",),
    ),
    Mutation(
        "outcome-last-to-go",
        "And the end of an execution pushes out its failures and starts",
        _OUTBOX,
        "        if importance is Importance.TERMINAL:",
        "        if False:",
        (f"{_OUTBOX_TESTS}::test_the_end_of_an_execution_is_the_last_to_go",),
    ),
    Mutation(
        "signal-handler",
        "A signal handler that emits within an emit waits its turn",
        _OUTBOX,
        "            if self._busy:\n                self._postponed.append(partial(self.append, record))\n"
        "                return True\n",
        "",
        (f"{_OUTBOX_TESTS}::test_a_signal_handler_that_appends_within_an_append_waits_its_turn",),
    ),
    Mutation(
        "fork",
        "A forked child sends nothing of its parent's",
        _EMITTER,
        "    os.register_at_fork(after_in_child=_begin_in_child)\n",
        "    pass\n",
        (f"{_INTERRUPTED_TESTS}::test_a_forked_child_sends_its_own_events_and_nothing_of_its_parents",),
    ),
    Mutation(
        "fork-lets-go",
        "And lets go of its parent's lock on the spool",
        _SENDER,
        "            self._spool.abandon()\n",
        "            pass\n",
        (f"{_INTERRUPTED_TESTS}::test_a_lock_on_the_spool_ends_with_the_parent_and_not_with_its_child",),
    ),
    Mutation(
        "refused-by-the-broker",
        "What no broker will ever take is counted as refused, and does not hold up what comes after it",
        _KAFKA,
        "_REFUSED = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError)",
        "_REFUSED = (MessageSizeTooLargeError, RecordListTooLargeError)",
        (f"{_TIME_TESTS}::test_what_the_broker_refuses_for_its_time_is_counted_as_refused",),
    ),
    Mutation(
        "close-deadline",
        "Closing keeps its deadline, whatever the broker does",
        _EMITTER,
        "self._outbox.wait_settled(timeout * _DELIVERY_SHARE)",
        "self._outbox.wait_settled(1000.0)",
        (f"{_EMITTER_TESTS}::test_flush_and_close_keep_their_time",),
    ),
)

PRODUCER_MUTATIONS = (*_SPOOLING, *_QUEUE)
