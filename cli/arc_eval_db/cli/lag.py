"""`arc-eval-db lag`: how far behind consumers are."""

from __future__ import annotations

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
from arc_eval_db.consumers.kafka import LogReader
from arc_eval_db.consumers.lag import PartitionLag, measure_lag
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.database import Session
from arc_eval_db.schemas.topics import TopicNames


@click.command()
@click.option("--group", help="Consumer group.  [default: ARC_EVAL_CONSUMER_GROUP, or arc-eval-db]")
@click.option(
    "--max-lag", type=click.IntRange(min=0), help="Exit with code 3 when a partition is further behind than this."
)
@json_option
@command
def lag(group: str | None, max_lag: int | None, as_json: bool) -> None:
    """Show how many messages each partition is behind.

    Counted from the offsets that are stored in the database with the rows, which are what consumers start from; what
    Kafka itself shows for the group is a copy, up to a few seconds old.
    """
    settings = ConsumerSettings.load(group=group)
    lags = run_async(_measure(settings.group))
    total = sum(item.lag_messages for item in lags)
    lost = sum(item.lost_messages for item in lags)
    if as_json:
        print_json(
            {
                "group": settings.group,
                "lag_messages": total,
                "lost_messages": lost,
                "partitions": [_fields(item) for item in lags],
            }
        )
    else:
        rows = [
            (
                item.partition.topic,
                item.partition.partition,
                item.next_offset,
                item.log_start,
                item.log_end,
                item.lag_messages,
            )
            for item in lags
        ]
        print_table(
            f"group {settings.group}", ("topic", "partition", "next offset", "log start", "log end", "lag"), rows
        )
        click.echo(f"total: {total:,} messages behind")
        if lost:
            click.echo(f"retention has taken {lost:,} messages that the group never read")
        if not lags:
            click.echo("no topics; make them with: arc-eval-db topics create")
    if max_lag is not None and any(item.lag_messages > max_lag for item in lags):
        raise SystemExit(EXIT_FOUND)


async def _measure(group: str) -> list[PartitionLag]:
    kafka = kafka_settings()
    topics = TopicNames(kafka.topic_prefix).all
    async with (
        LogReader(kafka, client_id="arc-eval-db-lag") as reader,
        await Session.connect(database_settings(), application_name="arc-eval-db lag") as session,
    ):
        return await measure_lag(reader, session, group, topics)


def _fields(item: PartitionLag) -> dict[str, object]:
    return {
        "topic": item.partition.topic,
        "partition": item.partition.partition,
        "next_offset": item.next_offset,
        "log_start": item.log_start,
        "log_end": item.log_end,
        "lag_messages": item.lag_messages,
        "lost_messages": item.lost_messages,
    }
