"""What is said about an event beside it: Kafka headers repeat what routes it, so that tools need not parse events."""

from __future__ import annotations

Header = tuple[str, bytes]

_CONTENT_TYPE = ("content-type", b"application/cloudevents+json; charset=UTF-8")


def type_header(event_type: str) -> Header:
    """Names the event's type."""
    return ("ce_type", event_type.encode())


def id_header(event_id: str) -> Header:
    """Names the event."""
    return ("ce_id", event_id.encode())


def common_headers(traceparent: str | None) -> tuple[Header, ...]:
    """Those that all events of an emitter share."""
    return (_CONTENT_TYPE,) if traceparent is None else (_CONTENT_TYPE, ("traceparent", traceparent.encode()))
