"""Logins: a cookie that says which token somebody has shown, signed with a key that dies with the server.

It holds the token's public id and an expiry, and never the secret. Whether the token is still good is asked of the
database again and again (`access.py`).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

COOKIE = "arc_eval_dashboard"

_TEXT = re.compile(r"([0-9a-f]{12})\.([0-9]{1,12})\.([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Login:
    """Who has shown a token, and until when that is good."""

    token_id: str
    expires_at_s: int
    """Seconds since 1970."""


class Sessions:
    """Makes and reads cookies."""

    def __init__(self, lifetime_s: float, now_s: Callable[[], float] = time.time) -> None:
        self.lifetime_s = int(lifetime_s)
        self._now_s = now_s
        self._key = secrets.token_bytes(32)

    def issue(self, token_id: str) -> str:
        """The cookie's text for a token that was shown and is good."""
        payload = f"{token_id}.{int(self._now_s()) + self.lifetime_s}"
        return f"{payload}.{self._signature(payload)}"

    def read(self, text: str | None) -> Login | None:
        """The login; None where the text is missing, not ours, or too old."""
        match = _TEXT.fullmatch(text) if text is not None else None
        if match is None:
            return None
        payload = f"{match[1]}.{match[2]}"
        if not hmac.compare_digest(self._signature(payload), match[3]):
            return None
        login = Login(match[1], int(match[2]))
        return login if self._now_s() < login.expires_at_s else None

    def _signature(self, payload: str) -> str:
        return hmac.new(self._key, payload.encode(), hashlib.sha256).hexdigest()
