"""The rows themselves: dead letters, orphans, incomplete executions, gaps in the log, halted partitions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from arc_eval_db.health.check import Check, Context, Judgement, Rows, grade, in_time, least_id
from arc_eval_db.health.report import State

DEAD_LETTERS_COUNTED_MAX = 100_000
NEW_DEAD_LETTERS_S = 900.0
"""How far back a dead letter is a new one."""
NEW_DEAD_LETTERS_COUNTED_MAX = 10_000
_SAMPLES_S = 7_200.0
"""How far back samples of the lag are read; longer than the threshold of a halted partition."""


def judge_dead_letters(rows: Rows, context: Context) -> Judgement:
    """One row a reason."""
    letters, counted, reasons = _letters(rows, DEAD_LETTERS_COUNTED_MAX)
    if not letters:
        return Judgement(State.OK, 0.0, "none is open")
    state = grade(letters, context.settings.dead_letters_warn, context.settings.dead_letters_critical)
    newest = max(row["newest_at"] for row in rows)
    quarantined = sum(row["quarantined"] for row in rows)
    found = f"{counted} are open ({reasons}), the newest of {newest:%Y-%m-%d %H:%M} UTC"
    return Judgement(state, letters, f"{found}; {quarantined:,} are in quarantine" if quarantined else found)


def judge_new_dead_letters(rows: Rows, context: Context) -> Judgement:
    """One row a reason."""
    letters, counted, reasons = _letters(rows, NEW_DEAD_LETTERS_COUNTED_MAX)
    state = grade(letters, context.settings.new_dead_letters_warn, context.settings.new_dead_letters_critical)
    found = f"{counted} within {in_time(NEW_DEAD_LETTERS_S)} ({reasons})" if letters else "none is new"
    return Judgement(state, letters, found)


def _letters(rows: Rows, counted_max: int) -> tuple[int, str, str]:
    """How many in all; the same for people; and how many of each reason."""
    letters: int = sum(row["letters"] for row in rows)
    more = "at least " if letters >= counted_max else ""
    return letters, f"{more}{letters:,}", ", ".join(f"{row['letters']:,} {row['reason']}" for row in rows)


def judge_orphans(rows: Rows, context: Context) -> Judgement:
    """One row a table."""
    looked_at, orphans = (sum(row[name] for row in rows) for name in ("looked_at", "orphans"))
    state = grade(orphans, context.settings.orphans_warn, context.settings.orphans_critical)
    where = ", ".join(f"{row['orphans']:,} of {row['relation']}" for row in rows if row["orphans"])
    words = f"{where} lack a parent" if orphans else "every row has its parents"
    return Judgement(state, orphans, f"{words}, of {looked_at:,} that were looked at")


def judge_executions(rows: Rows, context: Context) -> Judgement:
    """Events that were emitted, and are neither rows nor dead letters nor dropped."""
    (row,) = rows
    state = grade(row["incomplete"], context.settings.incomplete_warn, context.settings.incomplete_critical)
    found = f"{row['incomplete']:,} of the latest {row['looked_at']:,} executions lack events"
    if row["incomplete"]:
        found += f", {row['outstanding']:,} in all; one is {row['execution_id']}"
    return Judgement(state, row["incomplete"], found)


def judge_log_gaps(rows: Rows, context: Context) -> Judgement:
    """What nobody will ever read."""
    (row,) = rows
    settings = context.settings
    state = grade(row["lost"], settings.log_gaps_warn_records, settings.log_gaps_critical_records)
    if not row["gaps"]:
        return Judgement(state, 0.0, "no gap")
    found = f"{row['gaps']:,} gaps, {row['lost']:,} records, the newest of {row['newest_at']:%Y-%m-%d %H:%M} UTC"
    if row["recreated"]:
        found += f"; of {row['recreated']:,} recreated partitions nobody knows how many"
        state = State.WARN if state is State.OK else state
    return Judgement(state, row["lost"], found)


def judge_partitions(rows: Rows, context: Context) -> Judgement:
    """The one that has stood still for longest with something to read."""
    if not rows:
        return Judgement(State.OK, 0.0, "no group has begun")
    sample_age_s = min((row["sample_age_s"] for row in rows if row["sample_age_s"] is not None), default=None)
    if sample_age_s is None:
        return Judgement(State.UNKNOWN, None, "nobody has recorded the lag in consumer_lag_samples")
    first = rows[0]
    halted_s = first["halted_s"] or 0.0
    state = grade(halted_s, context.settings.partition_halted_warn_s, context.settings.partition_halted_critical_s)
    if state is State.OK:
        if sample_age_s >= context.settings.partition_halted_warn_s:
            unseen = f"no worker has recorded the lag for {in_time(sample_age_s)}"
            return Judgement(State.UNKNOWN, None, unseen, "arc-eval-db lag")
        return Judgement(state, halted_s, "every partition with unread records moves")
    where = f"{first['topic']}/{first['partition']} of group {first['consumer_group']}"
    return Judgement(state, halted_s, f"{where} has not moved for {in_time(halted_s)}, with records to read")


def _recent(context: Context) -> Sequence[Any]:
    return (*least_id(timedelta(seconds=context.settings.recent_s)), context.settings.recent_rows_max)


DEAD_LETTERS = Check(
    name="dead_letters",
    looks_at="records that could not become rows, and that nobody has dealt with",
    unit="letters",
    judge=judge_dead_letters,
    next_step="arc-eval-db dead-letters list",
    limits=("dead_letters_warn", "dead_letters_critical"),
    query="dead_letters",
    arguments=lambda _: (DEAD_LETTERS_COUNTED_MAX,),
)

NEW_DEAD_LETTERS = Check(
    name="new_dead_letters",
    looks_at="records that were set aside within 15 minutes, dealt with or not",
    unit="letters",
    judge=judge_new_dead_letters,
    next_step="arc-eval-db dead-letters list; whoever emits them sends what is no event",
    limits=("new_dead_letters_warn", "new_dead_letters_critical"),
    query="new_dead_letters",
    arguments=lambda _: (NEW_DEAD_LETTERS_S, NEW_DEAD_LETTERS_COUNTED_MAX),
)

ORPHANS = Check(
    name="orphans",
    looks_at="rows of the last six hours, by the time in their ids, without the rows that they point at: always none",
    unit="rows",
    judge=judge_orphans,
    next_step="somebody deleted parents by hand; arc-eval-db replay TOPIC --to database makes them again",
    limits=("orphans_warn", "orphans_critical", "recent_s", "recent_rows_max"),
    query="orphans",
    arguments=_recent,
)

EXECUTIONS = Check(
    name="executions",
    looks_at="executions that began in the last six hours, ended five minutes ago or more, and lack events",
    unit="executions",
    judge=judge_executions,
    next_step="SELECT * FROM execution_completeness WHERE NOT is_complete; arc-eval-db spool push DIR",
    limits=("incomplete_warn", "incomplete_critical", "incomplete_grace_s", "recent_s", "recent_rows_max"),
    query="executions",
    arguments=lambda context: (
        least_id(timedelta(seconds=context.settings.recent_s))[0],
        context.settings.incomplete_grace_s,
        context.settings.recent_rows_max,
    ),
)

LOG_GAPS = Check(
    name="log_gaps",
    looks_at="records that retention took before they were read, in the last seven days",
    unit="records",
    judge=judge_log_gaps,
    next_step="lengthen the topic's retention; SELECT * FROM log_gaps ORDER BY noticed_at DESC",
    limits=("log_gaps_warn_records", "log_gaps_critical_records", "log_gaps_s"),
    query="log_gaps",
    arguments=lambda context: (context.settings.log_gaps_s,),
)

PARTITIONS = Check(
    name="partitions",
    looks_at="how long a partition with unread records has not moved, from the samples of the lag",
    unit="s",
    judge=judge_partitions,
    next_step="arc-eval-db lag; of a topic that was made anew: arc-eval-db topics accept",
    limits=("partition_halted_warn_s", "partition_halted_critical_s"),
    query="partitions",
    arguments=lambda context: (max(_SAMPLES_S, 2 * context.settings.partition_halted_critical_s),),
)
