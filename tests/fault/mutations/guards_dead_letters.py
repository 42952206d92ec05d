"""Guards of dead letters that are tried again: each once, by one run, with its row or not at all."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_RETRY = "replay/arc_eval_db/replay/dead_letter_retry.py"
_LETTERS = "replay/arc_eval_db/replay/dead_letters.py"
_QUERIES = "sql/queries/dead_letter_retries.sql"
_PRINTABLE = "cli/arc_eval_db/cli/printable.py"

_TESTS = "tests/replay/test_replay_dead_letters.py"
_CLI_TESTS = "tests/cli/test_cli_dead_letters.py"

DEAD_LETTER_MUTATIONS = (
    Mutation(
        "retry-skip-locked",
        "Two retries at once do not wait for each other's letters",
        _QUERIES,
        "FOR UPDATE SKIP LOCKED",
        "FOR UPDATE",
        (f"{_TESTS}::test_two_at_once_share_the_letters",),
    ),
    Mutation(
        "retry-lock",
        "Two retries at once do not try the same letter",
        _QUERIES,
        "FOR UPDATE SKIP LOCKED",
        "",
        (f"{_TESTS}::test_two_at_once_share_the_letters",),
    ),
    Mutation(
        "retry-once-a-run",
        "A letter that another run has tried since this one began is left",
        _QUERIES,
        "    AND (last_attempt_at IS NULL OR last_attempt_at < $8)\n",
        "    AND ($8::timestamptz IS NOT NULL)\n",
        (f"{_TESTS}::test_letters_that_another_run_has_tried_since_are_left",),
    ),
    Mutation(
        "retry-bounds",
        "Letters that come during a retry are for the next one",
        _QUERIES,
        "    AND id <= $7\nORDER BY id\nLIMIT $10",
        "    AND ($7::bigint IS NOT NULL)\nORDER BY id\nLIMIT $10",
        (f"{_TESTS}::test_letters_that_come_meanwhile_are_for_the_next_run",),
    ),
    Mutation(
        "retry-one-transaction",
        "A retried letter's row and its mark are one transaction",
        _RETRY,
        "            async with session.transaction():\n",
        "            if True:\n",
        (f"{_TESTS}::test_what_was_done_before_a_failure_stays", f"{_TESTS}::test_two_at_once_share_the_letters"),
    ),
    Mutation(
        "retry-halves",
        "Each letter says whether it was stored or there already",
        _RETRY,
        "                if report.inserted and report.duplicates:\n",
        "                if report.inserted > len(rows):\n",
        (f"{_TESTS}::test_each_letter_says_whether_it_was_stored_or_there_already",),
    ),
    Mutation(
        "retry-unknown-topic",
        "A letter of a topic that is not known is left alone, and no attempt is counted",
        _RETRY,
        "            if not self._topics.types_on(letter.record.topic):\n",
        "            if False:\n",
        (f"{_TESTS}::test_topics_of_another_prefix_are_left_alone",),
    ),
    Mutation(
        "retry-quarantine",
        "A letter that is refused too often is quarantined",
        _QUERIES,
        "letter.attempts + 1 >= $5::int",
        "$5::int < 0",
        (f"{_TESTS}::test_too_many_attempts_end_in_quarantine",),
    ),
    Mutation(
        "retry-quarantined",
        "A quarantined letter is left alone unless it is asked for",
        _QUERIES,
        "    AND (quarantined_at IS NULL OR $9::boolean)\n",
        "    AND ($9::boolean IS NOT NULL)\n",
        (f"{_TESTS}::test_too_many_attempts_end_in_quarantine",),
    ),
    Mutation(
        "retry-dry-run",
        "A dry run changes nothing",
        _RETRY,
        "                    raise _DryRunError\n",
        "                    pass\n",
        (f"{_TESTS}::test_a_dry_run_tells_and_changes_nothing",),
    ),
    Mutation(
        "retry-conflicts",
        "A retry that meets a lock time-out is tried again",
        _LETTERS,
        "            if backoff.attempt == _CONFLICTS_MAX:\n",
        "            if True:\n",
        (f"{_TESTS}::test_a_lock_time_out_is_tried_again",),
    ),
    Mutation(
        "retry-fewer",
        "A retry whose transaction is too large goes on with fewer letters",
        _RETRY,
        "                size = max(1, size // 2)\n",
        "",
        (f"{_TESTS}::test_a_transaction_that_is_too_large_is_tried_with_fewer_letters",),
    ),
    Mutation(
        "retry-privilege",
        "Who may not retry dead letters is told which role may",
        _LETTERS,
        "    if not row[privilege]:\n",
        "    if False:\n",
        (f"{_TESTS}::test_others_may_not_try_or_discard",),
    ),
    Mutation(
        "discard-accounted",
        "A discarded dead letter is accounted for in its execution",
        "sql/migrations/0010_dead_letter_retries.up.sql",
        "(letter.resolved_at IS NULL OR letter.resolution = 'discarded')",
        "letter.resolved_at IS NULL",
        (f"{_TESTS}::test_a_discarded_letter_is_accounted_for",),
    ),
    Mutation(
        "discard-what-was-seen",
        "A discard takes no letter that came while it asked",
        _QUERIES,
        "        AND id <= $7\n    ORDER BY id\n",
        "        AND ($7::bigint IS NOT NULL)\n    ORDER BY id\n",
        (f"{_CLI_TESTS}::test_discard_of_what_was_seen_only",),
    ),
    Mutation(
        "payload-escapes",
        "A dead letter that is shown steers no terminal",
        _PRINTABLE,
        "    if text.isprintable():\n",
        "    if text:\n",
        (f"{_CLI_TESTS}::test_nothing_that_is_shown_steers_the_terminal",),
    ),
    Mutation(
        "payload-json-escapes",
        "Nor as JSON",
        _PRINTABLE,
        '    if document.replace("\\n", "").isprintable():\n',
        "    if document:\n",
        (f"{_CLI_TESTS}::test_nothing_that_is_shown_steers_the_terminal",),
    ),
    Mutation(
        "list-without-content",
        "A list of dead letters shows nothing of what their events hold",
        "cli/arc_eval_db/cli/dead_letter_output.py",
        '    del fields["event_type"]\n',
        "",
        (f"{_CLI_TESTS}::test_what_the_events_hold_shows_in_show_only",),
    ),
)
