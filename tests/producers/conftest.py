"""What the SDK's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from arc_eval_db.producers import EventEmitter, MemoryTransport, configured


@pytest.fixture
def memory() -> MemoryTransport:
    """Where the events of `emitter` arrive."""
    return MemoryTransport()


@pytest.fixture
def emitter(memory: MemoryTransport) -> Iterator[EventEmitter]:
    """An emitter into memory."""
    with EventEmitter(transport=memory) as opened:
        yield opened


@pytest.fixture
def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has logged nothing yet."""
    monkeypatch.setattr(configured, "_said", set())
