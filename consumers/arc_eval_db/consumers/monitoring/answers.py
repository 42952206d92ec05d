"""What is said over HTTP, for any server: status, media type and bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from arc_eval_db.consumers.lag import LagReport
from arc_eval_db.consumers.monitoring.following import Update
from arc_eval_db.consumers.monitoring.looking import Look
from arc_eval_db.health import HealthReport

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
EVENT_STREAM = "text/event-stream; charset=utf-8"

HEARTBEAT = b": heartbeat\n\n"
"""What a stream says when it has nothing to say, so that both sides notice when the other is gone."""
STREAM_BEGIN = b"retry: 5000\n\n"
"""A browser comes back after five seconds."""

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer: nothing here is a page."""

_RETRY_AFTER_S = 5
_DOCTOR = "arc-eval-db doctor says what can be reached from here"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    status: int
    media_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """Besides `HEADERS`."""


def json_answer(value: Any, status: int = 200) -> Answer:
    """A value as JSON."""
    return Answer(status, JSON, orjson.dumps(value, option=orjson.OPT_UTC_Z))


def problem(
    status: int, name: str, title: str, detail: str, next_step: str, headers: Mapping[str, str] | None = None
) -> Answer:
    """What went wrong, as RFC 9457 has it.

    Args:
        name: the last part of its `type`, for programs.
        title: the same for every occurrence.
    """
    fields = {
        "type": f"urn:arc-eval-db:problem:{name}",
        "title": title,
        "status": status,
        "detail": detail,
        "next_step": next_step,
    }
    return Answer(status, PROBLEM_JSON, orjson.dumps(fields), headers or {})


def lag_answer(look: Look[LagReport]) -> Answer:
    """The lag, as `arc-eval-db lag --json` prints it; 503 where the latest look failed."""
    if look.error is not None or look.report is None:
        return unseen("lag", look.error or "nobody has looked yet")
    return json_answer(look.report.to_json())


def health_answer(look: Look[HealthReport]) -> Answer:
    """The database's health, as `arc-eval-db health --json` prints it; 503 where the latest look failed."""
    if look.error is not None or look.report is None:
        return unseen("health", look.error or "nobody has looked yet")
    return json_answer(look.report.fields())


def unseen(what: str, why: str) -> Answer:
    """The lag or the health cannot be told now."""
    headers = {"Retry-After": str(_RETRY_AFTER_S)}
    return problem(503, f"{what}-unseen", f"The {what} cannot be seen now", why, _DOCTOR, headers)


def busy(what: str, next_step: str) -> Answer:
    """So many ask at once that this one has to come back."""
    headers = {"Retry-After": str(_RETRY_AFTER_S)}
    return problem(503, "busy", "The server has enough to do", what, next_step, headers)


def not_found(paths: Iterable[str]) -> Answer:
    """There is nothing at this address."""
    detail = f"there is nothing at this address; there are {', '.join(paths)}"
    return problem(404, "not-found", "There is no such thing", detail, "see docs/monitoring.md")


class _Together(CollectorRegistry):
    """Several registries, read as one."""

    def __init__(self, registries: Sequence[CollectorRegistry]) -> None:
        super().__init__()
        self._registries = registries

    def collect(self) -> Iterator[Metric]:
        for registry in self._registries:
            yield from registry.collect()


def metrics_answer(registries: Sequence[CollectorRegistry], accept: str) -> Answer:
    """All metrics, in the format that Prometheus asks for.

    Args:
        accept: what the request said it takes; empty for anything.
    """
    encode, media_type = choose_encoder(accept)
    return Answer(200, media_type, encode(_Together(registries)))


def stream_event(name: str, value: Any) -> bytes:
    """One server-sent event. JSON holds no line break, so that nothing in the value can end it early."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(value, option=orjson.OPT_UTC_Z))


def update_event(update: Update) -> bytes:
    """A look as a server-sent event, `lag` or `health`."""
    return stream_event(update.kind.value, update.to_json())
