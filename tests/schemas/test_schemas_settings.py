"""Settings: reading the environment, errors that name the variable and keep the value, secrets, TLS."""

from __future__ import annotations

import dataclasses
import pickle
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from arc_eval_db.errors import FatalError, SettingsError
from arc_eval_db.settings import (
    KafkaSettings,
    Secret,
    check_choice,
    check_range,
    read_environment,
    setting,
)

HIDDEN = "hunter2-hidden"
SASL = {
    "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS": "broker-1:9093, broker-2:9093",
    "ARC_EVAL_KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
    "ARC_EVAL_KAFKA_SASL_MECHANISM": "scram-sha-512",
    "ARC_EVAL_KAFKA_SASL_USERNAME": "writer",
    "ARC_EVAL_KAFKA_SASL_PASSWORD": HIDDEN,
}


def load(environment: dict[str, str] | None = None, **kafka: str) -> KafkaSettings:
    own = {f"ARC_EVAL_KAFKA_{name.upper()}": value for name, value in kafka.items()}
    return KafkaSettings.from_environment({**(environment or {}), **own})


def test_nothing_set() -> None:
    settings = load()
    assert settings.bootstrap_servers is None
    assert settings.security_protocol == "PLAINTEXT"
    assert settings.topic_prefix == "arc-eval"


def test_values_are_read_and_normalised() -> None:
    settings = load(SASL, request_timeout_ms="2500", ssl_cafile="/etc/ca.pem")
    assert settings.security_protocol == "SASL_SSL"
    assert settings.sasl_mechanism == "SCRAM-SHA-512"
    assert settings.sasl_password == Secret(HIDDEN)
    assert settings.request_timeout_ms == 2500
    assert settings.ssl_cafile == Path("/etc/ca.pem")


def test_the_prefix_has_a_variable_of_its_own_and_is_checked() -> None:
    assert load({"ARC_EVAL_TOPIC_PREFIX": "staging"}).topic_prefix == "staging"
    for prefix in (f"{HIDDEN} with spaces", "ü", "a" * 101):
        with pytest.raises(SettingsError, match="ARC_EVAL_TOPIC_PREFIX") as error:
            load({"ARC_EVAL_TOPIC_PREFIX": prefix})
        assert prefix not in str(error.value)


def test_empty_values_count_as_unset_and_other_variables_are_not_ours() -> None:
    assert load(bootstrap_servers="", request_timeout_ms="") == load({"KAFKA_BOOTSTRAP_SERVERS": "elsewhere:9092"})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ARC_EVAL_KAFKA_REQUEST_TIMEOUT_MS", HIDDEN),
        ("ARC_EVAL_KAFKA_REQUEST_TIMEOUT_MS", "99"),
        ("ARC_EVAL_KAFKA_REQUEST_TIMEOUT_MS", "120001"),
        ("ARC_EVAL_KAFKA_REQUEST_TIMEOUT_MS", "1" * 5000),
        ("ARC_EVAL_KAFKA_SECURITY_PROTOCOL", HIDDEN),
        ("ARC_EVAL_KAFKA_SASL_MECHANISM", HIDDEN),
    ],
)
def test_error_names_the_variable_and_never_the_value(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as error:
        KafkaSettings.from_environment({variable: value})
    assert str(error.value).startswith(f"{variable}: ")
    assert value not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None
    assert isinstance(error.value, FatalError)


@pytest.mark.parametrize("text", ["{}", "{!r}", "{!s}"])
def test_secret_does_not_show(text: str) -> None:
    assert HIDDEN not in text.format(Secret(HIDDEN))
    assert HIDDEN not in text.format(load(SASL))
    assert HIDDEN not in text.format([Secret(HIDDEN)])
    assert HIDDEN not in text.format(dataclasses.asdict(load(SASL)))


def test_secret_does_not_show_by_other_ways_either() -> None:
    secret = Secret(HIDDEN)
    assert HIDDEN not in "%s %r" % (secret, secret)  # noqa: UP031 - the way that is tested
    assert not hasattr(secret, "__dict__")
    assert secret.reveal() == HIDDEN


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert pickle.loads(pickle.dumps(Secret("a"))) == Secret("a")  # settings travel to worker processes


@pytest.mark.parametrize("missing", ["SASL_MECHANISM", "SASL_USERNAME", "SASL_PASSWORD"])
def test_sasl_needs_all_of_it(missing: str) -> None:
    variable = f"ARC_EVAL_KAFKA_{missing}"
    environment = {name: value for name, value in SASL.items() if name != variable}
    with pytest.raises(SettingsError, match=f"^{variable}: needed with SASL_SSL$"):
        load(environment)


def test_a_password_is_not_sent_unencrypted_to_another_machine() -> None:
    with pytest.raises(SettingsError, match="use SASL_SSL"):
        load(SASL, security_protocol="SASL_PLAINTEXT")
    settings = load(SASL, security_protocol="SASL_PLAINTEXT", bootstrap_servers="localhost:9092")
    assert "ssl_context" not in settings.client_options()


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ("localhost:9092", True),
        ("127.0.0.1:9092,localhost:9093", True),
        ("[::1]:9092", True),
        ("localhost:9092, broker:9092", False),
        ("localhost.example:9092", False),
        ("127.0.0.1.example:9092", False),
        ("", False),
    ],
)
def test_loopback(servers: str, expected: bool) -> None:
    assert load(bootstrap_servers=servers).is_loopback() is expected


