"""Not measured: brings an empty database to the schema of the release that runs it."""

from __future__ import annotations

from typing import Any

from arc_eval_db.bench.measured import Figures, run
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.migrations import Edition, Migrator

_PAUSE_JOBS = "SELECT alter_job(job_id, scheduled => false) FROM timescaledb_information.jobs WHERE job_id >= 1000"


async def migrate(_: dict[str, Any]) -> Figures:
    """No options. Jobs of TimescaleDB are paused: they would come at any moment of any run."""
    async with await Session.connect(DatabaseSettings.load(), application_name="arc-eval-db bench") as session:
        migrator = Migrator(session)
        await migrator.up()
        edition = await migrator.edition()
        if edition is Edition.TIMESCALEDB:
            await session.execute(_PAUSE_JOBS)
    return {"edition": edition.value}


if __name__ == "__main__":
    run(migrate)
