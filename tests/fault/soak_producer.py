"""A steady load through the SDK: `python -m fault.soak_producer --rate 500`, until SIGTERM.

Says once a second, as a line of JSON, how many events it has emitted; after SIGTERM what became of them all.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time

import orjson

from arc_eval_db.producers import EventEmitter, execution

THREADS = 4
STEPS = 8
FLUSH_TIMEOUT_S = 30.0


class SteadyLoad:
    """Threads that run executions, one after the other, at a rate that is theirs together."""

    def __init__(self, emitter: EventEmitter, rate: float) -> None:
        self._emitter = emitter
        self._interval_s = THREADS / rate
        self._ending = threading.Event()
        self._emitted = [0] * THREADS

    @property
    def emitted(self) -> int:
        """Events so far."""
        return sum(self._emitted)

    def run(self, number: int) -> None:
        """Work until told to end. Late events are caught up with: the pace is that of the clock."""
        due = time.monotonic() + self._interval_s * number / THREADS
        while not self._ending.is_set():
            with execution(f"scenario-{number}", {"name": "steady"}, "soak", emitter=self._emitter) as run:
                for step in range(STEPS):
                    with run.tool("search", {"step": step, "text": "x" * 200}) as call:
                        call.result("found")
                    due += self._interval_s
                    self._ending.wait(max(0.0, due - time.monotonic()))
                run.complete(success=True, score=0.5)
            due += 2 * self._interval_s  # of its beginning and its end
            self._emitted[number] += STEPS + 2

    def end(self) -> None:
        """Let every thread finish its execution."""
        self._ending.set()


def main() -> None:
    """Emit at the rate of the arguments."""
    parser = argparse.ArgumentParser(prog="fault.soak_producer")
    parser.add_argument("--rate", type=float, required=True, help="events a second")
    options = parser.parse_args()
    told_to_end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told_to_end.set())
    with EventEmitter() as emitter:
        load = SteadyLoad(emitter, options.rate)
        threads = [threading.Thread(target=load.run, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        while not told_to_end.wait(1.0):
            _tell(emitted=load.emitted)
        load.end()
        for thread in threads:
            thread.join()
        delivery = emitter.flush(FLUSH_TIMEOUT_S)
        _tell(ended=True, emitted=load.emitted, sent=delivery.sent, dropped=sum(delivery.dropped.values()))


def _tell(**line: int) -> None:
    print(orjson.dumps(line).decode(), flush=True)


if __name__ == "__main__":
    main()