def test_client_options_of_a_plain_connection() -> None:
    options = load(bootstrap_servers="a:1 , b:2").client_options()
    assert options["bootstrap_servers"] == ["a:1", "b:2"]
    assert options["security_protocol"] == "PLAINTEXT"
    assert not [name for name in options if "ssl" in name or "sasl" in name]


def test_client_options_with_login() -> None:
    options = load(SASL).client_options()
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_username"] == "writer"
    assert options["sasl_plain_password"] == HIDDEN
    context = options["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_without_servers_the_error_says_what_to_do() -> None:
    with pytest.raises(SettingsError, match=r"ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS is not set.*arc-eval-db local up"):
        load().client_options()


@pytest.mark.parametrize("content", [None, "this is no certificate"])
def test_unusable_certificates(tmp_path: Path, content: str | None) -> None:
    cafile = tmp_path / "ca.pem"
    if content is not None:
        cafile.write_text(content)
    settings = load(bootstrap_servers="a:1", security_protocol="SSL", ssl_cafile=str(cafile))
    with pytest.raises(SettingsError, match="ARC_EVAL_KAFKA_SSL_CAFILE: cannot use") as error:
        settings.client_options()
    assert isinstance(error.value.__cause__, OSError)


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().topic_prefix = "other"  # type: ignore[misc]  # what is tested


@dataclass(frozen=True)
class Example:
    ratio: float = setting(0.5, float)
    path: Path | None = setting(None, Path)
    mode: str = setting("a", lambda text: {"A": "a"}[text] if text == "A" else str(int(text)))


def test_read_environment_reads_what_the_fields_name() -> None:
    assert read_environment(Example, {"X_RATIO": "0.25", "X_MODE": "A", "x_path": "/no"}, "X_") == Example(0.25)


@pytest.mark.parametrize(
    ("variable", "message"),
    [("X_RATIO", "X_RATIO: not a number"), ("X_MODE", "X_MODE: not a valid value")],
)
def test_read_environment_says_what_was_expected(variable: str, message: str) -> None:
    with pytest.raises(SettingsError, match=f"^{message}$"):
        read_environment(Example, {variable: HIDDEN}, "X_")


@pytest.mark.parametrize(("value", "fits"), [(1, True), (5, True), (0.99, False), (5.01, False), (float("nan"), False)])
def test_check_range(value: float, fits: bool) -> None:
    if fits:
        check_range("N", value, 1, 5)
    else:
        with pytest.raises(SettingsError, match=r"^ARC_EVAL_N: must be from 1 to 5$"):
            check_range("N", value, 1, 5)


@pytest.mark.parametrize("value", ["a", None])
def test_check_choice_takes_what_is_offered(value: Any) -> None:
    check_choice("C", value, ("a", "b"))
    with pytest.raises(SettingsError, match=r"^ARC_EVAL_C: must be one of a, b$"):
        check_choice("C", "A", ("a", "b"))


def test_an_error_without_a_message_says_what_its_class_says() -> None:
    assert str(SettingsError()) == "A setting is missing or has a value that cannot be used."
