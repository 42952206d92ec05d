"""What a worker serves: it answers whoever may ask, whatever the worker's event loop or a bad client does."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_eval_db.consumers.http import BackgroundMonitor
from arc_eval_db.consumers.http.background import MonitorAwayError
from arc_eval_db.consumers.http.request import RequestRefusedError, parse_request
from arc_eval_db.consumers.http.server import CONNECTIONS_MAX
from arc_eval_db.consumers.monitoring.answers import Answer, stream_event
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.errors import SettingsError
from support.conditions import eventually
from support.http import Got, Server, ask, get, listening, read_answer

TOKEN = "correct-horse-battery"
PATHS = ("/healthz", "/readyz", "/metrics", "/api/lag", "/api/health", "/api/stream")


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def port(server: Server) -> Iterator[int]:
    with server.running() as port:
        yield port


def test_a_worker_that_moves_is_well(server: Server, port: int) -> None:
    got = get(port, "/healthz")
    assert (got.status, got.json["status"], got.json["doing"]) == (200, "ok", "starting")
    server.pulse.moved("waiting for the database", allowed_s=60, is_paused=True)
    paused = get(port, "/healthz")
    assert (paused.status, paused.json["doing"], paused.json["paused"]) == (200, "waiting for the database", True)


def test_a_worker_that_does_not_move_is_not(server: Server, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    server.pulse.moved("writing a batch", allowed_s=60)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 89)
    assert server.pulse.beat().overdue_s == pytest.approx(29, abs=1)
    assert get(port, "/healthz").status == 200
    monkeypatch.setattr(time, "monotonic", lambda: now + 91.5)
    got = get(port, "/healthz")
    assert (got.status, got.json["status"]) == (503, "failing")
    assert "writing a batch for 9" in got.json["reason"]
    assert "restart it" in got.json["next_step"]


def test_a_worker_is_ready_once_it_has_all_it_needs(server: Server, port: int) -> None:
    assert get(port, "/readyz").json == {"status": "unready", "reason": "it is no member of its group yet"}
    server.pulse.has_joined = True
    assert get(port, "/readyz").json["reason"] == "it has not seen the database's schema yet"
    server.pulse.is_schema_right = True
    ready = get(port, "/readyz")
    assert (ready.status, ready.json) == (200, {"status": "ready"})
    server.pulse.is_draining = True
    draining = get(port, "/readyz")
    assert (draining.status, draining.json["reason"]) == (503, "it was told to stop")
    assert get(port, "/healthz").status == 200, "nobody is to kill a worker that ends"


def test_metrics_are_for_prometheus(server: Server, port: int) -> None:
    server.metrics.count("arc_eval_consumer_records_total", 3, topic="t")
    got = get(port, "/metrics?name=x")
    assert got.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'arc_eval_consumer_records_total{topic="t"} 3.0' in got.body
    newer = get(port, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert newer.headers["content-type"].startswith("application/openmetrics-text")
    assert newer.body.endswith(b"# EOF\n")


def test_what_cannot_be_seen_is_a_problem_with_a_next_step(server: Server, port: int) -> None:
    got = get(port, "/api/lag")
    assert (got.status, got.headers["content-type"]) == (503, "application/problem+json")
    assert got.json["detail"].startswith("Kafka did not answer")
    assert got.json["next_step"].startswith("arc-eval-db doctor")
    assert got.headers["retry-after"] == "5"
    health = get(port, "/api/health")
    assert (health.status, health.json["state"], health.json["checks"][0]["check"]) == (200, "critical", "server")


def test_one_look_answers_all_who_ask(server: Server, port: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: get(port, "/api/lag").status, range(8)))
    assert set(answers) == {503}
    [monitor] = server.monitors
    assert monitor.metrics.value("arc_eval_pipeline_looks_failed_total", group="g") == 1


async def test_it_answers_while_the_event_loop_is_blocked(port: int) -> None:
    # This very test blocks it, by waiting here.
    assert get(port, "/healthz").status == 200
    assert get(port, "/api/health").status == 200


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_the_body(port: int, path: str) -> None:
    got = get(port, path, "HEAD")
    assert got.status in (200, 503)
    assert got.body == b""
    assert got.headers["content-type"]
    assert got.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/", "/../../etc/passwd", "/metrics/", "/healthz/..", "/%2e%2e/etc", "/api", "/HEALTHZ"]
)
def test_there_is_nothing_else(port: int, path: str) -> None:
    got = get(port, path)
    assert (got.status, got.headers["content-type"]) == (404, "application/problem+json")
    assert "/api/stream" in got.json["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"])
def test_nothing_can_be_changed(port: int, method: str) -> None:
    got = get(port, "/healthz", method)
    assert (got.status, got.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense",
        b"GET /healthz",
        b"GET /healthz HTTP/2.0",
        b"GET  /healthz HTTP/1.1",
        b"GET http://localhost/healthz HTTP/1.1",
        b"GET /healthz HTTP/1.1\r\nHost : localhost",
        b"GET /healthz HTTP/1.1\r\nno colon",
        b"GET /healthz HTTP/1.1\r\nA: b\r\n folded",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
def test_what_is_no_request_is_refused(port: int, head: bytes) -> None:
    assert ask(port, head + b"\r\n\r\n").status == 400
    assert get(port, "/healthz").status == 200


@given(st.binary(max_size=300))
def test_no_head_raises_anything_else(head: bytes) -> None:
    with contextlib.suppress(RequestRefusedError):
        parse_request(head)


def test_a_head_has_a_size(port: int) -> None:
    assert ask(port, b"GET /healthz HTTP/1.1\r\nA: " + b"a" * 9_000).status == 431


def test_a_request_has_a_time(server: Server) -> None:
    with server.running(read_timeout_s=0.05) as port:
        assert ask(port, b"GET /healthz HTTP/1.1\r\n").status == 408


def test_slow_connections_do_not_keep_probes_out(server: Server) -> None:
    with server.running(read_timeout_s=60) as port, contextlib.ExitStack() as stack:
        for _ in range(2 * CONNECTIONS_MAX):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            slow.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert [get(port, "/healthz").status for _ in range(3)] == [200] * 3


async def test_who_drips_bytes_after_the_answer_keeps_no_place(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arc_eval_db.consumers.http.server._LINGER_S_MAX", 0.3)
    with server.running() as port, socket.create_connection(("127.0.0.1", port), 10) as dripping:
        dripping.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert dripping.recv(4_096)

        def is_reset() -> bool:
            try:
                dripping.sendall(b"x")
            except ConnectionError:
                return True
            return False

        await eventually(is_reset, "the connection is closed")


def test_where_there_are_no_more_threads_the_next_connection_is_answered(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    refused: list[str] = []

    def none_left(thread: threading.Thread) -> None:
        if len(refused) < CONNECTIONS_MAX + 1:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    with server.running() as port:
        monkeypatch.setattr(threading.Thread, "start", none_left)
        for _ in range(CONNECTIONS_MAX + 1):
            found = get_or_reset(port)
            assert found is None or found.status == 503
        assert get(port, "/healthz").status == 200


class Broken:
    """A subject with bugs."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.asked: list[str] = []

    def health(self) -> Answer:
        raise ValueError("password=secret")

    def readiness(self) -> Answer:
        self.asked.append("readiness")
        self.go_on.wait(20)
        return Answer(200, "text/plain", b"")

    def progress(self) -> dict[str, Any]:
        return {}


