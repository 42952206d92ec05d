"""One guard, and what the product looks like without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arc_eval_db.errors import ArcEvalError


class MutationError(ArcEvalError):
    """A guard cannot be taken out: the proof says nothing about it until its entry is mended."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A guard, the one place in the code that it stands on, and the tests that must fail without it."""

    name: str
    guard: str
    """What it keeps from happening, for a reader of the table."""
    file: str
    """From the root of the repository; the first folder is one of `FOLDERS`."""
    text: str
    """Stands exactly once in the file."""
    without: str
    """What takes its place."""
    tests: tuple[str, ...]
    """As pytest names them."""

    def apply(self, source: str) -> str:
        """`source` without the guard.

        Raises:
            MutationError: the text is not there exactly once.
        """
        count = source.count(self.text)
        if count != 1:
            raise MutationError(f"{self.name}: its text stands {count} times in {self.file}, instead of once")
        return source.replace(self.text, self.without)

    def line(self, root: Path) -> int | None:
        """The line where the text begins, from 1; None where it is not."""
        before, found, _ = (root / self.file).read_text().partition(self.text)
        return before.count("\n") + 1 if found else None

    @property
    def module(self) -> str:
        """The module that uses the file: of SQL the one that reads it, of JavaScript the one beside it."""
        if self.file.endswith(".sql"):
            return "arc_eval_db.sql"
        name = self.file.partition("/")[2].removesuffix(".py").removesuffix(".js")
        return name.removesuffix("/__init__").replace("/", ".")
