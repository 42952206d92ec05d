"""The list of checks, in the order in which they are shown."""

from __future__ import annotations

from arc_eval_db.health.check import Check
from arc_eval_db.health.checks.connections import CONNECTIONS, POOL
from arc_eval_db.health.checks.disk import DISK
from arc_eval_db.health.checks.hypertables import AGGREGATES, CHUNKS, COMPRESSION, JOBS
from arc_eval_db.health.checks.pipeline import DEAD_LETTERS, EXECUTIONS, LOG_GAPS, NEW_DEAD_LETTERS, ORPHANS, PARTITIONS
from arc_eval_db.health.checks.replication import CHECKPOINTS, SLOTS, STANDBYS
from arc_eval_db.health.checks.server import SERVER
from arc_eval_db.health.checks.sessions import (
    IDLE_TRANSACTIONS,
    LOCKS,
    LONG_QUERIES,
    LONG_TRANSACTIONS,
    SLOW_STATEMENTS,
)
from arc_eval_db.health.checks.throughput import THROUGHPUT
from arc_eval_db.health.checks.vacuum import AUTOVACUUM, DEAD_TUPLES, WRAPAROUND
from arc_eval_db.health.checks.writes import WRITES

CHECKS: tuple[Check, ...] = (
    SERVER,
    WRITES,
    THROUGHPUT,
    DEAD_LETTERS,
    NEW_DEAD_LETTERS,
    ORPHANS,
    EXECUTIONS,
    LOG_GAPS,
    PARTITIONS,
    CONNECTIONS,
    POOL,
    IDLE_TRANSACTIONS,
    LONG_TRANSACTIONS,
    LONG_QUERIES,
    SLOW_STATEMENTS,
    LOCKS,
    DEAD_TUPLES,
    AUTOVACUUM,
    WRAPAROUND,
    CHUNKS,
    COMPRESSION,
    JOBS,
    AGGREGATES,
    STANDBYS,
    SLOTS,
    CHECKPOINTS,
    DISK,
)

CHECK_NAMES = tuple(check.name for check in CHECKS)