def test_a_bug_is_said_without_its_text(server: Server) -> None:
    with server.running(subject=Broken()) as port:
        got = get(port, "/healthz")
        assert (got.status, b"secret" in got.body) == (500, False)
        assert get(port, "/metrics").status == 200


async def test_connections_are_bounded(server: Server) -> None:
    broken = Broken()
    with server.running(subject=broken) as port, contextlib.ExitStack() as stack:
        waiting = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)) for _ in range(CONNECTIONS_MAX)
        ]
        for each in waiting:
            each.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await eventually(lambda: len(broken.asked) == CONNECTIONS_MAX, "all are waited for")
        refused = get_or_reset(port)
        assert refused is None or refused.status == 503
        broken.go_on.set()
        assert [read_answer(each).status for each in waiting] == [200] * CONNECTIONS_MAX
        assert get(port, "/readyz").status == 200


def get_or_reset(port: int) -> Got | None:
    """Whoever is refused unread may see the connection break instead of the answer."""
    try:
        return get(port, "/readyz")
    except (ConnectionError, IndexError):
        return None


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 200), ("localhost", 200), ("LocalHost", 200), ("[::1]", 200), ("evil.example", 421), ("", 421)],
)
def test_on_loopback_it_answers_for_no_other_name(port: int, host: str, status: int) -> None:
    assert get(port, "/api/health", host=host).status == status
    assert get(port, "/metrics", host=host).status == status


@pytest.mark.parametrize("hosts", [b"", b"Host: localhost\r\nHost: evil.example\r\n"])
def test_a_request_names_one_host(port: int, hosts: bytes) -> None:
    assert ask(port, b"GET /metrics HTTP/1.1\r\n" + hosts + b"\r\n").status == 421


