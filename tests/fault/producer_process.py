"""A producer as a process of its own, to be killed: `python -m fault.producer_process LEDGER SEED EVENTS_PER_S`.

Kafka's settings come from the environment. SIGTERM ends it in an orderly way.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from arc_eval_db.settings import KafkaSettings
from fault.fail_points import tell
from fault.producers import LoadProducer


async def _main(ledger_file: Path, seed: int, events_per_s: float) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    kafka = KafkaSettings.from_environment(os.environ)
    producer = LoadProducer(kafka, ledger_file, seed=seed, events_per_s=events_per_s)
    producer.start()
    tell("started")
    await stopping.wait()
    delivery = await producer.stop()
    tell("stopped", sent=delivery.sent, pending=delivery.pending)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
