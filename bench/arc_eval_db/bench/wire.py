"""Happenings as Kafka records: the bytes that the SDK's emitter would make of them, by a template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from arc_eval_db.bench.workloads import Happening, Workload, happenings
from arc_eval_db.producers.headers import Header, common_headers, id_header, type_header
from arc_eval_db.schemas.topics import COMPLETED, TOPIC_OF_TYPE

_COMMON_HEADERS = common_headers(None)
_ROUTES = {kind: (topic.suffix, type_header(kind)) for kind, topic in TOPIC_OF_TYPE.items()}


class WireRecord(NamedTuple):
    """One record, and where it goes."""

    topic: str
    """Without the prefix."""
    partition: int
    key: bytes
    value: bytes
    headers: tuple[Header, ...]


def records(workload: Workload) -> Iterator[WireRecord]:
    """All records of a workload, in the order in which they are sent."""
    for happening, _ in happenings(workload):
        yield record(happening)


def record(happening: Happening) -> WireRecord:
    """One event as the SDK sends it."""
    kind, execution, _, _, event_id, _ = happening
    topic, header = _ROUTES[kind]
    return WireRecord(
        topic,
        execution.partition,
        execution.text.encode(),
        value(happening),
        (header, id_header(event_id), *_COMMON_HEADERS),
    )


def value(happening: Happening) -> bytes:
    """The event as structured JSON."""
    kind, execution, sequence, time, event_id, payload = happening
    moment = time.isoformat().removesuffix("+00:00")
    head = (
        f'{{"specversion":"1.0","id":"{event_id}","source":"{execution.source}","type":"{kind}",'
        f'"subject":"{execution.text}","time":"{moment}Z","partitionkey":"{execution.text}",'
        f'"sequence":"{sequence:010d}","data":{{'
    ).encode()
    tail = f',"last_sequence":{sequence},"dropped":{{}}}}}}'.encode() if kind == COMPLETED else b"}}"
    return b"".join((head, execution.context.json, payload.json, tail))
