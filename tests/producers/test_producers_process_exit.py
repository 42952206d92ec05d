"""How a process with our emitters in it ends: in time, with its own exit code, and without a word too many."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.scripts import Ended, run_script

# Start-up is Python, our imports and aiokafka's on a machine that runs other tests as well.
START_UP_S = 20.0
CLOSE_TIMEOUT_S = 2.0

RUN = """
from arc_eval_db.producers import execution
with execution("s", {"a": 1}) as run:
    with run.tool("t") as call:
        call.result("x")
"""
FORGOTTEN = """
from arc_eval_db.producers import EventEmitter, execution
run = execution("s", {"a": 1}, emitter=EventEmitter())
run.__enter__()
run.progress("still at it")
"""
BAD_WORDS = ("Unclosed", "was destroyed", "never retrieved", "never awaited", "Traceback", "Exception ignored", "Fatal")


@pytest.fixture(scope="module")
def silent_port() -> Iterator[int]:
    """A server that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


def types_in(path: Path) -> list[str]:
    return [json.loads(line)["type"].split(".")[-2] for line in path.read_text().splitlines()]


def test_a_forgotten_emitter_is_closed_at_exit(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    ended = run_script(FORGOTTEN, {"ARC_EVAL_TRANSPORT": "file", "ARC_EVAL_EVENTS_FILE": str(path)})
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")
    assert types_in(path) == ["started", "progressed"]


@pytest.mark.parametrize(("how", "code"), [("raise SystemExit(3)", 3), ("raise ValueError('mine')", 1), ("", 0)])
def test_the_exit_code_is_the_agents(how: str, code: int, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    script = RUN + f"    {how}\n" + FORGOTTEN
    ended = run_script(script, {"ARC_EVAL_TRANSPORT": "file", "ARC_EVAL_EVENTS_FILE": str(path)})
    assert ended.code == code
    assert types_in(path)[:3] == ["started", "used", "completed"]


def test_emitting_while_the_interpreter_ends() -> None:
    script = """
import atexit
from arc_eval_db.producers import EventEmitter, MemoryTransport, execution
memory = MemoryTransport()
run = execution("s", {}, emitter=EventEmitter(transport=memory))
@atexit.register
def last_words():
    with run:
        run.progress("goodbye")
    print("said goodbye")
"""
    ended = run_script(script)
    assert (ended.code, ended.stdout) == (0, "said goodbye\n")
    assert not any(word in ended.stderr for word in BAD_WORDS)


WITHOUT_BROKER = [
    (broker, script)
    for broker in ("refuses", "is silent")
    for script in (RUN, FORGOTTEN, RUN + "    raise SystemExit(3)\n")
]


@pytest.fixture(scope="module")
def ended_without_broker(silent_port: int) -> dict[tuple[str, str], Ended]:
    """How each of them ended: all at once, because each waits for two seconds."""

    def run(case: tuple[str, str]) -> Ended:
        port = 1 if case[0] == "refuses" else silent_port
        servers = f"127.0.0.1:{port}"
        debug = {"PYTHONWARNINGS": "default", "PYTHONASYNCIODEBUG": "1"}
        return run_script(case[1], {"ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": servers, **debug})

    with ThreadPoolExecutor(len(WITHOUT_BROKER)) as pool:
        return dict(zip(WITHOUT_BROKER, pool.map(run, WITHOUT_BROKER), strict=True))


@pytest.mark.parametrize("case", WITHOUT_BROKER, ids=lambda case: f"{case[0]}-{WITHOUT_BROKER.index(case) % 3}")
def test_the_process_ends_in_time_without_a_broker(
    case: tuple[str, str], ended_without_broker: dict[tuple[str, str], Ended]
) -> None:
    ended = ended_without_broker[case]
    assert ended.code == (3 if "SystemExit" in case[1] else 0)
    assert ended.stdout == ""
    assert ended.seconds < CLOSE_TIMEOUT_S + START_UP_S
    assert not any(word in ended.stderr for word in BAD_WORDS), ended.stderr
    assert ended.stderr.count("events could not be delivered and are lost") == 1


def test_a_dead_name_server_does_not_hold_up_the_end() -> None:
    """asyncio looks names up in threads that are joined at exit, however long that takes."""
    script = f"""
import socket, threading
socket.getaddrinfo = lambda *args, **kwargs: threading.Event().wait(40)
{RUN}
"""
    ended = run_script(script, {"ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": "broker.example:9092"})
    assert ended.code == 0
    assert ended.seconds < CLOSE_TIMEOUT_S + START_UP_S
    assert not any(word in ended.stderr for word in BAD_WORDS), ended.stderr


async def test_an_interrupted_coroutine(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    script = """
import asyncio, os, signal
from arc_eval_db.producers import execution
async def main():
    async with execution("s", {}):
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
asyncio.run(main())
"""
    ended = run_script(script, {"ARC_EVAL_TRANSPORT": "file", "ARC_EVAL_EVENTS_FILE": str(path)})
    assert "KeyboardInterrupt" in ended.stderr
    assert not any(word in ended.stderr for word in BAD_WORDS if word != "Traceback")
    assert json.loads(path.read_text().splitlines()[-1])["data"]["status"] == "cancelled"
