"""`arc-eval-db topics`: the log."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

import click

from arc_eval_db.cli.main import EXIT_FOUND
from arc_eval_db.cli.running import (
    command,
    database_settings,
    json_option,
    kafka_settings,
    print_json,
    print_table,
    run_async,
)
from arc_eval_db.consumers.accepting import AcceptedPartition, accept_topic, look_at_topic
from arc_eval_db.consumers.kafka import LogReader, TopicsAdmin, TopicState
from arc_eval_db.database import Session
from arc_eval_db.errors import FatalError
from arc_eval_db.migrations import require_current_schema
from arc_eval_db.schemas.topics import DEFAULT_PARTITIONS
from arc_eval_db.writer import OffsetStore, TopicPartition


@click.group()
def topics() -> None:
    """Make the topics that events travel on, and compare them with the registry."""


@topics.command()
@click.option("--partitions", type=click.IntRange(1, 10_000), default=DEFAULT_PARTITIONS, show_default=True)
@click.option(
    "--replication",
    type=click.IntRange(1, 10),
    help="Copies of each partition.  [default: 3, or the number of brokers]",
)
@json_option
@command
def create(partitions: int, replication: int | None, as_json: bool) -> None:
    """Create the topics that do not exist yet; the others stay as they are."""

    async def work() -> list[str]:
        async with TopicsAdmin(kafka_settings()) as admin:
            return await admin.create(partitions=partitions, replication=replication)

    created = run_async(work())
    if as_json:
        print_json({"created": created})
    else:
        click.echo(f"created: {', '.join(created)}" if created else "every topic exists already")


@topics.command(name="list")
@json_option
@command
def list_topics(as_json: bool) -> None:
    """List the topics. Exit code 3 when one is missing or set otherwise than the registry wants."""

    async def work() -> list[TopicState]:
        async with TopicsAdmin(kafka_settings()) as admin:
            return await admin.states()

    states = run_async(work())
    if as_json:
        print_json(
            [
                {
                    "name": state.name,
                    "exists": state.exists,
                    "partitions": state.partitions,
                    "replication": state.replication,
                    "drift": {
                        key: {"wanted": wanted, "actual": actual} for key, (wanted, actual) in state.drift.items()
                    },
                }
                for state in states
            ]
        )
    else:
        rows = [(state.name, _state(state), state.partitions, state.replication) for state in states]
        print_table(None, ("topic", "state", "partitions", "replication"), rows)
    if any(not state.exists or state.drift for state in states):
        raise SystemExit(EXIT_FOUND)


def _state(state: TopicState) -> str:
    if not state.exists:
        return "missing; run: arc-eval-db topics create"
    differences = (f"{key} is {actual}, not {wanted}" for key, (wanted, actual) in state.drift.items())
    return "; ".join(differences) or "ok"


@topics.command()
@click.argument("topic")
@click.option("--group", required=True, help="Consumer group.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@command
def accept(topic: str, group: str, yes: bool, as_json: bool) -> None:
    """Let a group begin a topic again that was deleted and made anew, or cut short.

    Shows where the group stands and what the log holds. Partitions whose log is the one that was read stay as they are.
    What was left in the old log of the others is lost: a row of log_gaps says so. Workers that run take them up by
    themselves, within a minute.
    """
    offsets = OffsetStore(group)
    partitions = run_async(_look_at(topic, offsets))
    if not as_json:
        rows = [
            (
                item.partition.partition,
                item.position.next_offset,
                item.bounds and item.bounds.start,
                item.bounds and item.bounds.end,
                _finding(item),
                "begins again" if item.changes else "stays",
            )
            for item in partitions
        ]
        columns = ("partition", "next offset", "log start", "log end", "the log is", "the group")
        print_table(f"{topic}, group {group}", columns, rows)
    accepted: list[TopicPartition] = []
    if changes := [item.partition for item in partitions if item.changes]:
        if not yes:
            question = f"Begin {_numbers(changes)} again? What was left in the old log is lost."
            click.confirm(question, abort=True, err=True)
        accepted = run_async(_accept(offsets, partitions))
    if as_json:
        fields = [_accepted_fields(item, item.partition in accepted) for item in partitions]
        print_json({"topic": topic, "group": group, "partitions": fields})
    elif accepted:
        click.echo(f"accepted: {_numbers(accepted)}: the group begins at the log's start")
    else:
        click.echo("nothing to accept: nothing speaks for another log than the one that was read; nothing was changed")


async def _look_at(topic: str, offsets: OffsetStore) -> list[AcceptedPartition]:
    async with _connected() as (reader, session):
        await require_current_schema(session)
        partitions = await look_at_topic(reader, session, offsets, topic)
    if not partitions:
        raise FatalError(f"the group {offsets.group} has never read the topic {topic}")
    return partitions


async def _accept(offsets: OffsetStore, partitions: list[AcceptedPartition]) -> list[TopicPartition]:
    async with _connected() as (reader, session):
        return await accept_topic(reader, session, offsets, partitions)


@contextlib.asynccontextmanager
async def _connected() -> AsyncIterator[tuple[LogReader, Session]]:
    async with (
        LogReader(kafka_settings(), client_id="arc-eval-db-accept") as reader,
        await Session.connect(database_settings(), application_name="arc-eval-db topics accept") as session,
    ):
        yield reader, session


def _numbers(partitions: Sequence[TopicPartition]) -> str:
    return f"partition {', '.join(str(partition.partition) for partition in partitions)}"


def _finding(item: AcceptedPartition) -> str:
    if item.bounds is None:
        return "gone"
    if item.finding is not None:
        return f"another one ({item.finding})"
    return "the same" if item.is_recognised else "the same, as far as can be seen"


def _accepted_fields(item: AcceptedPartition, accepted: bool) -> dict[str, object]:
    return {
        "partition": item.partition.partition,
        "next_offset": item.position.next_offset,
        "log_start": item.bounds and item.bounds.start,
        "log_end": item.bounds and item.bounds.end,
        "finding": item.finding,
        "accepted": accepted,
    }
