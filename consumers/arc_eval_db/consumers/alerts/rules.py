"""The one list of rules: evaluated here, written for Prometheus, and shown in docs/alerts.md."""

from __future__ import annotations

from arc_eval_db.consumers.alerts.measures import Form, Measure
from arc_eval_db.consumers.alerts.rule import Rule, Severity, Unit
from arc_eval_db.consumers.alerts.settings import AlertSettings

_TOPIC = ("group", "topic")
_WINDOW_S = 900

# Between "is" (1) and "is not" (0), and between whole numbers: Prometheus extrapolates an increase.
_HALF = 0.5

PROMETHEUS_JOB = "arc-eval-db"
"""The name under which Prometheus scrapes every process of ours."""


def alert_rules(settings: AlertSettings) -> tuple[Rule, ...]:
    """All rules, with the thresholds of these settings."""
    return (*_lag_rules(settings), *_log_rules(settings), *_watch_rules(settings), *_worker_rules(settings))


def _flag(
    name: str, severity: Severity, measure: Measure, summary: str, next_step: str, *, for_s: float = 0, keep_s: float
) -> Rule:
    """A rule about what is or is not."""
    return Rule(
        name, severity, measure, "above", _HALF, _HALF, Unit.FLAG, summary, next_step, for_s=for_s, keep_s=keep_s
    )


def _is_in(state: str) -> Measure:
    return Measure("arc_eval_pipeline_state", by=_TOPIC, where=(("state", state),))


def _lag_rules(settings: AlertSettings) -> tuple[Rule, ...]:
    return (
        Rule(
            "ArcEvalLagHigh",
            Severity.WARNING,
            Measure("arc_eval_pipeline_lag_seconds", by=_TOPIC),
            "above",
            opens_at=settings.lag_s,
            resolves_at=settings.lag_resolve_s,
            unit=Unit.SECONDS,
            summary="the oldest unread event of {topic} is {value} old ({group})",
            next_step="arc-eval-db lag says why; run more workers: arc-eval-db consume --workers N",
            for_s=settings.lag_for_s,
            keep_s=settings.keep_s,
        ),
        _flag(
            "ArcEvalStopped",
            Severity.CRITICAL,
            _is_in("stopped"),
            "no worker of {group} reads {topic}, and there is something to read",
            "arc-eval-db consume",
            for_s=settings.state_for_s,
            keep_s=settings.keep_s,
        ),
        _flag(
            "ArcEvalStalled",
            Severity.CRITICAL,
            _is_in("stalled"),
            "{group} does not move on {topic}, though there is something to read",
            "arc-eval-db lag says why; of a topic that was made anew: arc-eval-db topics accept",
            for_s=settings.state_for_s,
            keep_s=settings.keep_s,
        ),
        _flag(
            "ArcEvalPaused",
            Severity.WARNING,
            _is_in("paused"),
            "workers of {group} have not got through to the database for a while; {topic} waits",
            "arc-eval-db doctor --database, from where the workers run; they go on by themselves",
            for_s=settings.paused_for_s,
            keep_s=settings.keep_s,
        ),
        _flag(
            "ArcEvalTopicMissing",
            Severity.CRITICAL,
            Measure("arc_eval_pipeline_topic_missing", by=_TOPIC),
            "{topic}, which {group} reads, is not there, or hidden from the login that watches",
            "arc-eval-db topics list; arc-eval-db topics create, and of a topic that was there before: topics accept",
            for_s=settings.state_for_s,
            keep_s=settings.keep_s,
        ),
    )


