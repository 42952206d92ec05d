"""Blocking calls in daemon threads: what waits for them can stop waiting, and they do not hold up the process's end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


def start_in_daemon_thread(loop: asyncio.AbstractEventLoop, call: Callable[[], T]) -> asyncio.Future[T]:
    """Make a blocking call in a thread of its own; the future belongs to `loop`.

    Raises:
        RuntimeError: the process may start no more threads.
    """
    future: asyncio.Future[T] = loop.create_future()

    def settle(set_outcome: Callable[[T], None] | Callable[[Exception], None], outcome: object) -> None:
        if not future.done():
            set_outcome(outcome)  # type: ignore[arg-type]  # the method and its argument come in pairs

    def run() -> None:
        try:
            outcome = (future.set_result, call())
        except Exception as error:  # noqa: BLE001 - handed over to whoever waits
            outcome = (future.set_exception, error)  # type: ignore[assignment]  # see settle
        try:
            loop.call_soon_threadsafe(settle, *outcome)
        except RuntimeError:  # the loop is closed, and nobody waits
            return

    threading.Thread(target=run, name="arc-eval-blocking-call", daemon=True).start()
    return future


async def in_daemon_thread(call: Callable[[], T]) -> T:
    """Await a blocking call that keeps a deadline of its own.

    `asyncio.to_thread` would queue it behind the agent's own blocking calls, for as long as those take.
    """
    import asyncio  # noqa: PLC0415 - whoever runs a coroutine has it already; others need not pay for it

    try:
        future = start_in_daemon_thread(asyncio.get_running_loop(), call)
    except RuntimeError:  # better to hold up the loop until the deadline than to lose events
        return call()
    return await future
