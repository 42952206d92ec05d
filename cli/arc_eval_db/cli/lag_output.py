"""How `arc-eval-db lag` shows what it found."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from arc_eval_db.cli.printable import printable
from arc_eval_db.cli.running import console
from arc_eval_db.consumers.lag import LagReport, LagState, PartitionReport, Stage, TopicReport
from arc_eval_db.consumers.lag.durations import in_words

_NO_TOPICS = "no topics; make them with: arc-eval-db topics create"
_STYLES = {LagState.OK: "green", LagState.REPLAYING: "cyan", LagState.LAGGING: "yellow", LagState.REWOUND: "yellow"}
_COLUMNS = ("topic", "partition", "state", "lag", "waited", "in/s", "out/s", "caught up in", "retention")


def print_report(report: LagReport) -> None:
    """The partitions, what is wrong with them in words, and where the time goes."""
    if not report.topics:
        click.echo(_NO_TOPICS)
        return
    console().print(_partitions(report))
    for line in report_lines(report):
        click.echo(line)  # as long as it is: a program may look for a part of it
    click.echo()
    console().print(_stages(report.topics))


def live_report(report: LagReport) -> RenderableType:
    """The same, for a screen that is drawn again and again."""
    if not report.topics:
        return Text(_NO_TOPICS)
    return Group(_partitions(report), *map(Text, report_lines(report)), Text(), _stages(report.topics))


def report_lines(report: LagReport) -> list[str]:
    """The total, and for each state but ok where it is, why, and what to do."""
    total = sum(topic.lag_messages for topic in report.topics)
    lost = sum(each.lag.lost_messages for each in report.partitions)
    lines = [f"total: {total:,} messages behind"]
    if report.workers is not None:
        lines[0] += f"; {report.workers} worker{'' if report.workers == 1 else 's'} in the group"
    if lost:
        lines.append(f"retention has taken {lost:,} messages that the group never read")
    for each in report.partitions:
        if each.verdict.state is LagState.OK:
            continue
        step = f"  next: {each.verdict.next_step}" if each.verdict.next_step else ""
        lines.append(printable(f"{each.lag.partition}: {each.verdict.state.value}: {each.verdict.reason}{step}"))
    return lines


def _partitions(report: LagReport) -> Table:
    at = f"{report.measured_at:%H:%M:%S} UTC"
    source = ", by Kafka's copy of the offsets" if report.from_kafka else ""
    table = _table(f"group {report.group}, {at}{source}", _COLUMNS, left=3)
    for topic in report.topics:
        for each in topic.partitions:
            table.add_row(*_cells(each))
        table.add_row(*_total(topic), style="bold", end_section=True)
    return table


def _cells(each: PartitionReport) -> list[str | Text]:
    partition = each.lag.partition
    rates, state = each.rates, each.verdict.state
    return [
        partition.topic,
        str(partition.partition),
        Text(state.value, style=_STYLES.get(state, "red")),
        f"{each.lag_messages:,}",
        in_words(each.lag_s),
        _rate(rates.in_per_s),
        _rate(rates.out_per_s),
        in_words(each.catch_up_s),
        _share(each.retention_share),
    ]


def _total(topic: TopicReport) -> list[str | Text]:
    rates = topic.rates
    return [
        topic.topic,
        "all",
        Text(topic.state.value, style=_STYLES.get(topic.state, "red")),
        f"{topic.lag_messages:,}",
        in_words(topic.lag_s),
        _rate(rates.in_per_s),
        _rate(rates.out_per_s),
        in_words(topic.catch_up_s),
        _share(topic.retention_share),
    ]


def _stages(topics: Sequence[TopicReport]) -> Table:
    names = ("emit to broker", "broker to consumer", "consumer to commit", "broker to commit", "commit to aggregate")
    table = _table("where the time goes, p50 / max", ("topic", *names), left=1)
    for topic in topics:
        stages = topic.stages
        table.add_row(
            topic.topic,
            *map(
                _stage,
                (
                    stages.emit_to_broker,
                    stages.broker_to_consumer,
                    stages.consumer_to_commit,
                    stages.broker_to_commit,
                    stages.commit_to_aggregate,
                ),
            ),
        )
    return table


def _stage(stage: Stage) -> str:
    if stage.p50_s is None or stage.max_s is None:
        return "-"
    return f"{stage.p50_s:.3f} / {stage.max_s:.3f} s"


def _table(title: str, columns: Sequence[str], left: int) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", overflow="fold")
    return table


def _rate(per_s: float | None) -> str:
    return "-" if per_s is None else f"{per_s:,.1f}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
