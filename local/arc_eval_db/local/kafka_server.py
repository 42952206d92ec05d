"""Apache Kafka as a background process: one node, broker and controller in one (KRaft)."""

from __future__ import annotations

import base64
import shutil
import signal
import socket
import struct
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from arc_eval_db.local import ports, processes
from arc_eval_db.local.java import ClassArchives, finish_recording, java_executable
from arc_eval_db.local.kafka_jars import KAFKA_VERSION, class_path
from arc_eval_db.local.options import StackOptions
from arc_eval_db.local.processes import ProcessId
from arc_eval_db.local.state import ServerRecord

LOG_CONFIGURATION = Path(__file__).with_name("log4j2.properties")

FORMAT_TIMEOUT_S = 120.0

BROKER_LIMITS: Mapping[str, str] = {
    # A misspelt topic must be an error, not a new topic with one partition.
    "auto.create.topics.enable": "false",
    # One event is at most 900 kB; what is larger than this is a bug in a producer, and the broker says so.
    "message.max.bytes": "1048576",
    # The default of 100 MB could fill the small heap with a single request; producers batch up to a few MB.
    "socket.request.max.bytes": "16777216",
    "queued.max.request.bytes": "67108864",
    # The defaults want three brokers, and this is one.
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # 50 partitions of internal topics are 50 directories to create at the first consumer's start, and to recover.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    # A group starts when its first member does; the default waits 3 s for more.
    "group.initial.rebalance.delay.ms": "0",
    # Tests of a lost consumer must not wait for the default minimum of 6 s.
    "group.min.session.timeout.ms": "1000",
    # After SIGKILL the controller waits for the lost broker's session to end before it takes the new one: 12.4 s until
    # ready with the default of 9 s, 4.6 s with this. One process is both, so a pause is seldom mistaken for a loss.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    # A week, as in production, written out as people look for it here.
    "log.retention.hours": "168",
    # Retention removes whole segments: with the default of 1 GB a laptop's log would never shrink.
    "log.segment.bytes": "134217728",
    # The default takes 128 MB of the heap for compaction, which only the internal topics need.
    "log.cleaner.dedupe.buffer.size": "16777216",
    # Two cores, shared with PostgreSQL and the sandboxes.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "4",
}
"""Broker settings that differ from Kafka's defaults on purpose, each with its reason above it."""


PROPERTIES_HEADER = "# Written at every start; StackOptions.kafka_properties is the place for changes."


