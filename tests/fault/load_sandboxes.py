"""Many executions in one process, each with an emitter of its own: `python -m fault.load_sandboxes OPTIONS`.

Says on standard output, a line of JSON each, when all have started and what became of them; ends by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import threading
from pathlib import Path
from typing import Any

import orjson

from arc_eval_db.producers import EventEmitter, ProducerSettings, execution
from arc_eval_db.producers.configured import settings_or_default
from arc_eval_db.producers.transports.kafka import KafkaTransport
from fault.ledger import Ledger, LedgerTransport

SENDER_THREAD = "arc-eval-sender"
CONFIGURATIONS = ({"name": "careful", "temperature": 0.2}, {"name": "quick", "temperature": 0.9})


class Sandboxes:
    """The executions of one process: they begin one after the other, overlap, and end one after the other."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._settings: ProducerSettings = settings_or_default()
        self._ledger = Ledger(options.ledger)
        self._started = 0
        self._emitted: dict[str, int] = {}
        self._dropped = 0

    async def run(self) -> None:
        """All executions, to their end."""
        numbers = range(self._options.first, self._options.first + self._options.executions)
        await asyncio.gather(*(self._run_one(number) for number in numbers))
        self._ledger.close()
        tell({"event": "ended", "emitted": self._emitted, "dropped": self._dropped})

    async def _run_one(self, number: int) -> None:
        chance = random.Random(f"{self._options.seed}/{number}")
        await asyncio.sleep(chance.random() * self._options.ramp)
        emitter = EventEmitter(
            transport=LedgerTransport(KafkaTransport(self._settings.kafka), self._ledger), settings=self._settings
        )
        # A tool use about every four seconds, as an agent that waits for its model has.
        steps = max(1, int(self._options.seconds / 4))
        pauses = [chance.random() for _ in range(steps + 1)]
        scale = self._options.seconds / sum(pauses)
        try:
            async with execution(
                f"scenario-{number % 50}", chance.choice(CONFIGURATIONS), self._options.simulation, emitter=emitter
            ) as run:
                self._started += 1
                if self._started == self._options.executions:
                    senders = sum(thread.name == SENDER_THREAD for thread in threading.enumerate())
                    tell({"event": "all_started", "senders": senders, "threads": threading.active_count()})
                for step, pause in enumerate(pauses[:-1]):
                    await asyncio.sleep(pause * scale)
                    if step % 3 == 2:
                        run.progress("thinking", step=step)
                    else:
                        run.tool_used("search", success=chance.random() < 0.9, arguments={"step": step})
                await asyncio.sleep(pauses[-1] * scale)
                run.complete(success=chance.random() < 0.7, score=chance.random())
        finally:
            delivery = await emitter.close_async()
        self._emitted[str(run.execution_id)] = steps + 2
        self._dropped += sum(delivery.dropped.values())


def tell(line: dict[str, Any]) -> None:
    """Say something to the harness."""
    print(orjson.dumps(line).decode(), flush=True)


def main() -> None:
    """Run the executions that the arguments ask for."""
    parser = argparse.ArgumentParser(prog="fault.load_sandboxes")
    parser.add_argument("--first", type=int, required=True, help="number of the first execution")
    parser.add_argument("--executions", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="how long one takes")
    parser.add_argument("--ramp", type=float, required=True, help="they start within so many seconds")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--simulation", required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    asyncio.run(Sandboxes(parser.parse_args()).run())


if __name__ == "__main__":
    main()
