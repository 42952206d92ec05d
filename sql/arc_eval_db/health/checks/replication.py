"""Standbys, slots that hold WAL, and checkpoints."""

from __future__ import annotations

from arc_eval_db.health.check import Check, Context, Judgement, Rows, grade, in_bytes, in_time
from arc_eval_db.health.report import State


def judge_standbys(rows: Rows, context: Context) -> Judgement:
    """The one that is furthest behind."""
    (row,) = rows
    if not row["standbys"]:
        return Judgement(State.OK, 0.0, "no standby is connected")
    if row["hidden"]:
        found = f"{row['hidden']} standbys are hidden from {context.user_name}"
        return Judgement(State.UNKNOWN, None, found, f'GRANT pg_monitor TO "{context.user_name}"')
    behind = row["behind_bytes"] or 0
    state = grade(behind, context.settings.standby_warn_bytes, context.settings.standby_critical_bytes)
    found = f"{row['standbys']} standbys, the last is {in_bytes(behind)} and {in_time(row['behind_s'] or 0)} behind"
    return Judgement(state, behind, found)


def judge_slots(rows: Rows, context: Context) -> Judgement:
    """The one that holds most."""
    if not rows:
        return Judgement(State.OK, 0.0, "there is no replication slot")
    (row,) = rows
    held = row["held_bytes"] or 0
    state = grade(held, context.settings.slot_warn_bytes, context.settings.slot_critical_bytes)
    if row["wal_status"] == "lost":
        return Judgement(State.CRITICAL, held, f"{row['slot']} has lost WAL that it needed")
    use = "in use" if row["is_active"] else "not in use"
    return Judgement(state, held, f"{row['slot']}, {use}, holds {in_bytes(held)} of WAL")


def judge_checkpoints(rows: Rows, context: Context) -> Judgement:
    """How much WAL there is since the last one."""
    (row,) = rows
    wal = max(row["wal_bytes"] or 0, 0)
    share = wal / max(row["wal_bytes_max"], 1)
    state = grade(share, context.settings.checkpoint_warn_share, context.settings.checkpoint_critical_share)
    found = f"{in_bytes(wal)} of WAL since the last checkpoint, {in_time(max(row['age_s'], 0))} ago"
    return Judgement(state, share, f"{found}; max_wal_size is {in_bytes(row['wal_bytes_max'])}")


STANDBYS = Check(
    name="standbys",
    looks_at="how far the last of the standbys is behind",
    unit="bytes",
    judge=judge_standbys,
    next_step="SELECT * FROM pg_stat_replication, and look at the standby",
    limits=("standby_warn_bytes", "standby_critical_bytes"),
    query="standbys",
    grant="pg_monitor",
)

SLOTS = Check(
    name="slots",
    looks_at="the WAL that a replication slot keeps on the disk",
    unit="bytes",
    judge=judge_slots,
    next_step="SELECT pg_drop_replication_slot(slot_name) if nobody comes back for it; set max_slot_wal_keep_size",
    limits=("slot_warn_bytes", "slot_critical_bytes"),
    query="slots",
)

CHECKPOINTS = Check(
    name="checkpoints",
    looks_at="the WAL since the last checkpoint, of max_wal_size",
    unit="share",
    judge=judge_checkpoints,
    next_step="raise max_wal_size; the disk does not keep up with the writes",
    limits=("checkpoint_warn_share", "checkpoint_critical_share"),
    query="checkpoints",
    grant="pg_monitor",
)
