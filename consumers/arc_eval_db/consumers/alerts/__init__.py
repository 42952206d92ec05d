"""Alerts: rules over metrics, evaluated in this process or by Prometheus, and those who are told: docs/alerts.md."""

from __future__ import annotations

from arc_eval_db.consumers.alerts.alert import Alert, Message
from arc_eval_db.consumers.alerts.metrics import ALERT_METRICS, AlertMetricName, AlertMetrics
from arc_eval_db.consumers.alerts.receiver_list import receivers_of
from arc_eval_db.consumers.alerts.receivers import MessageRefusedError, Receiver, ReceiverUnavailableError
from arc_eval_db.consumers.alerts.rule import Rule, Severity
from arc_eval_db.consumers.alerts.rules import alert_rules
from arc_eval_db.consumers.alerts.runner import AlertRunner, Alerts
from arc_eval_db.consumers.alerts.settings import AlertSettings
from arc_eval_db.consumers.alerts.standings import Change
from arc_eval_db.consumers.alerts.webhook import signature

__all__ = [
    "ALERT_METRICS",
    "Alert",
    "AlertMetricName",
    "AlertMetrics",
    "AlertRunner",
    "AlertSettings",
    "Alerts",
    "Change",
    "Message",
    "MessageRefusedError",
    "Receiver",
    "ReceiverUnavailableError",
    "Rule",
    "Severity",
    "alert_rules",
    "receivers_of",
    "signature",
]
