"""Settings, logs and metrics of a worker."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import get_args

import pytest
import structlog

from arc_eval_db.consumers.logs import configure_logging
from arc_eval_db.consumers.metrics import METRICS, MetricName
from arc_eval_db.consumers.settings import ConsumerSettings
from arc_eval_db.errors import SettingsError
from support.http import Server, get


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARC_EVAL_CONSUMER_GROUP", "blue")
    monkeypatch.setenv("ARC_EVAL_CONSUMER_METRICS_PORT", "9100")
    settings = ConsumerSettings.load()
    assert (settings.group, settings.metrics_port, settings.batch_records_max) == ("blue", 9100, 10_000)


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARC_EVAL_CONSUMER_GROUP", "blue")
    assert ConsumerSettings.load(group="green", metrics_port=None).group == "green"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BATCH_RECORDS_MAX", "0"),
        ("METRICS_PORT", "70000"),
        ("POLL_TIMEOUT_S", "soon"),
        ("PARTITION_FETCH_BYTES_MAX", "5"),
    ],
)
def test_a_wrong_setting_names_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(f"ARC_EVAL_CONSUMER_{variable}", value)
    with pytest.raises(SettingsError, match=f"ARC_EVAL_CONSUMER_{variable}: "):
        ConsumerSettings.load()


def test_logs_are_json_lines_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    structlog.get_logger().info("batch_committed", records=5)
    structlog.get_logger().debug("unheard")
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["records"], entry["level"]) == ("batch_committed", 5, "info")
    assert entry["timestamp"].endswith("Z")


def test_a_line_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or those of processes that share an unbuffered standard error would mix."""
    written: list[str] = []

    class Unbuffered(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stderr", Unbuffered())
    configure_logging("info")
    structlog.get_logger("arc_eval_db.consumers").info("one")
    logging.getLogger("asyncpg").warning("two")
    assert [json.loads(text)["event"] for text in written] == ["one", "two"]
    assert all(text.endswith("\n") for text in written)


def test_logs_are_readable_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug", as_json=False)
    structlog.get_logger().debug("caught_up", group="g")
    said = capsys.readouterr().err
    assert "caught_up" in said
    assert not said.startswith("{")


def test_libraries_log_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", as_json=True)
    logging.getLogger("asyncio").warning("slow callback")
    logging.getLogger("aiokafka").error("one of very many")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line) | {"timestamp": ""} == {
        "event": "slow callback",
        "level": "warning",
        "logger": "asyncio",
        "timestamp": "",
    }


def test_a_pool_without_its_database_says_so_in_one_short_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", as_json=True)
    try:
        raise ConnectionRefusedError("secret.example.org refused")
    except ConnectionRefusedError:
        logging.getLogger("asyncpg.pool").warning("100 %s tries", "and more", exc_info=True)
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["event"], "exception" in entry) == ("100 and more tries (ConnectionRefusedError)", False)


def test_every_metric_is_defined_once() -> None:
    assert [metric.name for metric in METRICS] == list(get_args(MetricName))


def test_metrics_are_served_for_prometheus() -> None:
    server = Server()
    metrics = server.metrics
    metrics.count("arc_eval_consumer_records_total", 3, topic="t")
    metrics.set("arc_eval_consumer_assigned_partitions", 6)
    metrics.observe("arc_eval_consumer_batch_seconds", 0.02)
    with server.running() as port:
        text = get(port, "/metrics").body.decode()
    assert 'arc_eval_consumer_records_total{topic="t"} 3.0' in text
    assert "arc_eval_consumer_assigned_partitions 6.0" in text
    assert 'arc_eval_consumer_batch_seconds_bucket{le="0.025"} 1.0' in text
    for metric in METRICS:
        assert f"# HELP {metric.name}" in text
