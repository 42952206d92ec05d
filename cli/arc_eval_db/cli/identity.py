"""Who does something that is recorded."""

from __future__ import annotations

import getpass
import os
import socket

import click

_BY_CHARACTERS_MAX = 200


def _checked_name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not (value.isprintable() and 0 < len(value.strip()) <= _BY_CHARACTERS_MAX):
        raise click.BadParameter(f"1 to {_BY_CHARACTERS_MAX} characters that can be printed")
    return value


by_option = click.option(
    "--by", callback=_checked_name, help="Who does this, for the record.  [default: this user and host]"
)


def this_user() -> str:
    """Who runs this process, as `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as in containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"[:_BY_CHARACTERS_MAX]
