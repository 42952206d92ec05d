"""From environment variables to settings, source and trace."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_eval_db.errors import SettingsError
from arc_eval_db.producers import EmitterSettings, EventEmitter, MemoryTransport, ProducerSettings, execution
from arc_eval_db.producers.origin import source_from, traceparent_from
from arc_eval_db.settings import KafkaSettings, Secret

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DOCS = Path(__file__).parents[2] / "docs" / "sdk.md"


def read(**variables: str) -> ProducerSettings:
    return ProducerSettings.from_environment(variables, hostname="host", pid=7)


def test_every_variable_is_read() -> None:
    settings = read(
        ARC_EVAL_TRANSPORT="FILE",
        ARC_EVAL_EVENTS_FILE="/tmp/events.jsonl",
        ARC_EVAL_CLOSE_TIMEOUT_S="0.5",
        ARC_EVAL_QUEUE_RECORDS_MAX="10",
        ARC_EVAL_QUEUE_BYTES_MAX="4096",
        ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS="a:1,b:2",
        ARC_EVAL_KAFKA_SECURITY_PROTOCOL="sasl_ssl",
        ARC_EVAL_KAFKA_SASL_MECHANISM="scram-sha-512",
        ARC_EVAL_KAFKA_SASL_USERNAME="user",
        ARC_EVAL_KAFKA_SASL_PASSWORD="hidden",
        ARC_EVAL_KAFKA_SSL_CAFILE="/ca.pem",
        ARC_EVAL_KAFKA_REQUEST_TIMEOUT_MS="500",
        ARC_EVAL_TOPIC_PREFIX="staging",
        MODAL_SANDBOX_ID="sb-1",
        TRACEPARENT=TRACEPARENT,
    )
    assert settings == ProducerSettings(
        emitter=EmitterSettings("file", Path("/tmp/events.jsonl"), 0.5, 10, 4096),
        kafka=KafkaSettings(
            "a:1,b:2", "SASL_SSL", "SCRAM-SHA-512", "user", Secret("hidden"), Path("/ca.pem"), "staging", 500
        ),
        source="/sandboxes/sb-1",
        traceparent=TRACEPARENT,
    )
    assert "hidden" not in repr(settings)


def test_empty_variables_count_as_unset() -> None:
    assert read(ARC_EVAL_TRANSPORT="", ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS="", TRACEPARENT="") == read()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ARC_EVAL_TRANSPORT", "carrier-pigeon"),
        ("ARC_EVAL_CLOSE_TIMEOUT_S", "soon"),
        ("ARC_EVAL_CLOSE_TIMEOUT_S", "nan"),
        ("ARC_EVAL_CLOSE_TIMEOUT_S", "-1"),
        ("ARC_EVAL_QUEUE_RECORDS_MAX", "0"),
        ("ARC_EVAL_QUEUE_RECORDS_MAX", "1.5"),
        ("ARC_EVAL_QUEUE_BYTES_MAX", "17"),
        ("ARC_EVAL_KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("ARC_EVAL_KAFKA_REQUEST_TIMEOUT_MS", "0"),
        ("ARC_EVAL_TOPIC_PREFIX", "no spaces"),
    ],
)
def test_an_error_names_the_variable_and_not_the_value(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**{variable: value})
    assert variable in str(caught.value)
    assert value not in str(caught.value).removeprefix(variable) or value == "0"


def test_a_password_never_goes_unencrypted_to_another_host() -> None:
    with pytest.raises(SettingsError, match="ARC_EVAL_KAFKA_SECURITY_PROTOCOL"):
        read(
            ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS="broker.example:9092",
            ARC_EVAL_KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
            ARC_EVAL_KAFKA_SASL_MECHANISM="PLAIN",
            ARC_EVAL_KAFKA_SASL_USERNAME="user",
            ARC_EVAL_KAFKA_SASL_PASSWORD="hidden",
        )


@pytest.mark.parametrize(
    ("environment", "source"),
    [
        ({"MODAL_SANDBOX_ID": "sb-1", "MODAL_TASK_ID": "ta-2"}, "/sandboxes/sb-1"),
        ({"MODAL_TASK_ID": "ta-2"}, "/sandboxes/ta-2"),
        ({"MODAL_SANDBOX_ID": "", "MODAL_TASK_ID": "ta-2"}, "/sandboxes/ta-2"),
        ({"MODAL_SANDBOX_ID": "a b/c"}, "/sandboxes/a%20b%2Fc"),
        ({}, "/hosts/host/processes/7"),
    ],
)
def test_the_source_is_the_sandbox_or_else_the_process(environment: dict[str, str], source: str) -> None:
    assert source_from(environment, hostname="host", pid=7) == source


@given(st.text(alphabet=st.characters(exclude_categories=()), min_size=1), st.integers(1, 2**22))
def test_any_source_is_valid(name: str, pid: int) -> None:
    for environment in ({"MODAL_SANDBOX_ID": name}, {}):
        source = source_from(environment, hostname=name, pid=pid)
        assert len(source) <= 512
        assert re.fullmatch(r"[!-~]+", source)


def test_a_valid_traceparent_is_taken_over() -> None:
    assert traceparent_from({"TRACEPARENT": f" {TRACEPARENT.upper()} "}) == TRACEPARENT


@pytest.mark.parametrize(
    "value",
    [
        "",
        "garbage",
        TRACEPARENT[:-1],
        TRACEPARENT + "-00",
        TRACEPARENT.replace("00-", "ff-", 1),
        "00-" + 32 * "0" + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + 16 * "0" + "-01",
        TRACEPARENT.replace("a", "g"),
    ],
)
def test_a_malformed_traceparent_is_ignored(value: str) -> None:
    assert traceparent_from({"TRACEPARENT": value}) is None


def test_the_trace_is_in_events_and_headers() -> None:
    memory = MemoryTransport()
    settings = read(TRACEPARENT=TRACEPARENT)
    with EventEmitter(transport=memory, settings=settings) as emitter, execution("s", {}, emitter=emitter):
        pass
    assert [event.traceparent for event in memory.events()] == [TRACEPARENT, TRACEPARENT]
    assert all(("traceparent", TRACEPARENT.encode()) in record.headers for record in memory.records)


def test_without_a_trace_there_is_no_attribute_and_no_header() -> None:
    memory = MemoryTransport()
    with EventEmitter(transport=memory, settings=read()) as emitter, execution("s", {}, emitter=emitter):
        pass
    assert b"traceparent" not in memory.records[0].value
    assert {name for name, _ in memory.records[0].headers} == {"ce_type", "ce_id", "content-type"}


def test_the_documentation_lists_every_variable() -> None:
    variables = {f"ARC_EVAL_{field.name.upper()}" for field in dataclasses.fields(EmitterSettings)}
    variables |= {f"ARC_EVAL_KAFKA_{field.name.upper()}" for field in dataclasses.fields(KafkaSettings)}
    variables -= {"ARC_EVAL_KAFKA_TOPIC_PREFIX"}
    variables |= {"ARC_EVAL_TOPIC_PREFIX"}
    documented = re.findall(r"^\| `(ARC_EVAL_\w+)` \|([^|]*)\|", DOCS.read_text(), re.MULTILINE)
    assert sorted(name for name, _ in documented) == sorted(variables)


def test_the_documentation_has_the_defaults() -> None:
    documented = dict(re.findall(r"^\| `(ARC_EVAL_\w+)` \|([^|]*)\|", DOCS.read_text(), re.MULTILINE))
    for cls, prefix in ((EmitterSettings, "ARC_EVAL_"), (KafkaSettings, "ARC_EVAL_KAFKA_")):
        for field in dataclasses.fields(cls):
            variable = f"{prefix}{field.name.upper()}".replace("KAFKA_TOPIC_PREFIX", "TOPIC_PREFIX")
            expected = "" if field.default is None else f"{field.default:g}" if field.type == "float" else field.default
            assert documented[variable].strip("` ").replace(",", "") == str(expected), variable
