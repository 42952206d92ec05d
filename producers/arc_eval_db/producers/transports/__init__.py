"""What carries events away: kafka, file, stdout, memory, or nothing."""

from __future__ import annotations

from arc_eval_db.errors import SettingsError
from arc_eval_db.producers.settings import ProducerSettings
from arc_eval_db.producers.transports.base import Transport, TransportError
from arc_eval_db.producers.transports.file import FileTransport
from arc_eval_db.producers.transports.memory import MemoryTransport
from arc_eval_db.producers.transports.stdout import StdoutTransport

__all__ = ["FileTransport", "MemoryTransport", "StdoutTransport", "Transport", "TransportError", "make_transport"]


def make_transport(settings: ProducerSettings) -> Transport | None:
    """The transport that the settings ask for; None for `none`, which is also what unset settings mean.

    Raises:
        SettingsError: the transport lacks a setting it needs.
    """
    name = settings.emitter.transport or ("kafka" if settings.kafka.bootstrap_servers else "none")
    if name == "kafka":
        # aiokafka takes 0.2 s to import: only those who send to Kafka pay.
        from arc_eval_db.producers.transports.kafka import KafkaTransport  # noqa: PLC0415

        return KafkaTransport(settings.kafka)
    if name == "file":
        if settings.emitter.events_file is None:
            raise SettingsError("ARC_EVAL_TRANSPORT=file needs ARC_EVAL_EVENTS_FILE, the file to append to")
        return FileTransport(settings.emitter.events_file)
    if name == "stdout":
        return StdoutTransport()
    if name == "memory":
        return MemoryTransport()
    return None
