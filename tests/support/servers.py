"""Where the tests' Kafka and PostgreSQL come from: the embedded stack, containers, or a server that is given."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

KAFKA_IMAGE = "apache/kafka:4.2.0"
TIMESCALEDB_IMAGE = "timescale/timescaledb-ha:pg18"

KAFKA_VARIABLE = "ARC_EVAL_TEST_KAFKA"
"""Bootstrap servers of a Kafka that runs already."""
DATABASE_VARIABLE = "ARC_EVAL_TEST_DATABASE_URL"
"""A PostgreSQL that runs already, whose user may create databases."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses of one Kafka and one PostgreSQL, whose user may create databases."""

    kafka_bootstrap_servers: str
    database_url: str


@contextlib.contextmanager
def start_servers(directory: Path) -> Iterator[Servers]:
    """Start both as `ARC_EVAL_TEST_STACK` says: "embedded" (the default) or "containers".

    Where `ARC_EVAL_TEST_KAFKA` and `ARC_EVAL_TEST_DATABASE_URL` name both, those are used, and none is started.
    """
    kind = os.environ.get("ARC_EVAL_TEST_STACK", "embedded")
    kafka, database = os.environ.get(KAFKA_VARIABLE), os.environ.get(DATABASE_VARIABLE)
    if kafka and database:
        yield Servers(kafka, database)
    elif kind == "containers":
        with _containers() as servers:
            yield servers
    elif kind == "embedded":
        with _embedded(directory) as servers:
            yield servers
    else:
        pytest.exit(f"ARC_EVAL_TEST_STACK: must be embedded or containers, not {kind!r}", returncode=2)


@contextlib.contextmanager
def _embedded(directory: Path) -> Iterator[Servers]:
    from arc_eval_db.local import LocalStack, StackOptions

    # Nothing here outlives a power cut, and a database a test is quicker made without waiting for the disk.
    in_memory = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
    options = replace(StackOptions.from_environment(os.environ), postgres_settings=in_memory)
    with LocalStack(directory, options) as stack:
        environment = stack.environment()
        yield Servers(environment["ARC_EVAL_KAFKA_BOOTSTRAP_SERVERS"], environment["ARC_EVAL_DATABASE_URL"])


@contextlib.contextmanager
def _containers() -> Iterator[Servers]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    # The address that the broker advertises must be known before it starts, so the port is chosen here.
    port = free_port()
    kafka = (
        DockerContainer(KAFKA_IMAGE)
        .with_bind_ports(9092, port)
        .with_env("KAFKA_NODE_ID", "1")
        .with_env("KAFKA_PROCESS_ROLES", "broker,controller")
        .with_env("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093")
        .with_env("KAFKA_LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093")
        .with_env("KAFKA_ADVERTISED_LISTENERS", f"PLAINTEXT://localhost:{port}")
        .with_env("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT")
        .with_env("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
        .with_env("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
        .with_env("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "1000")
        .with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
        .waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(60))
    )
    postgres = (
        DockerContainer(TIMESCALEDB_IMAGE)
        .with_exposed_ports(5432)
        .with_env("POSTGRES_PASSWORD", "test")
        .with_env("TIMESCALEDB_TELEMETRY", "off")
        .waiting_for(LogMessageWaitStrategy("database system is ready to accept connections", times=2))
    )
    with kafka, postgres:
        address = f"{postgres.get_container_host_ip()}:{postgres.get_exposed_port(5432)}"
        yield Servers(f"localhost:{port}", f"postgresql://postgres:test@{address}/postgres")


def free_port() -> int:
    """A TCP port on this machine that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def missing(name: str, reason: str) -> None:
    """Skip, or fail where `ARC_EVAL_REQUIRE` names what is missing."""
    if name in os.environ.get("ARC_EVAL_REQUIRE", "").split(","):
        pytest.fail(f"ARC_EVAL_REQUIRE={name}: {reason}")
    pytest.skip(reason)
