"""What a worker and a supervisor serve over HTTP: docs/monitoring.md lists the addresses."""

from __future__ import annotations

from arc_eval_db.consumers.http.access import Access
from arc_eval_db.consumers.http.background import BackgroundMonitor
from arc_eval_db.consumers.http.probes import SupervisorProbe, WorkerProbe
from arc_eval_db.consumers.http.routes import Routes, Subject
from arc_eval_db.consumers.http.server import HttpServer
from arc_eval_db.consumers.http.serving import serving

__all__ = [
    "Access",
    "BackgroundMonitor",
    "HttpServer",
    "Routes",
    "Subject",
    "SupervisorProbe",
    "WorkerProbe",
    "serving",
]