def _log_rules(settings: AlertSettings) -> tuple[Rule, ...]:
    longer = "run more workers, or let the topic keep more: kafka-configs.sh --alter --add-config retention.ms=…"
    return (
        Rule(
            "ArcEvalRetentionNear",
            Severity.WARNING,
            Measure("arc_eval_pipeline_retention_share", by=_TOPIC),
            "above",
            opens_at=settings.retention_share,
            resolves_at=settings.retention_resolve_share,
            unit=Unit.SHARE,
            summary="the oldest unread event of {topic} has used up {value} of the topic's retention ({group})",
            next_step=longer,
            for_s=settings.state_for_s,
            keep_s=settings.keep_s,
        ),
        _flag(
            "ArcEvalLosingData",
            Severity.CRITICAL,
            _is_in("losing_data"),
            "retention deletes events of {topic} that {group} has not read, or is about to",
            longer,
            keep_s=settings.keep_s,
        ),
        Rule(
            "ArcEvalMessagesLost",
            Severity.CRITICAL,
            Measure("arc_eval_pipeline_lost_messages", by=_TOPIC, take="sum"),
            "above",
            _HALF,
            _HALF,
            Unit.COUNT,
            "retention has deleted {value} messages of {topic} that {group} never read",
            "SELECT * FROM log_gaps ORDER BY noticed_at DESC, once a worker is past them; lengthen the retention",
            keep_s=settings.keep_s,
        ),
        _flag(
            "ArcEvalPartitionHalted",
            Severity.CRITICAL,
            Measure("arc_eval_consumer_halted_partitions", by=("topic", "partition")),
            "partition {partition} of {topic} is halted: its topic was made anew",
            "look at the topic, then run: arc-eval-db topics accept",
            keep_s=settings.keep_s,
        ),
        Rule(
            "ArcEvalDeadLettersRising",
            Severity.WARNING,
            Measure("arc_eval_health_value", where=(("check", "new_dead_letters"),)),
            "above",
            settings.dead_letters + _HALF,
            settings.dead_letters + _HALF,
            Unit.COUNT,
            "{value} records were set aside within 15 minutes",
            "arc-eval-db dead-letters list",
            keep_s=settings.keep_s,
        ),
    )


def _watch_rules(settings: AlertSettings) -> tuple[Rule, ...]:
    return (
        *_health_rules(settings),
        Rule(
            "ArcEvalMonitorBlind",
            Severity.CRITICAL,
            Measure("arc_eval_pipeline_looked_timestamp_seconds", Form.AGE, by=("group",), take="min"),
            "above",
            settings.blind_s,
            settings.blind_s,
            Unit.SECONDS,
            "nobody has seen the lag of {group} for {value}: it may be anything",
            "arc-eval-db lag says why; look at the log of the process that monitors",
            # A process that starts anew begins to count anew: until then the one before may be right.
            keep_s=settings.keep_s + settings.blind_s,
        ),
        Rule(
            "ArcEvalLooksFail",
            Severity.WARNING,
            Measure("arc_eval_pipeline_looks_failed_total", Form.INCREASE, by=("group",), window_s=300),
            "above",
            3 - _HALF,
            3 - _HALF,
            Unit.COUNT,
            "the lag of {group} could not be seen {value} times in 5 minutes",
            "arc-eval-db lag says why; arc-eval-db doctor",
            keep_s=settings.keep_s,
        ),
        *_canary_rules(settings),
        Rule(
            "ArcEvalAlertsUnevaluated",
            Severity.WARNING,
            Measure("arc_eval_alerts_evaluated_timestamp_seconds", Form.AGE, take="min", by_target=True),
            "above",
            max(settings.blind_s, 4 * settings.interval_s),
            max(settings.blind_s, 4 * settings.interval_s),
            Unit.SECONDS,
            "a process has evaluated no rule for {value}: it tells nobody anything",
            "look at its log (alerts_evaluation_failed); restart it",
            keep_s=settings.keep_s,
        ),
        Rule(
            "ArcEvalMessagesUndelivered",
            Severity.WARNING,
            Measure("arc_eval_alerts_waiting", by=("receiver",), by_target=True),
            "above",
            _HALF,
            _HALF,
            Unit.COUNT,
            "{value} alert messages do not reach the receiver {receiver}",
            "arc-eval-db alerts test",
            for_s=300,
            keep_s=settings.keep_s,
        ),
    )


