"""What every command shares: running coroutines, settings, errors as messages, and output for people or programs."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click
import orjson
from rich.console import Console
from rich.table import Table

from arc_eval_db.cli.main import EXIT_FAILED, EXIT_INTERRUPTED
from arc_eval_db.cli.printable import printable, printable_json
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.errors import ArcEvalError
from arc_eval_db.settings import KafkaSettings

P = ParamSpec("P")
T = TypeVar("T")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def command(function: Callable[P, T]) -> Callable[P, T]:
    """Turn this project's errors into one line on standard error, and Ctrl-C into a quiet end."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except ArcEvalError as error:
            # It may quote a file or an event.
            said = printable(str(error), keep="\n")
            click.echo(f"arc-eval-db: {said}", err=True)
            sys.exit(EXIT_FAILED)
        except (KeyboardInterrupt, asyncio.CancelledError):
            click.echo("interrupted", err=True)
            sys.exit(EXIT_INTERRUPTED)

    return wrapper


_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def end_like_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP end this command as Ctrl-C does: what it started is stopped.

    Signals are the main thread's: in another, as where a program runs a command, they are left as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _ENDING_SIGNALS:
        signal.signal(number, signal.default_int_handler)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, on uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415 - not to be had everywhere
    except ImportError:
        return asyncio.run(_cancelled_by_signals(work))
    return uvloop.run(_cancelled_by_signals(work))


async def _cancelled_by_signals(work: Coroutine[Any, Any, T]) -> T:
    """Where `end_like_ctrl_c` is in force: an exception raised wherever a loop happens to be can get lost there."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    taken = [number for number in _ENDING_SIGNALS if signal.getsignal(number) is signal.default_int_handler]
    for number in taken:
        loop.add_signal_handler(number, task.cancel)
    try:
        return await work
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.default_int_handler)


def kafka_settings() -> KafkaSettings:
    """Kafka's settings from the environment."""
    return KafkaSettings.from_environment(os.environ)


def database_settings(**overrides: Any) -> DatabaseSettings:
    """The database's settings from the environment."""
    return DatabaseSettings.load(**overrides)


def print_json(value: Any) -> None:
    """Print a value as one JSON document."""
    document = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z, default=str).decode()
    click.echo(printable_json(document))


def print_json_line(value: Any) -> None:
    """Print a value as one line of JSON, for programs that read on while the command runs."""
    click.echo(printable_json(orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()))
    sys.stdout.flush()


def print_table(title: str | None, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, err: bool = False) -> None:
    """Print rows for people; columns of figures are aligned to the right.

    Args:
        err: to standard error, as a part of a question.
    """
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for index, column in enumerate(columns):
        figures = all(isinstance(row[index], int | float) or row[index] is None for row in rows)
        table.add_column(column, justify="right" if figures and rows else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console(err=err).print(table)


def console(*, err: bool = False) -> Console:
    """Standard output, or error: coloured and as wide as the terminal, or plain and wide enough in a pipe."""
    file = sys.stderr if err else sys.stdout
    return Console(file=file, width=None if file.isatty() else 120, highlight=False, markup=False)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def progress(message: str) -> None:
    """Say what is going on, on standard error, where a person is watching."""
    if sys.stderr.isatty():
        click.echo(message, err=True)


def shell_exports(environment: Mapping[str, str]) -> str:
    """Lines that a POSIX shell can evaluate."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())
