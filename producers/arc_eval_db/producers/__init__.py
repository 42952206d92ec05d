"""The SDK: record what an agent does, from inside its sandbox.

>>> from arc_eval_db.producers import execution

What the launcher's side needs is loaded when it is first used: a sandbox does without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from arc_eval_db.producers.clock import Clock
from arc_eval_db.producers.emitter import Delivery, EventEmitter
from arc_eval_db.producers.execution import Execution, ToolCall, execution
from arc_eval_db.producers.settings import EmitterSettings, ProducerSettings
from arc_eval_db.producers.transports import FileTransport, MemoryTransport, StdoutTransport, Transport

if TYPE_CHECKING:
    from arc_eval_db.producers.sandbox_exit import SandboxExit
    from arc_eval_db.producers.supervisor import ExitReport, SupervisedSandbox, report_exit, supervise

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

_MODULE_OF = {
    "ExitReport": "supervisor",
    "SandboxExit": "sandbox_exit",
    "SupervisedSandbox": "supervisor",
    "report_exit": "supervisor",
    "supervise": "supervisor",
}


def __getattr__(name: str) -> Any:
    if (module := _MODULE_OF.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
