"""`arc-eval-db topics`: the log."""

from __future__ import annotations

import click

from arc_eval_db.cli.main import EXIT_FOUND
from arc_eval_db.cli.running import command, json_option, kafka_settings, print_json, print_table, run_async
from arc_eval_db.consumers.kafka import TopicsAdmin, TopicState
from arc_eval_db.schemas.topics import DEFAULT_PARTITIONS


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
