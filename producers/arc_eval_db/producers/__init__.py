"""The SDK: record what an agent does, from inside its sandbox.

>>> from arc_eval_db.producers import execution
"""

from __future__ import annotations

from arc_eval_db.producers.clock import Clock
from arc_eval_db.producers.emitter import Delivery, EventEmitter
from arc_eval_db.producers.execution import Execution, ToolCall, execution
from arc_eval_db.producers.sandbox_exit import SandboxExit
from arc_eval_db.producers.settings import EmitterSettings, ProducerSettings
from arc_eval_db.producers.supervisor import ExitReport, SupervisedSandbox, report_exit, supervise
from arc_eval_db.producers.transports import FileTransport, MemoryTransport, StdoutTransport, Transport

__all__ = [
    "Clock",
    "Delivery",
    "EmitterSettings",
    "EventEmitter",
    "Execution",
    "ExitReport",
    "FileTransport",
    "MemoryTransport",
    "ProducerSettings",
    "SandboxExit",
    "StdoutTransport",
    "SupervisedSandbox",
    "ToolCall",
    "Transport",
    "execution",
    "report_exit",
    "supervise",
]
