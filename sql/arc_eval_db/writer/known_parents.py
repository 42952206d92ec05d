"""Remembers which events' parents are in the database already."""

from __future__ import annotations

from collections.abc import Iterable

# Two generations are 10 MB.
_GENERATION_CONTEXTS = 20_000


Context = tuple[str, str, str, str | None]
"""The ids of an event's parents, as text: execution, configuration's version, scenario and simulation."""


class KnownParents:
    """Contexts of committed events: their parents need not be written again, as long as an event says no more of them.

    An execution has some twenty events, and a thousand executions run at a time: without this each batch would name
    all of them, for the database to find that it knows them. What is remembered holds for one database; whoever
    connects anew, perhaps to one that was restored, forgets it.
    """

    def __init__(self, generation_contexts: int = _GENERATION_CONTEXTS) -> None:
        """
        Args:
            generation_contexts: at least so many of the latest are remembered, and about twice as many at the most.
        """
        self._generation_contexts = generation_contexts
        self._young: set[Context] = set()
        self._old: set[Context] = set()

    def __contains__(self, context: object) -> bool:
        return context in self._young or context in self._old

    def note(self, contexts: Iterable[Context]) -> None:
        """The transaction that wrote these was committed."""
        self._young.update(contexts)
        if len(self._young) >= self._generation_contexts:
            self._young, self._old = set(), self._young

    def forget(self) -> None:
        """The next transaction may be another database's."""
        self._young, self._old = set(), set()
