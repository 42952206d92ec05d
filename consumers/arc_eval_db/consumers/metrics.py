"""What a worker counts. The list below is the only place where metrics are named; `docs/metrics.md` is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

MetricName = Literal[
    "arc_eval_consumer_records_total",
    "arc_eval_consumer_events_inserted_total",
    "arc_eval_consumer_events_duplicate_total",
    "arc_eval_consumer_dead_letters_total",
    "arc_eval_consumer_nul_replaced_total",
    "arc_eval_consumer_batches_total",
    "arc_eval_consumer_batch_seconds",
    "arc_eval_consumer_fenced_total",
    "arc_eval_consumer_retries_total",
    "arc_eval_consumer_assigned_partitions",
    "arc_eval_consumer_next_offset",
    "arc_eval_consumer_progress_timestamp_seconds",
]


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One metric: its name, kind, labels and meaning."""

    name: MetricName
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


METRICS: tuple[MetricDefinition, ...] = (
    MetricDefinition("arc_eval_consumer_records_total", "counter", ("topic",), "Records read and committed."),
    MetricDefinition("arc_eval_consumer_events_inserted_total", "counter", (), "Events that became new rows."),
    MetricDefinition("arc_eval_consumer_events_duplicate_total", "counter", (), "Events whose row was there already."),
    MetricDefinition("arc_eval_consumer_dead_letters_total", "counter", ("reason",), "Records set aside, by reason."),
    MetricDefinition("arc_eval_consumer_nul_replaced_total", "counter", (), "NUL characters replaced in events."),
    MetricDefinition("arc_eval_consumer_batches_total", "counter", (), "Transactions committed."),
    MetricDefinition(
        "arc_eval_consumer_batch_seconds", "histogram", (), "Time from a batch's arrival in the worker to its commit."
    ),
    MetricDefinition(
        "arc_eval_consumer_fenced_total",
        "counter",
        (),
        "Batches given up because another consumer had moved the offsets. Normal in a rebalance.",
    ),
    MetricDefinition(
        "arc_eval_consumer_retries_total", "counter", ("cause",), "Attempts that failed for a passing reason, by cause."
    ),
    MetricDefinition("arc_eval_consumer_assigned_partitions", "gauge", (), "Partitions this worker has."),
    MetricDefinition("arc_eval_consumer_next_offset", "gauge", ("topic", "partition"), "The offset to go on from."),
    MetricDefinition(
        "arc_eval_consumer_progress_timestamp_seconds",
        "gauge",
        (),
        "When the worker last committed a batch or found nothing to read (Unix time). A worker whose value stands "
        "still is stuck, whatever its process looks like.",
    ),
)

# From a few rows on a quiet topic to a full batch on a busy disk.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class WorkerMetrics:
    """The metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in METRICS:
            if metric.kind == "counter":
                self._counters[metric.name] = Counter(metric.name, metric.help, metric.labels, registry=self.registry)
            elif metric.kind == "gauge":
                self._gauges[metric.name] = Gauge(metric.name, metric.help, metric.labels, registry=self.registry)
            else:
                self._histograms[metric.name] = Histogram(
                    metric.name, metric.help, metric.labels, registry=self.registry, buckets=_SECONDS
                )

    def count(self, name: MetricName, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        counter = self._counters[name]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def set(self, name: MetricName, value: float, **labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def observe(self, name: MetricName, value: float) -> None:
        """Add to a histogram."""
        self._histograms[name].observe(value)

    def value(self, name: str, **labels: str) -> float:
        """What a sample has at the moment; 0 for one never seen."""
        return self.registry.get_sample_value(name, labels) or 0.0


class MetricsServer:
    """Serves a worker's metrics over HTTP for Prometheus, in a thread. Use with `with`."""

    def __init__(self, metrics: WorkerMetrics, host: str, port: int) -> None:
        self._server, self._thread = start_http_server(port, host, registry=metrics.registry)

    @property
    def port(self) -> int:
        """The port, chosen by the system where 0 was asked for."""
        return int(self._server.server_port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
