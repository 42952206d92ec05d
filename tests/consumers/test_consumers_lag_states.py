"""What is said of lag: rates, retention, notes, states. No server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_eval_db.consumers.lag import Facts, LagSettings, LagState, PartitionLag, Rates, Sample, Unread, judge, worst
from arc_eval_db.consumers.lag import rates as measured_rates
from arc_eval_db.consumers.lag.durations import in_words
from arc_eval_db.consumers.lag.measuring import event_time
from arc_eval_db.consumers.lag.notes import Activity, WorkerNote, decode_note
from arc_eval_db.consumers.lag.rates import rewound_by
from arc_eval_db.consumers.lag.retention import Retention, overtaken_in_s, retention_of, share_used
from arc_eval_db.consumers.lag.stages import Stage
from arc_eval_db.consumers.lag.standing import Standing
from arc_eval_db.writer import Anchor, TopicPartition

LIMITS = LagSettings()
BEHIND = Facts(has_begun=True, unread_messages=100, lag_s=90.0, unmoved_s=1.0, is_owned=True)


def facts(**changes: Any) -> Facts:
    return Facts(**({name: getattr(BEHIND, name) for name in BEHIND.__slots__} | changes))


@pytest.mark.parametrize(
    ("changes", "state", "reason", "next_step"),
    [
        ({"unread_messages": 0, "lag_s": 0.0}, "ok", "nothing to read", ""),
        ({"unread_messages": 0, "lag_s": 0.0, "unmoved_s": 9e9}, "ok", "nothing to read", ""),
        ({"unread_messages": 0, "is_owned": False}, "ok", "no worker has the partition", ""),
        ({"lag_s": 5.0}, "ok", "the oldest unread event is 5.0 s old", ""),
        ({}, "lagging", "the oldest unread event is 90 s old", ""),
        ({"rates": Rates(10, 30)}, "lagging", "caught up in 5.0 s at these rates", ""),
        ({"rates": Rates(30, 10)}, "lagging", "falls behind by 20.0 a second", "consume --workers"),
        ({"lag_s": None, "unmoved_s": 1.0}, "lagging", "of unknown age", ""),
        ({"unmoved_s": 61.0}, "stalled", "a worker has the partition and has read nothing for 61 s", "workers' log"),
        ({"unmoved_s": 61.0, "is_owned": None}, "stalled", "a worker may have the partition", "workers' log"),
        ({"unmoved_s": 9e9, "lag_s": 5.0}, "ok", "5.0 s old", ""),
        ({"has_begun": False, "unmoved_s": 61.0}, "stalled", "read nothing for 61 s", "workers' log"),
        ({"has_begun": False, "unmoved_s": 0.0}, "lagging", "90 s old", ""),
        (
            {"is_owned": False},
            "stopped",
            "no worker of the group has the partition, and an event has waited",
            "consume",
        ),
        ({"is_owned": False, "has_begun": False}, "stopped", "the group has never consumed it", "consume"),
        ({"is_paused": True}, "paused", "its breaker is open", "doctor --database"),
        ({"is_paused": True, "unread_messages": 0}, "paused", "its breaker is open", "doctor --database"),
        ({"is_paused": True, "is_owned": False}, "stopped", "no worker", "consume"),
        ({"rewound_by": 7}, "rewound", "has 7 messages to read again", ""),
        ({"rewound_by": 7, "is_owned": False}, "stopped", "no worker", "consume"),
        ({"replays": ("replay 1 to topic is running",)}, "replaying", "running; the group itself: the oldest", ""),
        ({"replays": ("replay 1 to topic is running",), "unread_messages": 0}, "replaying", "nothing to read", ""),
        ({"replays": ("replay 1",), "is_owned": False}, "stopped", "no worker", "consume"),
        ({"lost_messages": 3}, "losing_data", "deleted 3 messages that the group never read", "retention.ms"),
        ({"retention_share": 0.81}, "losing_data", "used up 81% of the topic's retention", "retention.ms"),
        ({"retention_share": 0.6}, "lagging", "90 s old", ""),
        ({"retention_share": 0.6, "overtaken_in_s": 600.0}, "losing_data", "deleted in 10.0 min", "retention.ms"),
        ({"retention_share": 0.4, "overtaken_in_s": 600.0}, "lagging", "90 s old", ""),
        ({"another_log": "the topic was made anew"}, "stalled", "halted: the topic was made anew", "topics accept"),
        ({"another_log": "anew", "lost_messages": 3, "unread_messages": 0}, "stalled", "halted", "topics accept"),
    ],
)
def test_a_state_has_a_reason_and_a_next_step(changes: dict[str, Any], state: str, reason: str, next_step: str) -> None:
    verdict = judge(facts(**changes), LIMITS)
    assert (verdict.state.value, reason in verdict.reason) == (state, True), verdict
    assert next_step in (verdict.next_step or "")


seconds = st.one_of(st.none(), st.floats(0, 1e9))
any_facts = st.builds(
    Facts,
    has_begun=st.booleans(),
    unread_messages=st.integers(0, 10**12),
    lost_messages=st.integers(0, 3),
    lag_s=seconds,
    unmoved_s=seconds,
    is_owned=st.sampled_from([None, True, False]),
    is_paused=st.booleans(),
    another_log=st.sampled_from([None, "another"]),
    rewound_by=st.integers(0, 3),
    rates=st.builds(Rates, seconds, seconds),
    retention_share=st.one_of(st.none(), st.floats(0, 10)),
    overtaken_in_s=seconds,
    replays=st.sampled_from([(), ("replay",)]),
)


@given(any_facts)
def test_every_state_but_ok_says_why(given_facts: Facts) -> None:
    verdict = judge(given_facts, LIMITS)
    assert verdict.reason
    if verdict.state in (LagState.STOPPED, LagState.STALLED, LagState.PAUSED, LagState.LOSING_DATA):
        assert verdict.next_step


@given(any_facts)
def test_with_nothing_unread_nobody_is_behind(given_facts: Facts) -> None:
    read = {name: getattr(given_facts, name) for name in given_facts.__slots__} | {"unread_messages": 0}
    state = judge(Facts(**read), LIMITS).state
    assert state not in (LagState.LAGGING, LagState.STOPPED, LagState.REWOUND)
    if not given_facts.another_log:
        assert state is not LagState.STALLED


def test_the_worst_of_states_counts() -> None:
    assert worst([]) is LagState.OK
    assert worst([LagState.OK, LagState.STALLED, LagState.LAGGING]) is LagState.STALLED
    assert worst(LagState) is LagState.LOSING_DATA


def samples(*values: tuple[float, int, int], start: int = 0) -> list[Sample]:
    return [Sample(at_s, next_offset, start, end) for at_s, next_offset, end in values]


def test_rates_are_of_the_last_stretch() -> None:
    assert measured_rates([]) == Rates()
    assert measured_rates(samples((0, 5, 10))) == Rates()
    assert measured_rates(samples((0, 5, 10), (0.5, 6, 11))) == Rates()
    assert measured_rates(samples((0, 5, 10), (10, 25, 110))) == Rates(10, 2)
    old = measured_rates(samples((0, 0, 0), (1000, 10, 1000), (1010, 30, 1100)))
    assert old == Rates(10, 2), "what is older than the window does not count"


@pytest.mark.parametrize(
    "jumped",
    [
        samples((0, 500, 900), (10, 100, 910), (20, 200, 920)),
        samples((0, 500, 900), (10, 100, 110), (20, 200, 120)),
        [Sample(0, 100, 0, 900), Sample(10, 500, 500, 910), Sample(20, 600, 500, 920)],
    ],
    ids=["rewound", "made anew", "overtaken by retention"],
)
def test_a_jump_is_no_rate(jumped: list[Sample]) -> None:
    assert measured_rates(jumped[:2]) == Rates()
    assert measured_rates(jumped) == Rates(1, 10)


def test_time_to_catch_up() -> None:
    assert Rates(10, 30).catch_up_s(100) == 5
    assert Rates(30, 10).catch_up_s(100) is None
    assert Rates(10, 10).catch_up_s(100) is None
    assert Rates().catch_up_s(100) is None
    assert Rates().catch_up_s(0) == 0


def test_a_group_that_was_sent_back_is_rewound_until_it_is_there_again() -> None:
    assert rewound_by([]) == 0
    assert rewound_by(samples((0, 50, 90), (1, 20, 90))) == 30
    assert rewound_by(samples((0, 50, 90), (1, 20, 90), (2, 45, 90))) == 5
    assert rewound_by(samples((0, 50, 90), (1, 20, 90), (2, 50, 90))) == 0
    assert rewound_by(samples((0, 50, 90), (1, 0, 3), (2, 2, 4))) == 0, "a topic that was made anew"


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=12))
def test_rates_are_never_negative(steps: list[tuple[int, int]]) -> None:
    found = measured_rates(samples(*((index * 2.0, *step) for index, step in enumerate(steps))))
    assert (found.in_per_s or 0) >= 0
    assert (found.out_per_s or 0) >= 0


def test_how_much_of_the_retention_is_used() -> None:
    lag = PartitionLag(TopicPartition("t", 0), 150, 100, 200)
    hour = retention_of({"cleanup.policy": "delete", "retention.ms": "3600000", "retention.bytes": "-1"})
    assert hour == Retention(3600.0, None)
    assert share_used(hour, lag, 50, 900.0) == 0.25
    assert share_used(hour, lag, 0, 0.0) == 0
    assert share_used(hour, lag, 50, None) is None
    assert share_used(Retention(3600.0, 1000), lag, 50, 900.0) == 0.5, "by size: half of what the log holds"
    whole = PartitionLag(TopicPartition("t", 0), 0, 0, 200)
    assert share_used(Retention(None, 1000), whole, 200, 900.0) is None, (
        "the log has lost nothing yet: it may not be full"
    )
    for unlimited in (None, {}, {"retention.ms": "-1"}, {"cleanup.policy": "compact", "retention.ms": "5"}):
        assert retention_of(unlimited) == Retention()


def test_when_retention_catches_up() -> None:
    hour = Retention(3600.0)
    assert overtaken_in_s(hour, 3000.0, Rates(10, 0)) == 600
    assert overtaken_in_s(hour, 3000.0, Rates(0, 0)) == 600
    assert overtaken_in_s(hour, 3000.0, Rates(10, 5)) == 1200
    assert overtaken_in_s(hour, 4000.0, Rates(10, 5)) == 0
    for never in (Rates(10, 10), Rates(10, 20), Rates(0, 5), Rates()):
        assert overtaken_in_s(hour, 3000.0, never) is None
    assert overtaken_in_s(Retention(), 3000.0, Rates(10, 0)) is None


def test_a_note_is_read_back_and_anything_else_is_none() -> None:
    note = WorkerNote(Activity.PAUSED, 1_700_000_000.25, 0.5, 0.25)
    assert decode_note(note.encode()) == note
    assert len(note.encode()) < 200
    bare = WorkerNote(Activity.CONSUMING, 1.0)
    assert decode_note(bare.encode()) == bare
    for other in (
        "",
        "null",
        "[]",
        "5",
        '"x"',
        "{}",
        '{"activity":"dancing","at":1}',
        '{"activity":"paused","at":"x"}',
    ):
        assert decode_note(other) is None


@given(st.text(max_size=50))
def test_no_note_is_an_error(text: str) -> None:
    decode_note(text)


@given(st.binary(max_size=50))
def test_no_record_is_an_error(value: bytes) -> None:
    event_time(value)


@pytest.mark.parametrize(
    "value", [None, b"", b"{", b"[]", b'{"time":5}', b'{"time":"soon"}', b'{"time":"2026-01-01T00:00:00"}']
)
def test_an_event_without_a_time_has_none(value: bytes | None) -> None:
    assert event_time(value) is None


def test_seconds_are_counted_from_the_broker_s_time_and_the_event_s_apart() -> None:
    now = datetime(2026, 11, 26, tzinfo=UTC)
    spooled = Unread(5, logged_at=now - timedelta(seconds=2), produced_at=now - timedelta(days=1))
    assert (spooled.lag_s(now), spooled.event_age_s(now)) == (2, 86_400)
    ahead = Unread(5, logged_at=now + timedelta(seconds=2))
    assert (ahead.lag_s(now), ahead.event_age_s(now)) == (0, None)
    assert Unread(0).lag_s(now) == 0


def test_a_stage_is_known_or_says_why_not() -> None:
    assert Stage.of([], "nobody says") == Stage(why="nobody says")
    assert Stage.of([3.0, 1.0, 2.0], "") == Stage(2.0, 3.0, 3.0, 3)


def test_from_broker_to_commit_is_known_where_the_last_move_was_a_batch() -> None:
    at = datetime.fromtimestamp(1_700_000_000.5, UTC)
    anchor = Anchor(9, 1_700_000_000_000, b"")
    assert Standing(10, anchor, at).broker_to_commit_s == 0.5
    assert Standing(11, anchor, at).broker_to_commit_s is None, "a hole was skipped since"
    assert Standing(10, None, at).broker_to_commit_s is None


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "-"), (0, "0.0 s"), (9.96, "10.0 s"), (90, "90 s"), (600, "10.0 min"), (9000, "2.5 h"), (259_200, "3.0 d")],
)
def test_seconds_in_words(value: float | None, words: str) -> None:
    assert in_words(value) == words
