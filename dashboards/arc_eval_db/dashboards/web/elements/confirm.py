"""Asking before something is changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui.element import Element


class Confirm(Element, component="confirm.js"):
    """A dialog that is asked again and again; the browser keeps the focus in it, and Escape is no."""

    def __init__(self) -> None:
        super().__init__()
        self._work: Callable[[], Awaitable[None]] | None = None
        self.on("confirm", self._confirmed, args=[])
        self.on("cancel", self._cancelled, args=[])

    def ask(self, title: str, text: str, confirm: str, work: Callable[[], Awaitable[None]]) -> None:
        """Show the question; `work` is done once, where the answer is yes.

        Args:
            confirm: what the button for yes says.
        """
        self._work = work
        self.run_method("ask", title, text, confirm)

    async def _confirmed(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            await work()

    def _cancelled(self) -> None:
        self._work = None
