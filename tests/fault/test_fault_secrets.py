"""What is secret stays where it was put: a marker in every setting and payload, and every error that can be forced."""

from __future__ import annotations

import asyncio
import io
import logging
import secrets
import sys
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiokafka
import orjson
import pytest
from click.testing import CliRunner
from prometheus_client import generate_latest
from pydantic import SecretStr, ValidationError

from arc_eval_db.cli.commands import cli
from arc_eval_db.consumers import ConsumerSettings, Worker
from arc_eval_db.consumers.kafka import GroupSource
from arc_eval_db.consumers.logs import configure_logging
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.errors import ArcEvalError, FatalError
from arc_eval_db.producers import EmitterSettings, EventEmitter, ProducerSettings
from arc_eval_db.schemas import ids
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED, TopicNames
from arc_eval_db.settings import KafkaSettings, Secret
from support.conditions import eventually
from support.databases import connect
from support.events import event

pytestmark = [pytest.mark.database, pytest.mark.kafka]

NOBODY_LISTENS = "127.0.0.1:1"
NO_SUCH_NAME = "no-such-host.invalid"


@pytest.fixture
def marker() -> str:
    """Nothing else looks like it."""
    return f"marker{secrets.token_hex(8)}"


def with_password(url: str, password: str, address: str | None = None) -> str:
    """The same URL with another password and perhaps another host."""
    parts = urlsplit(url)
    host = address or f"{parts.hostname}:{parts.port}"
    return parts._replace(netloc=f"{parts.username}:{password}@{host}").geturl()


Change = Callable[[str, str], dict[str, str]]
"""Of a marker and the right database URL: the variables that are set otherwise."""

WRONG: dict[str, Change] = {
    "a wrong password": lambda marker, url: {"DATABASE_URL": with_password(url, marker)},
    "a database that is not there": lambda marker, url: {
        "DATABASE_URL": with_password(url, marker, f"{NO_SUCH_NAME}:5432") + "?sslmode=verify-full"
    },
    "a database where nobody listens": lambda marker, url: {"DATABASE_URL": with_password(url, marker, NOBODY_LISTENS)},
    "a URL with a wrong port": lambda marker, url: {"DATABASE_URL": f"postgresql://u:{marker}@127.0.0.1:{marker}/x"},
    "a URL that is none": lambda marker, url: {"DATABASE_URL": marker},
    "a URL of something else": lambda marker, url: {"DATABASE_URL": f"mysql://u:{marker}@127.0.0.1/x"},
    "a URL with a wrong mode": lambda marker, url: {"DATABASE_URL": f"postgresql://u:{marker}@127.0.0.1/x?sslmode=no"},
    "a password in the clear over a network": lambda marker, url: {
        "DATABASE_URL": f"postgresql://u:{marker}@{NO_SUCH_NAME}/x"
    },
    "a password where a number is due": lambda marker, url: {"DATABASE_LOCK_TIMEOUT_MS": marker},
    "a password where another number is due": lambda marker, url: {"CONSUMER_BATCH_RECORDS_MAX": marker},
    "a broker where nobody listens": lambda marker, url: {
        "KAFKA_BOOTSTRAP_SERVERS": NOBODY_LISTENS,
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "someone",
        "KAFKA_SASL_PASSWORD": marker,
    },
    "a broker that wants no login": lambda marker, url: {
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
        "KAFKA_SASL_USERNAME": "someone",
        "KAFKA_SASL_PASSWORD": marker,
    },
    "a login in the clear over a network": lambda marker, url: {
        "KAFKA_BOOTSTRAP_SERVERS": f"{NO_SUCH_NAME}:9092",
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "someone",
        "KAFKA_SASL_PASSWORD": marker,
    },
    "a password as the list of brokers": lambda marker, url: {"KAFKA_BOOTSTRAP_SERVERS": marker},
    "a password as a mechanism": lambda marker, url: {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": marker,
    },
}

PASSING = {
    "a database that is not there",
    "a database where nobody listens",
    "a broker where nobody listens",
    "a broker that wants no login",
}
"""What a consumer waits for."""

# Whichever of them looks at the settings that are wrong. A consumer waits for what may come back: where that is so, it
# is left out here, and looked at in `test_an_outage_logs_no_secret`.
COMMANDS = (("consume",), ("doctor",), ("lag",), ("migrate", "status"), ("topics", "list"))


def run_command(arguments: tuple[str, ...], environment: dict[str, str]) -> str:
    """All that it prints; what it raises is what Python would print."""
    result = CliRunner().invoke(cli, arguments, env=environment)
    error = result.exception
    raised = "" if error is None or isinstance(error, SystemExit) else "".join(traceback.format_exception(error))
    return result.output + raised


