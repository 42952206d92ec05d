"""How people name a version: `careful`, `careful@3`, `careful@production`, its UUID, or `sha256:1f3a…`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from arc_eval_db.configurations.errors import ReferenceRefusedError
from arc_eval_db.schemas.limits import NAME_CHARACTERS_MAX

LATEST = "latest"
"""Stands for the highest number, and cannot be a label."""
HASH_DIGITS_MIN = 8

_HASH = re.compile(r"sha256:([0-9a-fA-F]*)")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NUMBER = re.compile(r"[0-9]{1,9}")
_NAME = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff\ufffd]+")
_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9._/-]{0,62}")


@dataclass(frozen=True, slots=True)
class Reference:
    """One of: a name alone (its latest version), a name with a number or a label, an id, a prefix of a hash."""

    text: str
    name: str | None = None
    number: int | None = None
    label: str | None = None
    version_id: UUID | None = None
    hash_prefix: str | None = None


def parse_reference(text: str) -> Reference:
    """Read a reference. A name that holds an `@` itself, or looks like an id, needs an `@latest` or another behind it.

    >>> parse_reference("careful@3").number, parse_reference("a@b@latest").name
    (3, 'a@b')

    Raises:
        ReferenceRefusedError: it is none.
    """
    if match := _HASH.fullmatch(text):
        digits = match[1].lower()
        if not HASH_DIGITS_MIN <= len(digits) <= 64:
            raise ReferenceRefusedError(f"{text}: from {HASH_DIGITS_MIN} to 64 digits of the hash are needed")
        return Reference(text, hash_prefix=digits)
    if _UUID.fullmatch(text):
        return Reference(text, version_id=UUID(text))
    name, at, selector = text.rpartition("@")
    if not at:
        return Reference(text, name=check_name(text))
    check_name(name)
    if selector == LATEST:
        return Reference(text, name=name)
    if _NUMBER.fullmatch(selector):
        return Reference(text, name=name, number=int(selector))
    return Reference(text, name=name, label=check_label(selector))


def check_label(label: str) -> str:
    """The label, if it is one.

    Raises:
        ReferenceRefusedError: it is none.
    """
    if label == LATEST or not _LABEL.fullmatch(label):
        raise ReferenceRefusedError(
            f"{label!r} is no label: a letter, then up to 62 letters, digits or any of . _ / -; "
            f"{LATEST!r} always means the highest number"
        )
    return label


def check_name(name: str) -> str:
    """The name, if a configuration may have it: what a sandbox may call one.

    Raises:
        ReferenceRefusedError: it may not.
    """
    if len(name) > NAME_CHARACTERS_MAX or not _NAME.fullmatch(name):
        raise ReferenceRefusedError(
            f"{name[:NAME_CHARACTERS_MAX]!r} is no name of a configuration: 1 to {NAME_CHARACTERS_MAX} characters, "
            "and no control characters"
        )
    return name


def check_new_name(name: str) -> str:
    """The name, if people may give it: one that can be seen, and be a part of an address.

    Raises:
        ReferenceRefusedError: they may not.
    """
    if check_name(name) in (".", "..") or not name.strip() or not name.isprintable():
        raise ReferenceRefusedError(
            f"{name!r} is no name to give a configuration: it needs characters that can be seen, and no others"
        )
    return name


def check_texts(**texts: str | None) -> None:
    """Check that the database can be asked for texts.

    Raises:
        ReferenceRefusedError: one holds what no text in it does.
    """
    for name, text in texts.items():
        if text is not None and _NO_TEXT.search(text):
            raise ReferenceRefusedError(f"{name}: neither NUL nor half a surrogate pair is in any text")
