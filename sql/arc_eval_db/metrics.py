"""Counters, gauges and histograms with a fixed list of names, and a server for them alone.

Each component has such a list in a module of its own, as a `Literal` of the names and a tuple of definitions, so that a
name that is not on the list does not pass the type checker. `docs/metrics.md` is made from the lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

Name = TypeVar("Name", bound=str)

# From a few rows on a quiet server to a full batch on a busy disk.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(frozen=True, slots=True)
class MetricDefinition(Generic[Name]):
    """One metric: its name, kind, labels and meaning. Histograms are of seconds."""

    name: Name
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


class Metrics(Generic[Name]):
    """The metrics of one component; any thread may use them."""

    def __init__(
        self, definitions: Sequence[MetricDefinition[Name]], registry: CollectorRegistry | None = None
    ) -> None:
        """Make the metrics, in a registry of their own or in `registry`.

        Raises:
            ValueError: the registry has one of the names already. Share the object then, not the registry.
        """
        self.registry = CollectorRegistry() if registry is None else registry
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._labels = {metric.name: metric.labels for metric in definitions}
        for metric in definitions:
            if metric.kind == "counter":
                self._counters[metric.name] = Counter(metric.name, metric.help, metric.labels, registry=self.registry)
            elif metric.kind == "gauge":
                self._gauges[metric.name] = Gauge(metric.name, metric.help, metric.labels, registry=self.registry)
            else:
                self._histograms[metric.name] = Histogram(
                    metric.name, metric.help, metric.labels, registry=self.registry, buckets=_SECONDS
                )

    def count(self, name: Name, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        counter = self._counters[name]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def set(self, name: Name, value: float, **labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def compute(self, name: Name, function: Callable[[], float], **labels: str) -> None:
        """Show what `function` gives whenever the gauge is read; any thread may call it."""
        gauge = self._gauges[name]
        (gauge.labels(**labels) if labels else gauge).set_function(function)

    def forget(self, name: Name, **labels: str) -> None:
        """Show a gauge no more with these labels, until it is set again."""
        gauge = self._gauges[name]
        if self.registry.get_sample_value(name, labels) is not None:
            gauge.remove(*(labels[label] for label in self._labels[name]))

    def observe(self, name: Name, value: float, **labels: str) -> None:
        """Add to a histogram."""
        histogram = self._histograms[name]
        (histogram.labels(**labels) if labels else histogram).observe(value)

    def value(self, name: str, **labels: str) -> float:
        """What a sample (of a histogram: name plus `_count`, `_sum`) has at the moment; 0 for one never seen."""
        return self.registry.get_sample_value(name, labels) or 0.0


class MetricsServer:
    """Serves the metrics of one registry over HTTP for Prometheus, in a thread. Use with `with`."""

    def __init__(self, metrics: Metrics[Any], host: str, port: int) -> None:
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
