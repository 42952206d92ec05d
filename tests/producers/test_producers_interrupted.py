"""Emitting from signal handlers and in forked children, in real processes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from arc_eval_db.producers.spool_push import list_segments
from support.scripts import Ended, run_script

EMIT = """
import itertools, os, signal, sys, threading
from arc_eval_db.producers import EventEmitter, execution
"""


def run(script: str, path: Path, **environment: str) -> tuple[Ended, list[dict[str, Any]]]:
    """A script with the file transport; how it ended, and the events."""
    settings = {"ARC_EVAL_TRANSPORT": "file", "ARC_EVAL_EVENTS_FILE": str(path), **environment}
    ended = run_script(EMIT + script, settings, measured=False)
    assert ended.code == 0, ended.stderr
    # A process that opens the file while another is at a line begins with an empty one.
    lines = filter(None, path.read_text().splitlines()) if path.exists() else ()
    return ended, [json.loads(line) for line in lines]


def short(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].split(".")[-2] for event in events]


HANDLER = """
handled = 0
emitter = EventEmitter()
with execution("s", {}, emitter=emitter) as run:
    def handler(number, frame):
        global handled
        handled += 1
        run.failure("interrupted", "by a signal") if handled % 2 else run.progress("in the handler")
        if handled < 3000:  # not at an interval: on a slow machine a handler would be interrupted by the next for ever
            signal.setitimer(signal.ITIMER_REAL, 0.0002)
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0002)
    emitted = 0
    while handled < 3000:
        run.tool_used("t", success=True)
        emitted += 1
        if emitted % 5000 == 0:
            emitter.flush(30)
print(emitted + handled + 2, emitter.close().sent)
"""


def test_a_signal_handler_that_emits_while_the_thread_emits(tmp_path: Path) -> None:
    """Thousands of times: no deadlock, and every number is there once."""
    ended, events = run(HANDLER, tmp_path / "events.jsonl", ARC_EVAL_QUEUE_RECORDS_MAX="1000000")
    emitted, sent = map(int, ended.stdout.split())
    assert sent == emitted == len(events)
    assert sorted(int(event["sequence"]) for event in events) == list(range(1, emitted + 1))
    assert len({event["id"] for event in events}) == emitted
    assert events[-1]["data"]["dropped"] == {}


def test_a_signal_handler_while_the_queue_overflows(tmp_path: Path) -> None:
    """Drops are counted then as well, each once."""
    script = HANDLER.replace("if emitted % 5000 == 0:", "if emitted % 100_000 == 99_999:")
    _, events = run(script, tmp_path / "events.jsonl", ARC_EVAL_QUEUE_RECORDS_MAX="20")
    last = max(events, key=lambda event: int(event["sequence"]))
    assert last["type"].endswith("completed.v1")
    assert sum(last["data"]["dropped"].values()) + len(events) == last["data"]["last_sequence"]
    assert len({event["sequence"] for event in events}) == len(events)


def test_a_signal_handler_that_makes_the_first_event_of_its_own(tmp_path: Path) -> None:
    script = """
import time
emitter = EventEmitter()
runs = [execution("s", {}, emitter=emitter) for _ in range(400)]
waiting = iter(runs)
def handler(number, frame):
    run = next(waiting, None)
    if run is not None:
        run.__enter__()
        signal.setitimer(signal.ITIMER_REAL, 0.0002)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0002)
for run in waiting:
    run.__enter__()
signal.setitimer(signal.ITIMER_REAL, 0)
print(emitter.close(20).sent, sum(thread.name == "arc-eval-sender" for thread in threading.enumerate()))
"""
    ended, events = run(script, tmp_path / "events.jsonl")
    assert ended.stdout == "400 0\n"
    assert {event["sequence"] for event in events} == {"0000000001"}


FORK = """
emitter = EventEmitter()
with execution("s", {"in": "parent"}, emitter=emitter) as run:
    for _ in range(200):
        run.tool_used("before", success=True)
    child = os.fork()
    if child == 0:
        run.tool_used("in child", success=True)
        with execution("s", {"in": "child"}, emitter=emitter) as own:
            own.tool_used("in child", success=True)
        CHILD_ENDS
    else:
        for _ in range(200):
            run.tool_used("after", success=True)
        assert os.waitpid(child, 0)[1] == 0
