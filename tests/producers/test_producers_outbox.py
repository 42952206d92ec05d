"""The bounded queue: what is dropped, and that every event is counted once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from arc_eval_db.producers import outbox as outbox_module
from arc_eval_db.producers.outbox import Batch, DropReason, Importance, Outbox, OutgoingRecord, Queue
from arc_eval_db.producers.spool_segments import Segment, SpoolPlace
from arc_eval_db.schemas.ids import ExecutionId, new_execution_id

EXECUTION = new_execution_id()
ALL = 1_000_000


def record(name: str, *, lifecycle: bool = False, size: int = 10, execution: ExecutionId = EXECUTION) -> OutgoingRecord:
    """`Z` ends an execution."""
    importance = Importance.TERMINAL if name == "Z" else Importance(lifecycle)
    return OutgoingRecord("t", name.encode(), b"x" * size, (), 0, execution, importance)


def names(batch: Batch | None) -> list[str]:
    return [] if batch is None else [item.key.decode() for item in batch.records or ()]


def take(outbox: Outbox, count: int = 9, size: int = ALL, queue: Queue = Queue.ALL) -> Batch:
    batch = outbox.take(count, size, queue)
    assert batch is not None
    return batch


def fill(outbox: Outbox, *texts: str, size: int = 10) -> None:
    """Append records; capitals are lifecycle events."""
    for name in texts:
        outbox.append(record(name, lifecycle=name.isupper(), size=size))


def test_records_come_out_in_the_order_they_went_in() -> None:
    outbox = Outbox(10, ALL)
    fill(outbox, "A", "b", "C", "d", "e", "F")
    assert names(outbox.take(4, ALL)) == ["A", "b", "C", "d"]
    assert names(outbox.take(4, ALL)) == ["e", "F"]
    assert outbox.take(4, ALL) is None


def test_one_of_the_two_queues_can_be_taken_alone() -> None:
    outbox = Outbox(10, ALL)
    fill(outbox, "A", "b", "C", "d")
    assert names(take(outbox, queue=Queue.LIFECYCLE)) == ["A", "C"]
    assert outbox.take(9, ALL, Queue.LIFECYCLE) is None
    fill(outbox, "E")
    assert names(take(outbox, queue=Queue.ORDINARY)) == ["b", "d"]
    assert outbox.take(9, ALL, Queue.ORDINARY) is None
    assert names(take(outbox)) == ["E"]


def test_a_batch_is_bounded_in_bytes_and_holds_at_least_one() -> None:
    outbox = Outbox(10, ALL)
    fill(outbox, "a", "b", "c", size=100)
    for expected in (["a", "b"], ["c"]):
        assert names(outbox.take(10, 200)) == expected
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


def test_the_end_of_an_execution_is_the_last_to_go() -> None:
    outbox = Outbox(3, ALL)
    fill(outbox, "A", "b", "C")
    for _ in range(3):
        assert outbox.append(record("Z", lifecycle=True))
    assert not outbox.append(record("Z", lifecycle=True))
    assert not outbox.append(record("D", lifecycle=True))
    assert names(take(outbox)) == ["Z", "Z", "Z"]
    assert outbox.dropped == {"queue_full": 5}


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
    take(outbox, 1)
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
    outbox.settle(take(outbox), refused={1})
    assert (outbox.sent, outbox.pending, outbox.dropped) == (2, 0, {"refused_by_broker": 1})


def test_closing_drops_what_waits_what_was_taken_and_what_comes() -> None:
    outbox = Outbox(9, ALL)
    fill(outbox, "a", "b", "C")
    batch = take(outbox, 1)
    outbox.close()
    assert not outbox.append(record("d"))
    outbox.settle(batch)  # by a sender that was given up and came back
    outbox.close()
    assert (outbox.sent, outbox.pending, outbox.dropped) == (0, 0, {"undelivered": 4})


def test_waiting_ends_when_everything_is_settled() -> None:
    outbox = Outbox(9, ALL)
    assert outbox.wait_settled(0)
    fill(outbox, "a")
    assert not outbox.wait_settled(0.01)
    batch = take(outbox, 1)
    assert not outbox.wait_settled(0.01)
    settler = threading.Thread(target=outbox.settle, args=[batch])
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


def place(start: int, end: int, segment: object = None) -> SpoolPlace:
    """Somewhere in the spool; the outbox never looks into it."""
    segment_or_none: Any = segment
    return SpoolPlace(segment_or_none, start, end)


def test_what_is_in_the_spool_is_neither_pending_nor_lost() -> None:
    outbox = Outbox(9, ALL)
    fill(outbox, "a", "b")
    spooled = take(outbox)
    assert outbox.put_in_spool(spooled, place(0, 20))
    fill(outbox, "c")
    assert (outbox.spooled, outbox.pending) == (2, 1)
    assert not outbox.wait_settled(0)
    outbox.close()
    assert (outbox.spooled, outbox.pending, outbox.dropped) == (2, 0, {"undelivered": 1})


def test_what_is_acknowledged_is_in_the_spool_no_more() -> None:
    outbox = Outbox(9, ALL)
    fill(outbox, "a", "b")
    batch = take(outbox)
    outbox.put_in_spool(batch, place(0, 20))
    outbox.settle(batch, refused={0})
    assert (outbox.sent, outbox.spooled, outbox.dropped) == (1, 0, {"refused_by_broker": 1})
    assert not outbox.put_in_spool(batch, place(0, 20))
    assert outbox.spooled == 0


def test_evicted_records_come_back_in_parts() -> None:
    outbox = Outbox(9, ALL)
    segment: Any = object.__new__(Segment)
    fill(outbox, "a", "b", "c")
    first, second = take(outbox, 2), take(outbox, 1)
    outbox.put_in_spool(first, place(0, 20, segment))
    outbox.put_in_spool(second, place(20, 30, segment))
    outbox.evict(first, into=None)
    outbox.evict(second, into=first)
    assert (first.records, first.count, first.place) == (None, 3, place(0, 30, segment))
    part = outbox.read_back(first, [record("a")], place(0, 10, segment))
    assert (first.count, first.place) == (2, place(10, 30, segment))
    outbox.settle(part)
    assert (outbox.sent, outbox.spooled, outbox.wait_settled(0)) == (1, 2, False)
    outbox.settle(outbox.read_back(first, [record("b"), record("c")], place(10, 30, segment)))
    assert (outbox.sent, outbox.spooled, outbox.wait_settled(0)) == (3, 0, True)


def test_what_was_overtaken_in_the_spool_is_still_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(9, ALL)
    segment: Any = object.__new__(Segment)
    fill(outbox, "a")

    def overtake(is_over: Callable[[], bool], timeout: float) -> bool:
        fill(outbox, "B")
        first, second = take(outbox, queue=Queue.LIFECYCLE), take(outbox)
        outbox.put_in_spool(first, place(0, 10, segment))
        outbox.put_in_spool(second, place(10, 20, segment))
        outbox.evict(first, into=None)
        outbox.evict(second, into=first)
        return is_over()

    monkeypatch.setattr(outbox._changed, "wait_for", overtake)
    assert not outbox.wait_settled(0)


def test_nobody_waits_for_the_spool_when_nothing_is_sent_any_more() -> None:
    outbox = Outbox(9, ALL)
    fill(outbox, "a")
    batch = take(outbox)
    outbox.stop_sending()
    assert not outbox.wait_settled(0)
    waiter_result: list[bool] = []
    waiter = threading.Thread(target=lambda: waiter_result.append(outbox.wait_settled(30)))
    waiter.start()
    outbox.put_in_spool(batch, place(0, 10))
    waiter.join(30)
    assert (waiter_result, outbox.spooled) == ([True], 1)


def test_nobody_waits_for_what_is_left_in_the_spool() -> None:
    outbox = Outbox(9, ALL)
    fill(outbox, "a")
    batch = take(outbox)
    outbox.put_in_spool(batch, place(0, 10))
    outbox.leave(batch)
    assert (outbox.wait_settled(0), outbox.spooled) == (True, 1)


class Interrupting:
    """A value that calls back once while it is looked at, where a signal handler might come in."""

    def __init__(self, handler: Callable[[], None]) -> None:
        self._handler = handler

    def __len__(self) -> int:
        handler, self._handler = self._handler, lambda: None
        handler()
        return 10


def test_a_signal_handler_that_appends_within_an_append_waits_its_turn() -> None:
    outbox = Outbox(9, ALL)
    seen: list[int] = []

    def handler() -> None:
        assert outbox.append(record("handler"))
        outbox.count_dropped(EXECUTION, DropReason.TOO_LARGE)
        outbox.make_room(1)
        outbox.forget(EXECUTION)
        seen.append(outbox.waiting)

    value: Any = Interrupting(handler)
    assert outbox.append(record("interrupted")._replace(value=value))
    assert seen == [0], "it came in between, and waited"
    assert names(take(outbox)) == ["interrupted", "handler"]
    assert outbox.dropped == {"too_large": 1}
    assert outbox.pending == 2


class Accounting(RuleBasedStateMachine):
    """Whatever happens in whatever order, every event is counted in once and out once."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(5, 2000)
        self.executions = [new_execution_id() for _ in range(2)]
        self.appended = 0
        self.sent = 0
        self.waiting: list[str] = []
        self.taken: list[Batch] = []
        self.spooled: set[Batch] = set()
        self.closed = False

    @rule(lifecycle=st.booleans(), size=st.integers(1, 1500), which=st.integers(0, 1))
    def append(self, lifecycle: bool, size: int, which: int) -> None:
        self.appended += 1
        name = str(self.appended)
        accepted = self.outbox.append(record(name, lifecycle=lifecycle, size=size, execution=self.executions[which]))
        assert not (accepted and self.closed)

    @rule(count=st.integers(1, 4), size=st.integers(1, 3000), queue=st.sampled_from(Queue))
    def take(self, count: int, size: int, queue: Queue) -> None:
        if batch := self.outbox.take(count, size, queue):
            self.taken.append(batch)
            assert names(batch) == sorted(names(batch), key=int)

    @rule(which=st.integers(0, 9))
    def spool(self, which: int) -> None:
        if which < len(self.taken) and self.taken[which] not in self.spooled:
            assert self.outbox.put_in_spool(self.taken[which], place(0, 1))
            self.spooled.add(self.taken[which])

    @rule(refused=st.sets(st.integers(0, 3)), which=st.integers(0, 9))
    def settle(self, refused: set[int], which: int) -> None:
        if which < len(self.taken):
            batch = self.taken.pop(which)
            self.sent += len([position for position in range(batch.count) if position not in refused])
            self.outbox.settle(batch, refused)
            self.spooled.discard(batch)

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
        assert self.appended == self.outbox.sent + dropped + self.outbox.pending + self.outbox.spooled
        assert self.outbox.spooled == sum(batch.count for batch in self.spooled)
        in_memory_alone = sum(batch.count for batch in self.taken if batch not in self.spooled)
        assert self.outbox.pending == self.outbox.waiting + in_memory_alone
        assert dropped == sum(sum(self.outbox.dropped_of(item).values()) for item in self.executions)
        assert self.outbox.waiting <= 5
        assert self.outbox.wait_settled(0) == (not self.taken and self.outbox.waiting == 0)


TestAccounting: Any = Accounting.TestCase
TestAccounting.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)
