"""Kafka's jars: fetched once by Maven coordinate, pinned by SHA-256, then used from the cache without a network."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from arc_eval_db.local.errors import JarChecksumError, JarsUnavailableError, MissingExtraError
from arc_eval_db.local.state import exclusive

KAFKA_VERSION = "4.2.0"

COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    # kafka_2.13 logs through slf4j and brings no implementation: without this one the broker dies in silence.
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3",
)

CHECKSUM_FILE = Path(__file__).with_name("kafka-jars.sha256")
"""In the format of sha256sum, one line for each jar of the class path."""

RESOLVE_TIMEOUT_S = 600.0
"""28 s when measured; a slow line may need minutes for 46 MB."""


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """`arc-eval-db` in XDG_CACHE_HOME, or else in ~/.cache: shared by all stacks of this user."""
    home = environment.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "arc-eval-db"


def pinned_checksums(checksum_file: Path = CHECKSUM_FILE) -> dict[str, str]:
    """SHA-256 by the jar's file name."""
    lines = (line.split() for line in checksum_file.read_text().splitlines())
    return {name: checksum for checksum, name in lines}


def verify(directory: Path, checksums: Mapping[str, str]) -> list[Path]:
    """The pinned jars in `directory`, after hashing every one: 0.04 s for all 46, so it is done at each start.

    Raises:
        JarChecksumError: a jar differs or is missing.
    """
    for name, expected in checksums.items():
        try:
            with (directory / name).open("rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            actual = "no such file"
        if actual != expected:
            raise JarChecksumError(
                f"{directory / name} is not the jar that was pinned (SHA-256 {actual}, expected {expected}); "
                f"next: delete {directory} and run `arc-eval-db local up` to fetch it again"
            )
    return [directory / name for name in checksums]


def class_path(cache: Path, report: Callable[[str], None]) -> list[Path]:
    """Kafka's verified jars, fetched first if the cache does not hold them.

    Raises:
        JarChecksumError: a jar differs from the pinned one.
        JarsUnavailableError: they could not be fetched.
        MissingExtraError: jgo is not installed.
    """
    checksums = pinned_checksums()
    directory = cache / f"kafka-{KAFKA_VERSION}"
    if _is_complete(directory, checksums):
        return verify(directory, checksums)
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive(cache / "kafka.lock", RESOLVE_TIMEOUT_S):
        if not _is_complete(directory, checksums):
            report(f"fetching Apache Kafka {KAFKA_VERSION} (46 MB, once)")
            _materialize(directory, checksums)
    return verify(directory, checksums)


def _is_complete(directory: Path, checksums: Mapping[str, str]) -> bool:
    return all((directory / name).is_file() for name in checksums)


def _materialize(directory: Path, checksums: Mapping[str, str]) -> None:
    """Copy the resolved jars beside their place, check them, and move them there as one: all or nothing."""
    for leftover in directory.parent.glob("fetch-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix="fetch-") as temporary:
        flat = Path(temporary, "jars")
        flat.mkdir()
        for jar in _resolve(Path(temporary, "jgo")):
            if jar.name in checksums:
                # A copy, as jgo's files are hard links into the user's Maven repository.
                shutil.copyfile(jar, flat / jar.name)
        verify(flat, checksums)
        if directory.exists():
            shutil.rmtree(directory)
        flat.rename(directory)


def _resolve(directory: Path) -> list[Path]:
    if importlib.util.find_spec("jgo") is None:
        raise MissingExtraError
    program = Path(__file__).with_name("resolve.py")
    command = [sys.executable, "-P", str(program), str(directory), *COORDINATES]
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=RESOLVE_TIMEOUT_S
        )
    except subprocess.CalledProcessError as error:
        # Only the exception's class: its text may hold the registry's address, and an address may hold a password.
        raise JarsUnavailableError(_unavailable(_error_class(error.stderr))) from None
    except subprocess.TimeoutExpired:
        raise JarsUnavailableError(_unavailable(f"nothing within {RESOLVE_TIMEOUT_S:.0f} s")) from None
    return [Path(line) for line in result.stdout.splitlines()]


def _error_class(traceback: str) -> str:
    last_line = traceback.strip().rpartition("\n")[2]
    name = last_line.partition(":")[0]
    return name if re.fullmatch(r"[A-Za-z_][\w.]*", name) else "jgo failed"


def _unavailable(reason: str) -> str:
    return (
        f"Kafka's jars could not be fetched ({reason}); next: check the network, the proxy and the settings of jgo "
        "or Maven on this machine, then run `arc-eval-db local up` again"
    )