@pytest.mark.parametrize("path", ["/api/lag", "/api/health", "/api/stream"])
def test_off_loopback_there_is_no_answer_without_a_token(server: Server, path: str) -> None:
    with server.running(host="0.0.0.0") as port:
        got = get(port, path, host="pod.example")
        assert (got.status, got.headers["content-type"]) == (403, "application/problem+json")
        assert "ARC_EVAL_CONSUMER_HTTP_TOKEN" in got.json["next_step"]
        assert {get(port, open_to_probes, host="pod.example").status for open_to_probes in PATHS[:3]} == {200, 503}


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer   {TOKEN}", 200),
        (None, 401),
        ("Bearer", 401),
        ("Bearer wrong", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer \xff", 401),
        (f"Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}", 401),
    ],
)
def test_a_token_lets_in(server: Server, authorization: str | None, status: int) -> None:
    with server.running(host="0.0.0.0", token=TOKEN) as port:
        lines = "" if authorization is None else f"Authorization: {authorization}\r\n"
        got = ask(port, f"GET /api/health HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode("latin-1"))
        assert got.status == status
        assert TOKEN.encode() not in got.body
        if status == 401:
            assert got.headers["www-authenticate"].startswith('Bearer realm="arc-eval-db"')
        assert get(port, "/healthz").status == 200


def test_a_proxy_s_request_is_not_this_machine_s(port: int) -> None:
    assert get(port, "/api/health", X_Forwarded_For="192.0.2.1").status == 403


def test_a_token_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARC_EVAL_CONSUMER_HTTP_TOKEN", TOKEN)
    assert TOKEN not in repr(ConsumerSettings.load())
    monkeypatch.setenv("ARC_EVAL_CONSUMER_HTTP_TOKEN", "too-short")
    with pytest.raises(SettingsError, match="ARC_EVAL_CONSUMER_HTTP_TOKEN: ") as raised:
        ConsumerSettings.load()
    assert "too-short" not in str(raised.value)


def test_the_older_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARC_EVAL_CONSUMER_METRICS_PORT", "9100")
    monkeypatch.setenv("ARC_EVAL_CONSUMER_METRICS_HOST", "0.0.0.0")
    older = ConsumerSettings.load()
    assert (older.host, older.port) == ("0.0.0.0", 9100)
    newer = ConsumerSettings.load(http_host="::1", http_port=0)
    assert (newer.host, newer.port) == ("::1", 0)
    monkeypatch.undo()
    assert (ConsumerSettings.load().host, ConsumerSettings.load().port) == ("127.0.0.1", None)


def test_a_stream_tells_of_looks_and_progress(port: int) -> None:
    with listening(port) as events:
        seen: dict[str, Any] = {}
        while len(seen) < 3:
            name, value = next(events)
            seen[name] = value
    assert set(seen) == {"lag", "health", "progress"}
    assert seen["lag"]["error"].startswith("Kafka did not answer")
    assert seen["health"]["report"]["state"] == "critical"
    assert (seen["progress"]["records"], seen["progress"]["doing"]) == (5, "starting")


async def test_streams_are_bounded_and_give_their_place_back(server: Server) -> None:
    with server.running(listeners_max=1) as port:
        with listening(port) as events:
            next(events)
            got = get(port, "/api/stream")
            assert (got.status, "ARC_EVAL_CONSUMER_HTTP_LISTENERS_MAX" in got.json["next_step"]) == (503, True)

        def is_free() -> bool:
            return get(port, "/api/stream", "HEAD").status == 200 and stream_status(port) == 200

        await eventually(is_free, "the listener has gone")


def stream_status(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return int(connection.recv(64).split()[1])


def test_a_stream_ends_with_its_server(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        with server.running() as port:
            events = stack.enter_context(listening(port))
            next(events)
        assert [name for name, _ in events][-1:] in ([], ["lag"], ["health"], ["progress"], ["ended"])


def test_nothing_in_an_event_ends_it_early() -> None:
    assert stream_event("lag", {"reason": "a\n\nevent: x\r\ndata: {}"}).count(b"\n") == 3


def test_a_monitor_that_was_closed_does_not_begin() -> None:
    monitor = BackgroundMonitor(lambda: pytest.fail("it must not"))
    monitor.close()
    with pytest.raises(MonitorAwayError, match="about to end"):
        monitor.ask(lambda each: each.fresh_lag(), 1)


def test_a_port_that_is_taken_names_the_setting(port: int) -> None:
    from arc_eval_db.consumers.http.server import _listening

    with pytest.raises(SettingsError, match=f"ARC_EVAL_CONSUMER_HTTP_PORT: cannot listen on 127.0.0.1:{port}"):
        _listening("127.0.0.1", port)
    with pytest.raises(SettingsError, match=r"ARC_EVAL_CONSUMER_HTTP_HOST: no\.such\.host"):
        _listening("no.such.host.invalid", 0)