emitter.close()
"""


@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(0)", "pass", "emitter.close()"])
@pytest.mark.parametrize("spool", [False, True])
def test_a_forked_child_sends_its_own_events_and_nothing_of_its_parents(end: str, spool: bool, tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    environment = {"ARC_EVAL_SPOOL_DIR": str(directory)} if spool else {}
    _, events = run(FORK.replace("CHILD_ENDS", end), tmp_path / "events.jsonl", **environment)
    assert len({event["id"] for event in events}) == len(events)
    tools = Counter(event["data"]["tool"] for event in events if event["type"].endswith("used.v1"))
    assert tools == {"before": 200, "after": 200, "in child": 2}
    assert Counter(short(events)) == {"started": 2, "completed": 2, "used": 402}
    parents, childs = {event["subject"] for event in events if "in child" not in str(event["data"])}
    counts = Counter((event["subject"], event["sequence"]) for event in events)
    assert set(counts.values()) == {1}
    outside = [event for event in events if int(event["sequence"]) == 0]
    assert [event["data"]["tool"] for event in outside] == ["in child"], "it is no part of the parent's numbering"
    assert {event["subject"] for event in outside} <= {parents, childs}
    if spool and end != "os._exit(0)":  # which leaves no time to tidy up
        assert list(directory.iterdir()) == []


def test_two_processes_never_make_the_same_ids(tmp_path: Path) -> None:
    """They go by the time as well, so that the random part is what has to be looked at."""
    script = """
emitter = EventEmitter()
for _ in range(3):
    child = os.fork()
    if child == 0:
        os.write(1, (emitter._event_ids.next()[19:] + "\\n").encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print(emitter._event_ids.next()[19:])
"""
    ended, _ = run(script, tmp_path / "events.jsonl")
    assert len(set(ended.stdout.split())) == 4


def test_a_child_forked_while_other_threads_emit_does_not_wait_for_their_locks(tmp_path: Path) -> None:
    script = """
emitter = EventEmitter()
stop = False
def work():
    with execution("s", {}, emitter=emitter) as run:
        while not stop:
            run.tool_used("in a thread", success=True)
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for number in range(20):
    child = os.fork()
    if child == 0:
        with execution("s", {}, emitter=emitter) as run:
            run.tool_used(f"child {number}", success=True)
        emitter.close(20)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop = True
for thread in threads:
    thread.join()
emitter.close(20)
"""
    _, events = run(script, tmp_path / "events.jsonl")
    tools = Counter(event["data"]["tool"] for event in events if event["type"].endswith("used.v1"))
    del tools["in a thread"]
    assert tools == {f"child {number}": 1 for number in range(20)}
    assert short(events).count("completed") == 23


def test_children_of_multiprocessing(tmp_path: Path) -> None:
    script = """
import multiprocessing
emitter = EventEmitter()
def work(number):
    with execution("s", {"child": number}, emitter=emitter) as own:
        own.tool_used(f"child {number}", success=True)
with execution("s", {}, emitter=emitter) as run:
    run.tool_used("parent", success=True)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=work, args=[number]) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
emitter.close()
"""
    _, events = run(script, tmp_path / "events.jsonl")
    tools = Counter(event["data"]["tool"] for event in events if event["type"].endswith("used.v1"))
    assert tools == {"parent": 1, "child 0": 1, "child 1": 1, "child 2": 1}
    assert Counter(short(events)) == {"started": 4, "used": 4, "completed": 4}
    assert {int(event["sequence"]) for event in events} == {1, 2, 3}


def test_a_lock_on_the_spool_ends_with_the_parent_and_not_with_its_child(tmp_path: Path) -> None:
    """Else what a killed sandbox leaves could not be sent for as long as something it started lives on."""
    directory = tmp_path / "spool"
    script = """
with execution("s", {}, emitter=(emitter := EventEmitter())) as run:
    run.tool_used("t", success=True)
    while emitter.flush(0).spooled != 2:
        pass
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(writer)
        sys.stdout.close()
        os.close(1), os.close(2)
        os.read(reader, 1)  # until the parent is gone
        signal.pause()
    print(os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)
"""
    script = script.replace("if os.fork() == 0:", "child = os.fork()\n    if child == 0:").replace(
        "print(os.getpid())", "print(child, flush=True)"
    )
    environment = {
        "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "ARC_EVAL_SPOOL_DIR": str(directory),
    }
    ended = run_script(EMIT + script, environment, measured=False)
    child = int(ended.stdout)
    try:
        (state,) = list_segments(directory)
        assert len(state.content.records) == 2
        assert not state.in_use
    finally:
        import os
        import signal

        os.kill(child, signal.SIGKILL)
