"""Alert messages against local servers: webhooks, Slack's, mail; and what becomes of those that nobody takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from arc_eval_db.consumers.alerts import (
    Alert,
    AlertMetrics,
    AlertSettings,
    Change,
    Message,
    MessageRefusedError,
    Receiver,
    ReceiverUnavailableError,
    Severity,
    receivers_of,
    signature,
)
from arc_eval_db.consumers.alerts.delivering import Delivery
from arc_eval_db.consumers.alerts.mail import compose
from arc_eval_db.consumers.alerts.webhook import slack_document
from support.alert_receivers import HttpReceiver, MailReceiver
from support.conditions import eventually
from support.tls import Authority

HOSTILE = "<!channel> & <https://evil.example|click>\r\nBcc: all@example.org\x00"
OPENED = Message(
    Change.OPENED,
    Alert("ArcEvalTest", Severity.CRITICAL, (("topic", "a"),), 12.5, "it is 12", "look", 1_700_000_000.0),
    "here",
)
RESOLVED = replace(OPENED, change=Change.RESOLVED, alert=replace(OPENED.alert, resolved_at=1_700_000_090.0))
UNAVAILABLE = b"HTTP/1.1 503 Busy\r\n\r\n"


def about(topic: str, message: Message = OPENED) -> Message:
    return replace(message, alert=replace(message.alert, labels=(("topic", topic),)))


def only_receiver(**settings: Any) -> Receiver:
    (receiver,) = receivers_of(AlertSettings.load(send_timeout_s=5, **settings))
    return receiver


async def test_a_webhook_gets_json_that_is_signed() -> None:
    async with HttpReceiver() as server:
        receiver = only_receiver(webhook_url=server.url("/hook?x=1"), webhook_secret="0123456789abcdef")
        await receiver.deliver(OPENED)
        await receiver.deliver(RESOLVED)
    opened, resolved = server.requests
    assert opened.line == "POST /hook?x=1 HTTP/1.1"
    assert opened.headers["Host"].startswith("127.0.0.1:")
    assert opened.json == {
        "version": 1,
        "id": OPENED.id,
        "key": OPENED.key,
        "status": "open",
        "test": False,
        "rule": "ArcEvalTest",
        "severity": "critical",
        "labels": {"topic": "a"},
        "value": 12.5,
        "summary": "it is 12",
        "next_step": "look",
        "opened_at": "2023-11-14T22:13:20.000Z",
        "resolved_at": None,
        "source": "here",
    }
    assert resolved.json["resolved_at"] == "2023-11-14T22:14:50.000Z"
    assert (resolved.json["key"], resolved.json["status"]) == (opened.json["key"], "resolved")
    expected = signature("0123456789abcdef", opened.headers["X-Arc-Eval-Time"], opened.body)
    assert opened.headers["X-Arc-Eval-Signature"] == expected


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", None),
        (b"HTTP/1.1 400 No\r\n\r\n", MessageRefusedError),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\n\r\n", MessageRefusedError),
        (b"HTTP/1.1 429 Slow\r\n\r\n", ReceiverUnavailableError),
        (UNAVAILABLE, ReceiverUnavailableError),
        (b"SSH-2.0-OpenSSH\r\n", ReceiverUnavailableError),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 9, ReceiverUnavailableError),
        (b"x" * 100_000, ReceiverUnavailableError),
        (b"", ReceiverUnavailableError),
    ],
)
async def test_an_answer_decides_whether_it_is_sent_again(answer: bytes, error: type[Exception] | None) -> None:
    async with HttpReceiver(answer) as server:
        delivering = only_receiver(webhook_url=server.url()).deliver(OPENED)
        if error is None:
            await delivering
        else:
            with pytest.raises(error):
                await delivering
        assert len(server.requests) == 1


async def test_a_server_that_does_not_answer_costs_the_deadline_only() -> None:
    async with HttpReceiver(b"never") as server:
        (receiver,) = receivers_of(AlertSettings.load(send_timeout_s=0.1, webhook_url=server.url()))
        with pytest.raises(ReceiverUnavailableError, match=r"no answer within 0\.1 s"):
            await receiver.deliver(OPENED)


async def test_no_proxy_and_no_server_that_is_not_trusted_gets_a_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    certificate = authority.issue("localhost").server_context()
    async with HttpReceiver() as proxy, HttpReceiver(context=certificate) as server:
        for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url("/"))
        url = server.url(host="localhost")
        await only_receiver(webhook_url=url, ssl_cafile=str(authority.file)).deliver(OPENED)
        for cafile in (str(other.file), None):
            with pytest.raises(ReceiverUnavailableError, match="not to be trusted"):
                await only_receiver(webhook_url=url, ssl_cafile=cafile).deliver(OPENED)
        with pytest.raises(ReceiverUnavailableError, match="not to be trusted"):
            await only_receiver(webhook_url=server.url(), ssl_cafile=str(authority.file)).deliver(OPENED)
        assert (len(server.requests), proxy.requests) == (1, [])


async def test_slack_gets_text_and_never_markup() -> None:
    hostile = replace(OPENED, alert=replace(OPENED.alert, summary=HOSTILE, labels=(("topic", HOSTILE),)))
    async with HttpReceiver() as server:
        await only_receiver(slack_url=server.url()).deliver(hostile)
        await only_receiver(slack_url=server.url()).deliver(RESOLVED)
    first, second = server.documents
    assert first == slack_document(hostile)
    assert (
        "🔴 [critical] &lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;  Bcc: all@example.org" in first["text"]
    )
    assert not {"<", ">", "\r", "\x00"} & set(str(first))
    assert {block["type"] for block in first["blocks"]} == {"section", "context"}
    assert first["blocks"][0]["text"]["type"] == first["blocks"][1]["elements"][0]["type"] == "plain_text"
    assert "✅ [resolved] it is 12" in second["text"]
    assert "after 90 s" in second["text"]


def test_slack_gets_no_more_than_it_takes() -> None:
    long = replace(OPENED, alert=replace(OPENED.alert, summary="&" * 5_000, labels=(("topic", "<" * 5_000),)))
    title, details = slack_document(long)["blocks"]
    assert len(title["text"]["text"]) <= 3_000
    assert len(details["elements"][0]["text"]) <= 3_000
    assert title["text"]["text"].endswith("&amp;")


MAIL = {"email_to": "Ops <ops@example.org>, two@example.org", "email_from": "alerts@example.org"}


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
async def test_mail_is_handed_in(security: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.issue("localhost").server_context()
    # What the certificate of a PostgreSQL server negotiates has no place in mail.
    server = MailReceiver(
        starttls=context if security == "starttls" else None,
        context=context if security == "tls" else None,
        login=("me", "s3cret"),
    )
    async with server:
        receiver = only_receiver(
            **MAIL,
            smtp_host="localhost",
            smtp_port=server.port,
            smtp_security=security,
            smtp_username="me",
            smtp_password="s3cret",
            ssl_cafile=str(authority.file),
        )
        await receiver.deliver(OPENED)
        await receiver.deliver(RESOLVED)
    opened, resolved = server.mails
    assert server.envelopes[0] == ("alerts@example.org", ("ops@example.org", "two@example.org"))
    assert server.was_encrypted == [security != "none"] * 2
    assert opened["Subject"] == "[critical] it is 12"
    assert opened["Auto-Submitted"] == "auto-generated"
    assert resolved["Subject"] == "[resolved] it is 12"
    assert resolved["In-Reply-To"] == opened["Message-ID"]
    assert "next: look" in opened.get_content()
    assert "topic=a" in opened.get_content()


def test_no_header_can_be_smuggled_in() -> None:
    hostile = replace(OPENED, alert=replace(OPENED.alert, summary=HOSTILE, labels=(("topic", HOSTILE),)))
    mail = compose(hostile, "alerts@example.org", ["ops@example.org"])
    text = mail.as_string()
    head, _, body = text.partition("\r\n\r\n")
    assert "Bcc" not in [name for name, _ in mail.items()]
    assert not any(line.startswith("Bcc") for line in [*head.split("\r\n"), *body.split("\r\n")])
    assert "\x00" not in text


def mail_receiver(server: MailReceiver, **settings: Any) -> Receiver:
    return only_receiver(
        **(MAIL | {"smtp_host": "localhost", "smtp_port": server.port, "smtp_security": "none"} | settings)
    )


@pytest.mark.parametrize(
    ("answer", "error"), [("451 later", ReceiverUnavailableError), ("554 no", MessageRefusedError)]
)
async def test_mail_that_is_not_taken_is_known_not_to_be(answer: str, error: type[Exception]) -> None:
    async with MailReceiver(data_answers=(answer,)) as server:
        receiver = mail_receiver(server)
        with pytest.raises(error, match=answer[:3]):
            await receiver.deliver(OPENED)
        await receiver.deliver(OPENED)
    assert len(server.mails) == 1


async def test_mail_is_not_sent_in_the_open_where_tls_is_wanted() -> None:
    async with MailReceiver() as server:
        with pytest.raises(MessageRefusedError, match="STARTTLS"):
            await mail_receiver(server, smtp_security="starttls").deliver(OPENED)
    assert server.mails == []


async def test_a_wrong_login_and_a_silent_server_are_said() -> None:
    async with MailReceiver(login=("me", "s3cret")) as server, MailReceiver(greets=False) as silent:
        with pytest.raises(ReceiverUnavailableError, match="535"):
            await mail_receiver(server, smtp_username="me", smtp_password="wrong").deliver(OPENED)
        settings = AlertSettings.load(
            **MAIL, smtp_host="localhost", smtp_port=silent.port, smtp_security="none", send_timeout_s=0.2
        )
        (receiver,) = receivers_of(settings)
        for _ in range(2):  # the thread of the first attempt is free again
            with pytest.raises(ReceiverUnavailableError, match=r"not done within 0\.2 s|Disconnected"):
                await receiver.deliver(OPENED)


class Scripted:
    """A receiver that raises what it is told to, and then takes everything."""

    name = "scripted"

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.got: list[Message] = []
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def deliver(self, message: Message) -> None:
        await self.is_open.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.got.append(message)


@asynccontextmanager
async def delivery(
    receiver: Receiver, *, messages_max: int = 100, give_up_s: float = 1e9, clock: Callable[[], float] | None = None
) -> AsyncIterator[tuple[Delivery, AlertMetrics]]:
    metrics = AlertMetrics()
    one = Delivery(
        receiver,
        metrics,
        messages_max=messages_max,
        retry_s_max=0.01,
        give_up_s=give_up_s,
        clock=clock or (lambda: OPENED.alert.opened_at),
    )
    running = asyncio.create_task(one.run())
    try:
        yield one, metrics
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def dropped(metrics: AlertMetrics, reason: str, receiver: str = "scripted") -> float:
    return metrics.value("arc_eval_alerts_dropped_total", receiver=receiver, reason=reason)


async def test_messages_arrive_in_order_whatever_fails_in_between() -> None:
    receiver = Scripted(ReceiverUnavailableError("busy"), ReceiverUnavailableError("busy"), RuntimeError("a bug"))
    async with delivery(receiver) as (one, metrics):
        one.put([OPENED, about("b")])
        one.put([RESOLVED])
        assert metrics.value("arc_eval_alerts_waiting", receiver="scripted") == 3
        assert await one.drained(10)
    assert receiver.got == [OPENED, about("b"), RESOLVED]
    assert metrics.value("arc_eval_alerts_attempts_failed_total", receiver="scripted") == 3
    assert metrics.value("arc_eval_alerts_sent_total", receiver="scripted") == 3
    assert metrics.value("arc_eval_alerts_waiting", receiver="scripted") == 0


async def test_a_message_that_is_refused_holds_up_no_other() -> None:
    receiver = Scripted(MessageRefusedError("it answered 400"))
    async with delivery(receiver) as (one, metrics):
        one.put([OPENED, about("b")])
        assert await one.drained(10)
    assert receiver.got == [about("b")]
    assert dropped(metrics, "refused") == 1


async def test_a_message_that_is_too_old_is_given_up_and_counted() -> None:
    receiver = Scripted(*[ReceiverUnavailableError("busy")] * 3)
    now = OPENED.alert.opened_at

    def clock() -> float:
        nonlocal now
        now += 40
        return now

    async with delivery(receiver, give_up_s=100, clock=clock) as (one, metrics):
        one.put([OPENED, replace(OPENED, alert=replace(OPENED.alert, opened_at=now + 1e6))])
        assert await one.drained(10)
    assert len(receiver.got) == 1
    assert dropped(metrics, "expired") == 1


async def test_a_full_queue_drops_only_what_came_and_went() -> None:
    receiver = Scripted()
    receiver.is_open.clear()
    again = replace(OPENED, alert=replace(OPENED.alert, opened_at=OPENED.alert.opened_at + 1))
    async with delivery(receiver, messages_max=4) as (one, metrics):
        one.put([about("in hand")])
        await eventually(lambda: len(one.waiting) == 1 and one._in_hand is not None, "the first is under way")
        one.put([RESOLVED, about("b"), about("b", RESOLVED), again, about("c"), about("d")])
        assert one.waiting == (about("in hand"), RESOLVED, again, about("c"), about("d"))
        assert (dropped(metrics, "superseded"), dropped(metrics, "overflow")) == (2, 0)
        one.put([about("e")])
        assert one.waiting[1:] == (again, about("c"), about("d"), about("e"))
        assert dropped(metrics, "overflow") == 1
        receiver.is_open.set()
        assert await one.drained(10)


async def test_a_stop_keeps_what_has_not_been_taken() -> None:
    receiver = Scripted()
    receiver.is_open.clear()
    async with delivery(receiver) as (one, _):
        one.put([OPENED, RESOLVED])
        await eventually(lambda: one._in_hand is not None, "the first is under way")
        assert not await one.drained(0.01)
    assert one.waiting == (OPENED, RESOLVED)
