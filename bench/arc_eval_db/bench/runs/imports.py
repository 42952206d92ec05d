"""What the SDK costs before an agent's first event, and after ten thousand: fresh interpreters that import it."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from typing import Any

from arc_eval_db.bench.measured import Figures, run

_TIMEOUT_S = 60.0

_MEMORY = """
import arc_eval_db.producers as producers
from pathlib import Path

def resident_mb():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024

class Discard:
    async def open(self): pass
    async def send(self, records): return ()
    async def close(self): pass

imported = resident_mb()
with producers.EventEmitter(transport=Discard()) as emitter:
    with producers.execution("refund-flow", {"name": "careful"}, emitter=emitter) as run:
        for number in range(10_000):
            run.progress("asked the customer", step=number, details={"tokens": number})
            if number % 1000 == 0:
                emitter.flush(30)
    emitter.flush(30)
    emitted = resident_mb()
import json
print(json.dumps([imported, emitted]))
"""


async def imports(options: dict[str, Any]) -> Figures:
    """Options: `repeats`, fresh interpreters of each kind, in turn. An empty one's time is taken off."""
    empty, importing = [], []
    for _ in range(options["repeats"]):
        empty.append(_seconds("pass"))
        importing.append(_seconds("import arc_eval_db.producers"))
    import_mb, emitted_mb = json.loads(_run(_MEMORY))
    return {
        "import_ms": 1000 * (statistics.median(importing) - statistics.median(empty)),
        "import_mb": import_mb,
        "emitted_mb": emitted_mb,
    }


def _seconds(script: str) -> float:
    began = time.perf_counter()
    _run(script)
    return time.perf_counter() - began


def _run(script: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=_TIMEOUT_S
    )
    return ended.stdout


if __name__ == "__main__":
    run(imports)
