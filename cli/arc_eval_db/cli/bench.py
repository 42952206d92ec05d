"""`arc-eval-db bench`: how fast everything is, on this machine or on servers of one's own."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from arc_eval_db.cli.finite import FiniteRange
from arc_eval_db.cli.running import command, end_like_ctrl_c, print_table, progress, run_async
from arc_eval_db.consumers.logs import configure_logging

if TYPE_CHECKING:
    from arc_eval_db.bench.sections import Sizes
    from arc_eval_db.bench.servers import Servers

SECTIONS = ("emit", "produce", "fetch", "validate", "copy", "sink", "latency", "replay", "views", "peers")


@click.command()
@click.argument("sections", nargs=-1, type=click.Choice(SECTIONS), metavar="[SECTION]...")
@click.option(
    "--given-servers",
    is_flag=True,
    help="Measure the servers that ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS and ARC_EVAL_DATABASE_URL name, in topics and "
    "databases that are removed at the end.  [default: an embedded stack in a temporary directory]",
)
@click.option("--database-url", help="Use this PostgreSQL or TimescaleDB, whose user may create databases.")
@click.option("--events", type=click.IntRange(100, 2_000_000), help="Events of each workload.  [default: 200,000]")
@click.option("--rounds", type=click.IntRange(1, 100), help="How often everything is run, in turn.  [default: 3]")
@click.option("--partitions", type=click.IntRange(2, 100), help="Of each topic; an even number.  [default: 4]")
@click.option("--seed", type=int, help="What the workloads are made from.  [default: 1]")
@click.option("--rate", type=click.IntRange(1, 100_000), help="Events a second in `latency`.  [default: 2,000]")
@click.option("--seconds", "latency_s", type=FiniteRange(1, 3600), help="Of `latency`, each.  [default: 15]")
@click.option("--quick", is_flag=True, help="Few events, once: shows that everything works, and no speed.")
@click.option("--only", metavar="TEXT", help="Run only what has this in its name, such as 'lifecycle, 1'.")
@click.option(
    "--peers-python",
    type=click.Path(dir_okay=False, exists=True),
    default=sys.executable,
    help="The interpreter of `peers`, where they are installed elsewhere; this project's own worker too.",
)
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write everything there as JSON.")
@command
def bench(
    sections: tuple[str, ...],
    given_servers: bool,
    database_url: str | None,
    rounds: int | None,
    quick: bool,
    only: str | None,
    peers_python: str,
    file: Path | None,
    **sizes: Any,
) -> None:
    """Measure how fast everything is.

    \b
    Sections (by default all but peers):
      emit      what an event costs the agent's thread; what importing the SDK costs
      produce   events a second from the SDK to the broker
      fetch, validate, copy    the parts of the sink alone
      sink      topic to table, by the worker; runs its parts too, to compare with
      latency   from emit to visible, at a steady rate
      views     what the views take over the rows of a run
      replay    the log into an empty database, by a replay and by live consumption
      peers     other programs at the same work; needs pip install 'arc-eval-db[bench]'

    Each run is a process of its own, is checked for exactly the right rows, and is repeated in turn with the others.
    Figures are medians, with the least and the most in brackets. CPU is in seconds for 100,000 events.
    """
    from arc_eval_db.bench import report, running  # noqa: PLC0415 - no other command needs it

    end_like_ctrl_c()
    configure_logging("error")
    chosen = running.chosen(sections)
    size = _sizes(quick, sizes)
    if size.partitions % 2:
        raise click.BadParameter("two processes share them: the number must be even", param_hint="--partitions")
    rounds = rounds or (1 if quick else 3)
    began = time.monotonic()
    with _servers(given_servers, database_url) as servers:
        results, facts = run_async(
            running.run_sections(servers, chosen, size, rounds, progress, only=only, peers_python=peers_python)
        )
    document = report.document(
        results, **facts, rounds=rounds, sizes=dataclasses.asdict(size), seconds=round(time.monotonic() - began, 1)
    )
    if file is not None:
        file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    for table in report.tables(results):
        print_table(table.title, table.columns, table.rows)
        click.echo("")
    for note in facts["notes"]:
        click.echo(note)
    click.echo(report.conditions(document))


def _sizes(quick: bool, given: dict[str, Any]) -> Sizes:
    from arc_eval_db.bench.sections import Sizes  # noqa: PLC0415 - see above

    base = Sizes.quick() if quick else Sizes()
    return dataclasses.replace(base, **{name: value for name, value in given.items() if value is not None})


@contextlib.contextmanager
def _servers(given: bool, database_url: str | None) -> Iterator[Servers]:
    from arc_eval_db.bench.servers import embedded_servers, given_servers  # noqa: PLC0415 - see above

    if given:
        yield given_servers(database_url=database_url)
        return
    with embedded_servers(progress, database_url=database_url) as servers:
        yield servers