@pytest.mark.parametrize("wrong", WRONG, ids=[name.replace(" ", "-") for name in WRONG])
def test_no_command_prints_a_secret(
    file_kafka_settings: KafkaSettings, file_database: DatabaseSettings, marker: str, wrong: str
) -> None:
    url = file_database.database_url.get_secret_value()
    if wrong == "a wrong password" and urlsplit(url).password is None:
        pytest.skip("the database server asks for no password")
    right = {
        "DATABASE_URL": url,
        "DATABASE_CONNECT_TIMEOUT_S": "2",
        "KAFKA_BOOTSTRAP_SERVERS": file_kafka_settings.bootstrap_servers or "",
        "KAFKA_REQUEST_TIMEOUT_MS": "300",
        "KAFKA_SASL_PASSWORD": marker,
        "TOPIC_PREFIX": file_kafka_settings.topic_prefix,
        "LOG_LEVEL": "debug",
    }
    environment = {f"ARC_EVAL_{name}": value for name, value in {**right, **WRONG[wrong](marker, url)}.items()}
    commands = COMMANDS[wrong in PASSING :]
    printed = [run_command(command, environment) for command in commands]
    password = urlsplit(url).password or marker
    assert "arc-eval-db: " in "".join(printed), "nothing went wrong, so this proves nothing"
    for command, text in zip(commands, printed, strict=True):
        for secret in (marker, password):
            assert secret not in text, f"{command}: {text}"


def payloads(marker: str) -> list[dict[str, Any]]:
    """Good events, and events that are refused for each kind of reason: all hold the marker."""
    good = [
        event(STARTED, {"metadata": {"token": marker}}),
        event(PROGRESSED, {"message": marker}),
        event(TOOL_USED, {"arguments": {"password": marker, marker: 1}}),
        event(FAILURE_RECORDED, {"message": f"login with {marker} was refused"}),
        event(COMPLETED, {"status": "errored", "error_message": marker}),
    ]
    bad = [
        event(TOOL_USED, {"duration_ms": marker}),
        event(TOOL_USED, {"tool": f"{marker}\n"}),
        event(TOOL_USED, {"arguments": marker}),
        event(TOOL_USED, {"duration_ms": -1, "error": marker}),
        event(COMPLETED, {"status": marker}),
        event(TOOL_USED, {"scenario_id": marker}),
        event(TOOL_USED, id=marker),
        event(TOOL_USED, time=marker),
        event(TOOL_USED, time="1999-01-01T00:00:00Z", source=f"/{marker}"),
        event(TOOL_USED, source=f"no uri {marker}"),
        event(TOOL_USED, specversion=marker),
        event(TOOL_USED) | {"type": f"{marker}.v1"},
        event(TOOL_USED) | {marker: marker, "data": None},
    ]
    return [*good, *bad]


async def send(settings: KafkaSettings, values: list[bytes], marker: str) -> None:
    topics = TopicNames(settings.topic_prefix)
    producer = aiokafka.AIOKafkaProducer(**settings.client_options())
    await producer.start()
    try:
        for value in values:
            kind = next((kind for kind in (STARTED, PROGRESSED, COMPLETED) if kind.encode() in value), TOOL_USED)
            kind = FAILURE_RECORDED if FAILURE_RECORDED.encode() in value else kind
            headers = [("authorization", f"Bearer {marker}".encode()), (marker, b"1")]
            await producer.send_and_wait(topics.of_type(kind), value, key=marker.encode(), headers=headers)
    finally:
        await producer.stop()


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """What a consumer's process has printed with `ARC_EVAL_LOG_LEVEL=debug`, by whatever library."""
    errors = io.StringIO()
    monkeypatch.setattr("sys.stderr", errors)
    configure_logging("debug")
    return errors.getvalue


async def test_payloads_show_nowhere_but_in_their_rows_and_dead_letters(
    kafka_settings: KafkaSettings,
    database: DatabaseSettings,
    session: Session,
    group: str,
    marker: str,
    heard: Callable[[], str],
) -> None:
    contents = payloads(marker)
    values = [orjson.dumps(content) for content in contents]
    values += [marker.encode(), f'{{"{marker}'.encode(), f'{{"type":"{TOOL_USED}","id":{marker}}}'.encode(), b"\xff"]
    # One that only the database refuses, by a check that names the value.
    await session.execute(f"ALTER TABLE tool_usage ADD CONSTRAINT c CHECK (tool <> '{marker}')")
    values.append(orjson.dumps(event(TOOL_USED, {"tool": marker})))
    await send(kafka_settings, values, marker)

    worker = Worker(
        kafka_settings,
        database,
        ConsumerSettings.load(group=group, dead_letter_share_max=1),
        until_caught_up=True,
    )
    report = await asyncio.wait_for(worker.run(), 60)
    said = heard()

    assert (report.inserted, report.dead_letters) == (5, len(values) - 5)
    assert "dead_letters_written" in said
    assert "batch_committed" in said
    metrics = generate_latest(worker.metrics.registry).decode()
    assert "arc_eval_consumer_dead_letters_total" in metrics
    assert marker not in said
    assert marker not in metrics
    reasons = await session.fetch("SELECT reason, error_class, sqlstate, detail FROM dead_letters")
    assert {"refused_by_database", "invalid_json", "invalid_data"} <= {row["reason"] for row in reasons}
    for row in reasons:
        assert marker not in str(dict(row))


