"""Webhooks: ours, and those that understand Slack's messages."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any

import orjson

from arc_eval_db.consumers.alerts.alert import Message
from arc_eval_db.consumers.alerts.posting import Poster
from arc_eval_db.consumers.alerts.receivers import plain
from arc_eval_db.consumers.alerts.rule import Severity
from arc_eval_db.consumers.alerts.standings import Change

# Slack refuses a message with a longer text in a block.
_BLOCK_MAX = 2_900
_ESCAPED_MAX = len("&amp;")

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class Webhook:
    """Posts each message as JSON, signed where there is a secret."""

    name = "webhook"

    def __init__(self, poster: Poster, secret: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self._poster = poster
        self._secret = secret
        self._clock = clock

    async def deliver(self, message: Message) -> None:
        """See `Receiver`."""
        body = orjson.dumps(message.document())
        await self._poster.post(body, {"X-Arc-Eval-Message": message.id, **self._signature(body)})

    def _signature(self, body: bytes) -> dict[str, str]:
        if self._secret is None:
            return {}
        moment = str(int(self._clock()))
        return {"X-Arc-Eval-Time": moment, "X-Arc-Eval-Signature": signature(self._secret, moment, body)}


def signature(secret: str, moment: str, body: bytes) -> str:
    """What a webhook compares with the header `X-Arc-Eval-Signature`.

    Args:
        moment: the header `X-Arc-Eval-Time`, a Unix time: an old one is a message that somebody sends again.
    """
    digest = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


class SlackWebhook:
    """Posts each message as Slack's incoming webhooks take it, and what is compatible with them."""

    name = "slack"

    def __init__(self, poster: Poster) -> None:
        self._poster = poster

    async def deliver(self, message: Message) -> None:
        """See `Receiver`."""
        await self._poster.post(orjson.dumps(slack_document(message)), {})


def slack_document(message: Message) -> dict[str, Any]:
    """The message for Slack: its text says everything, for those that show no blocks."""
    title, lines = plain(message.title), [plain(line) for line in message.lines()]
    mark = "✅" if message.change is Change.RESOLVED else "🔴" if message.alert.severity is Severity.CRITICAL else "🟡"
    return {
        # `<!channel>` and links are made of these three; everything else is text.
        "text": f"{mark} {title}\n".translate(_ESCAPES) + "\n".join(lines).translate(_ESCAPES),
        "blocks": [
            {"type": "section", "text": _plain_text(f"{mark} {title}")},
            {"type": "context", "elements": [_plain_text("\n".join(lines))]},
        ],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _plain_text(text: str) -> dict[str, Any]:
    escaped = text.translate(_ESCAPES)
    if len(escaped) > _BLOCK_MAX:  # cut before it is escaped, as no escape may be cut in two
        escaped = text[: _BLOCK_MAX // _ESCAPED_MAX].translate(_ESCAPES)
    return {"type": "plain_text", "text": escaped, "emoji": False}
