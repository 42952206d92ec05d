"""The bounded queue: what is dropped, and that every event is counted once."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from arc_eval_db.producers import outbox as outbox_module
from arc_eval_db.producers.outbox import DropReason, Outbox, OutgoingRecord
from arc_eval_db.schemas.ids import ExecutionId, new_execution_id

EXECUTION = new_execution_id()
ALL = 1_000_000


def record(name: str, *, lifecycle: bool = False, size: int = 10, execution: ExecutionId = EXECUTION) -> OutgoingRecord:
    return OutgoingRecord("t", name.encode(), b"x" * size, (), 0, execution, lifecycle)


def names(records: list[OutgoingRecord]) -> list[str]:
    return [item.key.decode() for item in records]


def fill(outbox: Outbox, *texts: str, size: int = 10) -> None:
    """Append records; capitals are lifecycle events."""
    for name in texts:
        outbox.append(record(name, lifecycle=name.isupper(), size=size))


def test_records_come_out_in_the_order_they_went_in() -> None:
    outbox = Outbox(10, ALL)
    fill(outbox, "A", "b", "C", "d", "e", "F")
    assert names(outbox.take(4, ALL)) == ["A", "b", "C", "d"]
    outbox.settle()
    assert names(outbox.take(4, ALL)) == ["e", "F"]


def test_a_batch_is_bounded_in_bytes_and_holds_at_least_one() -> None:
    outbox = Outbox(10, ALL)
    fill(outbox, "a", "b", "c", size=100)
    for expected in (["a", "b"], ["c"]):
        assert names(outbox.take(10, 200)) == expected
        outbox.settle()
    fill(outbox, "d", "e", size=500)
    assert names(outbox.take(10, 200)) == ["d"]


def test_a_full_outbox_takes_no_more_tool_uses() -> None:
    outbox = Outbox(2, ALL)
    fill(outbox, "a", "b")
    assert not outbox.append(record("c"))
    assert names(outbox.take(9, ALL)) == ["a", "b"]
    assert outbox.dropped == {"queue_full": 1}


def test_a_lifecycle_event_pushes_out_the_newest_of_the_others() -> None:
    outbox = Outbox(3, ALL)
    fill(outbox, "a", "b", "c")
    assert outbox.append(record("DONE", lifecycle=True))
    assert names(outbox.take(9, ALL)) == ["a", "b", "DONE"]
    assert outbox.dropped == {"queue_full": 1}


def test_among_lifecycle_events_the_first_stay() -> None:
    outbox = Outbox(2, ALL)
    fill(outbox, "A", "B")
    assert not outbox.append(record("C", lifecycle=True))
    assert names(outbox.take(9, ALL)) == ["A", "B"]


def test_bytes_are_bounded_too() -> None:
    outbox = Outbox(100, 1000)
    fill(outbox, "a", "b", "c", size=300)
    assert not outbox.append(record("d", size=300))
    assert outbox.append(record("BIG", lifecycle=True, size=500))
    assert names(outbox.take(9, ALL)) == ["a", "BIG"]
    assert outbox.dropped == {"queue_full": 3}


def test_one_record_larger_than_the_bound_is_still_taken_alone() -> None:
    outbox = Outbox(100, 1000)
    assert outbox.append(record("huge", size=5000))
    assert not outbox.append(record("next"))


def test_what_was_taken_makes_room() -> None:
    outbox = Outbox(1, ALL)
    fill(outbox, "a")
    outbox.take(1, ALL)
    assert outbox.append(record("b"))


def test_drops_are_counted_by_execution_and_reason() -> None:
    other = new_execution_id()
    outbox = Outbox(1, ALL)
    fill(outbox, "a", "b")
    outbox.append(record("c", execution=other))
    outbox.count_dropped(other, DropReason.TOO_LARGE)
    assert outbox.dropped_of(EXECUTION) == {"queue_full": 1}
    assert outbox.dropped_of(other) == {"queue_full": 1, "too_large": 1}
    assert outbox.dropped == {"queue_full": 2, "too_large": 1}
    outbox.forget(other)
    assert outbox.dropped_of(other) == {}
    assert outbox.dropped == {"queue_full": 2, "too_large": 1}


def test_room_is_made_before_the_counts_are_read() -> None:
    outbox = Outbox(2, ALL)
    fill(outbox, "a", "b")
    outbox.make_room(10)
    assert outbox.dropped_of(EXECUTION) == {"queue_full": 1}
    outbox.append(record("DONE", lifecycle=True))
    assert outbox.dropped_of(EXECUTION) == {"queue_full": 1}


def test_drops_of_executions_long_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "_EXECUTIONS_KEPT_MAX", 3)
    outbox = Outbox(1, ALL)
    executions = [new_execution_id() for _ in range(5)]
    for execution in executions:
        outbox.count_dropped(execution, DropReason.TOO_LARGE)
    assert [bool(outbox.dropped_of(execution)) for execution in executions] == [False, False, True, True, True]
    assert outbox.dropped == {"too_large": 5}


def test_refused_records_are_told_from_sent_ones() -> None:
    outbox = Outbox(9, ALL)
    fill(outbox, "a", "b", "c")
    outbox.take(9, ALL)
    outbox.settle(refused={1})
    assert (outbox.sent, outbox.pending, outbox.dropped) == (2, 0, {"refused_by_broker": 1})


def test_closing_drops_what_waits_what_was_taken_and_what_comes() -> None:
    outbox = Outbox(9, ALL)
    fill(outbox, "a", "b", "C")
    outbox.take(1, ALL)
    outbox.close()
    assert not outbox.append(record("d"))
    outbox.settle()  # by a sender that was given up and came back
    outbox.close()
    assert (outbox.sent, outbox.pending, outbox.dropped) == (0, 0, {"undelivered": 4})


def test_waiting_ends_when_everything_is_settled() -> None:
    outbox = Outbox(9, ALL)
    assert outbox.wait_settled(0)
    fill(outbox, "a")
    assert not outbox.wait_settled(0.01)
    outbox.take(1, ALL)
    assert not outbox.wait_settled(0.01)
    settler = threading.Thread(target=outbox.settle)
    settler.start()
    assert outbox.wait_settled(30)
    settler.join()


def test_dropping_later_events_does_not_end_the_wait_for_earlier_ones() -> None:
    outbox = Outbox(1, ALL)
    fill(outbox, "first")
    waiter_result: list[bool] = []
    waiter = threading.Thread(target=lambda: waiter_result.append(outbox.wait_settled(0.3)))
    waiter.start()
    fill(outbox, *[f"dropped{number}" for number in range(50)])
    waiter.join()
    assert waiter_result == [False]


def test_a_wait_may_be_endless() -> None:
    assert Outbox(1, ALL).wait_settled(float("inf"))


class Accounting(RuleBasedStateMachine):
    """Whatever happens in whatever order, every event is counted in once and out once."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(5, 2000)
        self.executions = [new_execution_id() for _ in range(2)]
        self.appended = 0
        self.sent = 0
        self.waiting: list[str] = []
        self.taken: list[str] = []
        self.closed = False

    @rule(lifecycle=st.booleans(), size=st.integers(1, 1500), which=st.integers(0, 1))
    def append(self, lifecycle: bool, size: int, which: int) -> None:
        self.appended += 1
        name = str(self.appended)
        accepted = self.outbox.append(record(name, lifecycle=lifecycle, size=size, execution=self.executions[which]))
        assert not (accepted and self.closed)

    @rule(count=st.integers(1, 4), size=st.integers(1, 3000))
    def take(self, count: int, size: int) -> None:
        if not self.taken:
            self.taken = names(self.outbox.take(count, size))
            assert self.taken == sorted(self.taken, key=int)

    @rule(refused=st.sets(st.integers(0, 3)))
    def settle(self, refused: set[int]) -> None:
        if not self.closed:
            self.sent += len([position for position in range(len(self.taken)) if position not in refused])
        self.outbox.settle(refused)
        self.taken = []

    @rule(which=st.integers(0, 1))
    def lose(self, which: int) -> None:
        self.appended += 1
        self.outbox.count_dropped(self.executions[which], DropReason.TOO_LARGE)

    @rule()
    def close(self) -> None:
        self.outbox.close()
        self.closed = True
        self.taken = []

    @invariant()
    def everything_is_counted_once(self) -> None:
        dropped = sum(self.outbox.dropped.values())
        assert self.outbox.sent == self.sent
        assert self.appended == self.outbox.sent + dropped + self.outbox.pending
        assert self.outbox.pending == self.outbox.waiting + len(self.taken)
        assert dropped == sum(sum(self.outbox.dropped_of(item).values()) for item in self.executions)
        assert self.outbox.waiting <= 5
        assert self.outbox.wait_settled(0) == (self.outbox.pending == 0)


TestAccounting: Any = Accounting.TestCase
TestAccounting.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)
