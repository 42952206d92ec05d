"""Settings that sandboxes and workers share: how to reach Kafka.

They are read from the environment once, at the edge, into frozen objects that name the variable that is wrong.
Sandboxes import this module, so it reads in a few lines of its own: pydantic would cost each a third of a second.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

from arc_eval_db.errors import SettingsError

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

ENVIRONMENT_PREFIX = "ARC_EVAL_"

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})

SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

_PREFIX_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_PREFIX_CHARACTERS_MAX = 100


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


T = TypeVar("T", bound=_Dataclass)


class Secret:
    """A text that does not show in logs, errors and debuggers."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret('**********')"


def setting(default: Any, parse: Callable[[str], Any] = str) -> Any:
    """A dataclass field that `read_environment` fills, from text by `parse`."""
    return field(default=default, metadata={"parse": parse})


def as_path(text: str) -> Path:
    """For `setting`: a path."""
    from pathlib import Path  # noqa: PLC0415 - a tenth of what importing the SDK costs, and few sandboxes name a file

    return Path(text)


def read_environment(cls: type[T], environment: Mapping[str, str], prefix: str) -> T:
    """Build the dataclass `cls` from the variables named `prefix` plus the field's name in capitals.

    Empty values count as unset.

    Raises:
        SettingsError: a value does not fit; the message names the variable and never shows the value.
    """
    values = {}
    for spec in dataclasses.fields(cls):
        variable = (prefix + spec.name).upper()
        if text := environment.get(variable):
            parse = spec.metadata["parse"]
            try:
                values[spec.name] = parse(text)
            except ValueError:
                raise SettingsError(f"{variable}: not {_ARTICLES.get(parse.__name__, 'a valid value')}") from None
    return cls(**values)


_ARTICLES = {"int": "a whole number", "float": "a number", "Path": "a path"}


def check_range(variable: str, value: float, least: float, most: float) -> None:
    """Raise SettingsError unless `least <= value <= most`."""
    if not least <= value <= most:
        raise SettingsError(f"{ENVIRONMENT_PREFIX}{variable}: must be from {least:g} to {most:g}")


def check_choice(variable: str, value: str | None, choices: tuple[str, ...]) -> None:
    """Raise SettingsError unless the value is None or one of `choices`."""
    if value is not None and value not in choices:
        raise SettingsError(f"{ENVIRONMENT_PREFIX}{variable}: must be one of {', '.join(choices)}")


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach the brokers; the variables are `ARC_EVAL_KAFKA_` plus the field's name in capitals.

    Raises SettingsError when a value does not fit.
    """

    bootstrap_servers: str | None = setting(None)
    """Comma-separated `host:port` list. Unset: Kafka is not used."""
    security_protocol: str = setting("PLAINTEXT", str.upper)
    sasl_mechanism: str | None = setting(None, str.upper)
    sasl_username: str | None = setting(None)
    sasl_password: Secret | None = setting(None, Secret)
    ssl_cafile: Path | None = setting(None, as_path)
    """Certificates to trust, PEM. Unset: the system's."""
    topic_prefix: str = setting("arc-eval")
    """First part of every topic's name (`ARC_EVAL_TOPIC_PREFIX`): several environments can share one cluster."""
    request_timeout_ms: int = setting(10_000, int)
    """One request's deadline. A black-holed broker holds the client's connection lock this long."""

    def __post_init__(self) -> None:
        self._check_servers()
        check_choice("KAFKA_SECURITY_PROTOCOL", self.security_protocol, SECURITY_PROTOCOLS)
        check_choice("KAFKA_SASL_MECHANISM", self.sasl_mechanism, SASL_MECHANISMS)
        check_range("KAFKA_REQUEST_TIMEOUT_MS", self.request_timeout_ms, 100, 120_000)
        if not (
            0 < len(self.topic_prefix) <= _PREFIX_CHARACTERS_MAX and _PREFIX_CHARACTERS.issuperset(self.topic_prefix)
        ):
            raise SettingsError("ARC_EVAL_TOPIC_PREFIX: letters, digits, dots, dashes and underscores, at most 100")
        if self.security_protocol.startswith("SASL"):
            self._check_sasl()

    def _check_servers(self) -> None:
        for server in (self.bootstrap_servers or "").split(",") if self.bootstrap_servers else ():
            host, _, port = server.strip().rpartition(":")
            if not (host and port.isdecimal() and 0 < int(port) < 65_536):
                raise SettingsError(
                    "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS: must be host:port, or several with commas between"
                )

    def _check_sasl(self) -> None:
        for name in ("sasl_mechanism", "sasl_username", "sasl_password"):
            if not getattr(self, name):
                raise SettingsError(f"ARC_EVAL_KAFKA_{name.upper()}: needed with {self.security_protocol}")
        if self.security_protocol == "SASL_PLAINTEXT" and not self.is_loopback():
            raise SettingsError(
                "ARC_EVAL_KAFKA_SECURITY_PROTOCOL: SASL_PLAINTEXT would send the password unencrypted; use SASL_SSL"
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read `ARC_EVAL_KAFKA_*` and `ARC_EVAL_TOPIC_PREFIX`.

        Raises:
            SettingsError: a value does not fit; the message names the variable.
        """
        settings = read_environment(cls, environment, ENVIRONMENT_PREFIX + "KAFKA_")
        prefix = environment.get(ENVIRONMENT_PREFIX + "TOPIC_PREFIX")
        return dataclasses.replace(settings, topic_prefix=prefix) if prefix else settings

    def is_loopback(self) -> bool:
        """Whether every bootstrap server is on this machine."""
        servers = (self.bootstrap_servers or "").split(",")
        return all(server.strip().rpartition(":")[0] in LOOPBACK_HOSTS for server in servers)

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments that every aiokafka client takes: where the brokers are and how to log in.

        Raises:
            SettingsError: no bootstrap servers are set, or the CA file cannot be read.
        """
        if not self.bootstrap_servers:
            raise SettingsError(
                "ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS is not set; "
                'for a local broker: arc-eval-db local up, then eval "$(arc-eval-db local env)"'
            )
        options: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in self.bootstrap_servers.split(",")],
            "security_protocol": self.security_protocol,
            "request_timeout_ms": self.request_timeout_ms,
            # aiokafka reconnects every 100 ms while a broker is down, and logs each attempt.
            "retry_backoff_ms": 500,
        }
        if self.security_protocol.startswith("SASL"):
            assert self.sasl_password is not None
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password.reveal()
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        return options

    def _ssl_context(self) -> ssl.SSLContext:
        import ssl  # noqa: PLC0415 - most sandboxes do without

        try:
            return ssl.create_default_context(cafile=self.ssl_cafile)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"ARC_EVAL_KAFKA_SSL_CAFILE: cannot use {self.ssl_cafile}: {error}") from error
