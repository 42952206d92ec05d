"""Replays to standard output or a file: what needs no database."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable

import click

from arc_eval_db.cli.printable import printable
from arc_eval_db.cli.replay_options import Asked
from arc_eval_db.cli.running import print_json, run_async
from arc_eval_db.replay import (
    EventFilter,
    FileTarget,
    ReplayBatch,
    ReplayOptions,
    ReplayPlan,
    ReplayProgress,
    batches_of_log,
    for_people,
    open_log,
    run_replay,
    to_line,
)
from arc_eval_db.settings import KafkaSettings

Batches = AsyncIterator[ReplayBatch]


async def log_batches(kafka: KafkaSettings, plan: ReplayPlan, chosen: EventFilter, options: ReplayOptions) -> Batches:
    """A plan's records that are meant."""
    async with open_log(kafka) as reader:
        async for batch in batches_of_log(reader, plan.ranges(), chosen, options.batch_records_max):
            yield batch


class _Printer:
    """Prints records as they come."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    async def take(self, batch: ReplayBatch) -> None:
        """Print a batch."""
        if self._as_json:
            sys.stdout.buffer.writelines(to_line(record) + b"\n" for record in batch.records)
        else:
            for record in batch.records:
                click.echo(printable(for_people(record)))
        sys.stdout.flush()


def replay_here(asked: Asked, batches: Callable[[], Batches], records_max: int, options: ReplayOptions) -> None:
    """Print records, or write them to a file.

    Args:
        batches: called once the place is there where they go.
    """
    progress = ReplayProgress(records_max)
    paces = options.paces()
    if asked.target == "stdout":
        printer = _Printer(as_json=asked.as_json)
        # Where the records themselves are on the terminal, a line that is renewed would stand between them.
        on_progress = options.on_progress if not sys.stdout.isatty() else lambda _: None
        run_async(run_replay(batches(), printer, progress=progress, on_progress=on_progress, paces=paces))
        return
    assert asked.file is not None
    with FileTarget(asked.file, asked.overwrite) as file:
        run_async(run_replay(batches(), file, progress=progress, on_progress=options.on_progress, paces=paces))
    if asked.as_json:
        print_json({"file": str(asked.file), "written": file.written, "read": progress.read})
    else:
        click.echo(f"{file.written:,} of {progress.read:,} records written to {asked.file}")