def _health_rules(settings: AlertSettings) -> tuple[Rule, ...]:
    status = Measure("arc_eval_health_status", by=("check",))
    return (
        Rule(
            "ArcEvalHealthCritical",
            Severity.CRITICAL,
            status,
            "above",
            1 + _HALF,
            1 + _HALF,
            Unit.FLAG,
            "the database's health: {check} is critical",
            "arc-eval-db health says what to do",
            for_s=settings.state_for_s,
            keep_s=settings.keep_s,
        ),
        _flag(
            "ArcEvalHealthWarning",
            Severity.WARNING,
            status,
            "the database's health: {check} is not ok",
            "arc-eval-db health says what to do",
            for_s=settings.health_warn_for_s,
            keep_s=settings.keep_s,
        ),
        Rule(
            "ArcEvalHealthUnseen",
            Severity.WARNING,
            Measure("arc_eval_health_looked_timestamp_seconds", Form.AGE, take="min"),
            "above",
            settings.health_blind_s,
            settings.health_blind_s,
            Unit.SECONDS,
            "nobody has looked at the database's health for {value}",
            "arc-eval-db health; look at the log of the process that monitors",
            # A process that starts anew begins to count anew: until then the one before may be right.
            keep_s=settings.keep_s + settings.health_blind_s,
        ),
    )


def _canary_rules(settings: AlertSettings) -> tuple[Rule, ...]:
    look = "arc-eval-db canary --once says where an event gets stuck"
    return (
        Rule(
            "ArcEvalCanaryFails",
            Severity.CRITICAL,
            Measure("arc_eval_canary_up"),
            "below",
            _HALF,
            _HALF,
            Unit.FLAG,
            "made-up events do not get through the whole path in time",
            look,
            for_s=settings.canary_for_s,
            keep_s=settings.keep_s,
        ),
        Rule(
            "ArcEvalCanaryOverdue",
            Severity.CRITICAL,
            Measure("arc_eval_canary_last_success_timestamp_seconds", Form.AGE, take="min"),
            "above",
            settings.canary_overdue_s,
            settings.canary_overdue_s,
            Unit.SECONDS,
            "no made-up event has got through the whole path for {value}",
            look,
            keep_s=settings.keep_s,
        ),
        Rule(
            "ArcEvalCanarySlow",
            Severity.WARNING,
            Measure("arc_eval_canary_last_seconds"),
            "above",
            settings.canary_slow_s,
            settings.canary_slow_resolve_s,
            Unit.SECONDS,
            "a made-up event took {value} from the sandbox to its row",
            "arc-eval-db lag says which stage takes so long",
            for_s=settings.canary_for_s,
            keep_s=settings.keep_s,
        ),
    )


def _worker_rules(settings: AlertSettings) -> tuple[Rule, ...]:
    return (
        Rule(
            "ArcEvalWorkerStuck",
            Severity.CRITICAL,
            Measure("arc_eval_supervisor_worker_progress_age_seconds", by=("worker",), by_target=True),
            "above",
            opens_at=settings.worker_stuck_s,
            resolves_at=settings.worker_stuck_resolve_s,
            unit=Unit.SECONDS,
            summary="worker {worker} has not moved for {value}",
            next_step="look at its log and process; killing it loses and repeats nothing, and it is started again",
        ),
        Rule(
            "ArcEvalWorkerDown",
            Severity.CRITICAL,
            Measure("arc_eval_supervisor_worker_up", by=("worker",), take="min", by_target=True),
            "below",
            _HALF,
            _HALF,
            Unit.FLAG,
            "worker {worker} does not run",
            "look at the supervisor's log: it says how the worker ended",
            for_s=settings.worker_down_for_s,
            keep_s=settings.keep_s,
        ),
        Rule(
            "ArcEvalWorkerRestarts",
            Severity.WARNING,
            Measure(
                "arc_eval_supervisor_worker_restarts_total",
                Form.INCREASE,
                by=("worker",),
                take="sum",
                window_s=_WINDOW_S,
                by_target=True,
            ),
            "above",
            settings.worker_restarts - _HALF,
            settings.worker_restarts - _HALF,
            Unit.COUNT,
            "worker {worker} was started again {value} times in 15 minutes",
            "look at the supervisor's log: it says how the worker ended",
            keep_s=settings.keep_s,
        ),
        Rule(
            "ArcEvalTargetDown",
            Severity.CRITICAL,
            Measure("up", by=(), take="min", where=(("job", PROMETHEUS_JOB),), by_target=True),
            "below",
            _HALF,
            _HALF,
            Unit.FLAG,
            "Prometheus does not reach a process of arc-eval-db: nothing that it measures is known",
            "is it running, and does it listen where Prometheus looks (ARC_EVAL_CONSUMER_HTTP_HOST)?",
            for_s=settings.worker_down_for_s,
            keep_s=settings.keep_s,
        ),
    )