async def test_an_outage_logs_no_secret(
    kafka_settings: KafkaSettings, database: DatabaseSettings, group: str, marker: str, heard: Callable[[], str]
) -> None:
    """Passwords for a database and for brokers that do not answer, or do not want one."""
    url = database.database_url.get_secret_value()
    nowhere = DatabaseSettings.load(database_url=with_password(url, marker, NOBODY_LISTENS))
    settings = ConsumerSettings.load(group=group, retry_backoff_s_max=0.2, session_timeout_s=1)
    logins = (login(marker), login(marker, kafka_settings.bootstrap_servers))
    for kafka, where in ((kafka_settings, nowhere), *((login, database) for login in logins)):
        worker = Worker(kafka, where, settings)
        running = asyncio.create_task(worker.run())

        said_before = heard().count("attempt_failed")
        await eventually(
            lambda: running.done() or heard().count("attempt_failed") >= said_before + 2,  # noqa: B023 - awaited in the same round
            "attempts that failed",
        )
        worker.stop()
        await asyncio.wait({running}, timeout=20)
        error = running.exception()
        assert error is None or isinstance(error, FatalError)
        print("".join(traceback.format_exception(error)), file=sys.stderr)
    said = heard()
    assert said.count("attempt_failed") >= 4
    for secret in (marker, urlsplit(url).password or marker):
        assert secret not in said
    assert marker not in repr((nowhere, logins, settings))


def login(password: str, servers: str | None = NOBODY_LISTENS) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=servers,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username="someone",
        sasl_password=Secret(password),
        request_timeout_ms=300,
    )


async def test_the_sdk_logs_no_secret(marker: str, caplog: pytest.LogCaptureFixture) -> None:
    settings = ProducerSettings(EmitterSettings(transport="kafka"), login(marker), "/sandboxes/test", None)
    caplog.set_level(logging.DEBUG)
    emitter = EventEmitter(settings=settings)
    for _ in range(3):
        emitter.emit(PROGRESSED, ids.ExecutionId(ids.uuid7()), {**event(PROGRESSED)["data"], "message": marker})
    delivery = await emitter.close_async(timeout=1)
    assert delivery.sent == 0
    assert "Kafka" in caplog.text
    assert marker not in caplog.text
    assert marker not in repr((settings, delivery))


def test_a_traceback_of_wrong_settings_shows_no_value(marker: str) -> None:
    """Also where somebody builds the settings without `load`, and pydantic's own error comes through."""
    with pytest.raises(ValidationError) as caught:
        DatabaseSettings(database_url=SecretStr("postgresql://127.0.0.1/x"), database_lock_timeout_ms=marker)
    assert marker not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(ValidationError) as caught:
        ConsumerSettings(batch_records_max=marker)
    assert marker not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("statement", ["SELECT '{}'::int", "SELECT '{}'::uuid", "SELECT '{}'::jsonb"])
async def test_a_traceback_of_a_refused_value_may_go_into_a_log(session: Session, marker: str, statement: str) -> None:
    with pytest.raises(ArcEvalError) as caught:
        await session.execute(statement.format(marker))
    assert marker not in str(caught.value)


async def test_a_wrong_password_is_not_in_the_error(database: DatabaseSettings, marker: str) -> None:
    url = with_password(database.database_url.get_secret_value(), marker)
    with pytest.raises(ArcEvalError) as caught:
        await connect(DatabaseSettings.load(database_url=url))
    assert marker not in "".join(traceback.format_exception(caught.value))


async def test_a_source_that_cannot_log_in_shows_no_password(group: str, marker: str) -> None:
    source = GroupSource(login(marker), ConsumerSettings.load(group=group, session_timeout_s=1), ["t"])
    with pytest.raises(ArcEvalError) as caught:
        await source.start()
    await source.close()
    assert marker not in "".join(traceback.format_exception(caught.value))