class KafkaServer:
    """The broker of one state directory. Nothing here waits for readiness: `LocalStack` does, with its deadline."""

    name = "kafka"
    title = "Apache Kafka"
    stop_signal = signal.SIGTERM

    def __init__(self, directory: Path, log_file: Path, options: StackOptions) -> None:
        self.log_file = log_file
        self.requested_port = options.kafka_port
        self._directory = directory
        self._options = options
        self._data = directory / "data"
        self._properties = directory / "server.properties"
        self._format_properties = directory / "format.properties"
        self._stack = uuid.uuid5(uuid.NAMESPACE_URL, directory.as_uri()).hex[:12]
        self._jars: list[Path]
        self._archives: ClassArchives

    def choose_ports(self, record: ServerRecord) -> ServerRecord:
        """Ports that are free now: the requested one, or else the one used before, or else another."""
        seed = str(self._directory)
        port = ports.choose((self.requested_port, record.port), seed)
        controller_port = ports.choose((record.controller_port,), seed + "#controller", avoid=(port,))
        return ServerRecord(port=port, controller_port=controller_port)

    def prepare(self, report: Callable[[str], None]) -> None:
        """Fetch or verify the jars, and format the storage; an interrupted format leaves no half of one."""
        cache = self._options.cache_directory()
        self._jars = class_path(cache, report)
        self._archives = ClassArchives(cache, java_executable(), self._jars, self._stack)
        self._archives.create_base(report)
        if not self._data.exists():
            report("formatting Kafka's storage")
            self._format()

    def _format(self) -> None:
        fresh = self._directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._directory.mkdir(mode=0o700, exist_ok=True)
        fresh.mkdir()
        # The ports are not stored, but the tool insists on them.
        identity = self._identity(fresh, ServerRecord(port=1, controller_port=2))
        self._write_properties(self._format_properties, identity)
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # Format is over before the optimizing compiler has paid: 0.6 s instead of 0.9 s.
        flags = [*self._archives.flags(), "-XX:TieredStopAtLevel=1"]
        arguments = ["format", "--cluster-id", "A" + cluster_id[1:], "--config", str(self._format_properties)]
        processes.run([*self._java(flags), "kafka.tools.StorageTool", *arguments], timeout_s=FORMAT_TIMEOUT_S)
        fresh.rename(self._data)

    def spawn(self, record: ServerRecord) -> ProcessId:
        """Start the broker on the ports of `record`, after `prepare`."""
        settings = {**BROKER_LIMITS, **self._options.kafka_properties, **self._identity(self._data, record)}
        self._write_properties(self._properties, settings)
        command = [*self._java(self._archives.recording_flags()), "kafka.Kafka", str(self._properties)]
        return processes.spawn(command, log_file=self.log_file, directory=self._directory)

    def probe(self, record: ServerRecord, timeout_s: float) -> bool:
        """Whether the broker answers an ApiVersions request; it does so only once it has joined its cluster."""
        return record.port is not None and answers_api_versions(record.port, timeout_s)

    def finalize(self, record: ServerRecord) -> ServerRecord:
        """What is known once it answers."""
        return ServerRecord(record.pid, record.created, True, record.port, record.controller_port, KAFKA_VERSION)

    def matches(self, command: Sequence[str]) -> bool:
        """Whether a command line is that of this directory's broker, or of its format."""
        ours = {str(self._properties), str(self._format_properties)} & set(command)
        return bool(ours) and ("kafka.Kafka" in command or "kafka.tools.StorageTool" in command)

    def is_main(self, command: Sequence[str]) -> bool:
        """Whether a command line is that of this directory's broker."""
        return "kafka.Kafka" in command and str(self._properties) in command

    def recover(self) -> ServerRecord | None:
        """The ports of a running broker that `state.json` does not know, from the settings it was started with."""
        try:
            lines = self._properties.read_text(encoding="ascii").splitlines()
            found = dict(line.split("=", 1) for line in lines if "=" in line)
            # Not the advertised address, which may be that of something in between.
            broker, controller = (int(listener.rpartition(":")[2]) for listener in found["listeners"].split(","))
        except (OSError, ValueError, KeyError):
            return None
        return ServerRecord(port=broker, controller_port=controller)

    def stopped(self, *, graceful: bool) -> None:
        """Keep the archive of classes that a broker wrote at its end."""
        finish_recording(self._options.cache_directory(), self._stack, graceful=graceful)

    def _java(self, flags: Sequence[str]) -> list[str]:
        return [
            str(java_executable()),
            f"-Xmx{self._options.kafka_heap_mb}m",
            # A broker without memory limps on and answers late; an ended one is seen and restarted.
            "-XX:+ExitOnOutOfMemoryError",
            f"-XX:ErrorFile={self.log_file.parent / 'kafka-crash-%p.log'}",
            *flags,
            f"-Dlog4j2.configurationFile={LOG_CONFIGURATION.as_uri()}",
            f"-Darc_eval.log_file={self.log_file}",
            "-cp",
            ":".join(str(jar) for jar in self._jars),
        ]

    def _identity(self, data: Path, record: ServerRecord) -> dict[str, str]:
        broker, controller = f"{ports.HOST}:{record.port}", f"{ports.HOST}:{record.controller_port}"
        advertised = f"{ports.HOST}:{self._options.kafka_advertised_port or record.port}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{advertised}",
            "log.dirs": str(data),
        }

    def _write_properties(self, path: Path, settings: Mapping[str, str]) -> None:
        lines = [f"{name}={escape_property(value)}" for name, value in settings.items()]
        path.write_text("\n".join([PROPERTIES_HEADER, *lines, ""]), encoding="ascii")


def escape_property(value: str) -> str:
    """`value` as Java reads it from a property file: Latin-1, with a backslash before what is special."""
    units = (value.encode("utf-16-be")[index : index + 2] for index in range(0, len(value.encode("utf-16-be")), 2))
    codes = [int.from_bytes(unit, "big") for unit in units]
    return "".join(f"\\u{code:04x}" if code == ord("\\") or not 32 <= code < 127 else chr(code) for code in codes)


def answers_api_versions(port: int, timeout_s: float) -> bool:
    """Send ApiVersions (key 18, version 0), which every client sends first, and check the answer."""
    correlation_id = 7
    client_id = b"arc-eval-db"
    body = struct.pack(">hhih", 18, 0, correlation_id, len(client_id)) + client_id
    try:
        with socket.create_connection((ports.HOST, port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(struct.pack(">i", len(body)) + body)
            with connection.makefile("rb") as answer:
                head = answer.read(10)
    except OSError:
        return False
    # Size, the correlation id, and error code 0.
    return len(head) == 10 and head[4:] == struct.pack(">ih", correlation_id, 0)
