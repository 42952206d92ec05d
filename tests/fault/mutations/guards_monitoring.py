"""Guards of what watches the pipeline: it hangs nowhere, holds nobody up, and tells strangers nothing."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_CONSUMERS = "consumers/arc_eval_db/consumers"
_MONITORING = f"{_CONSUMERS}/monitoring"
_HTTP = f"{_CONSUMERS}/http"
_MONITOR_TESTS = "tests/consumers/test_consumers_monitoring.py"
_HTTP_TESTS = "tests/consumers/test_consumers_http.py"
_SUPERVISION_TESTS = "tests/consumers/test_consumers_supervision.py"
_PULSE_TESTS = "tests/consumers/test_consumers_pulse.py"

MONITORING_MUTATIONS = (
    Mutation(
        "monitor-hung-look",
        "A look that hangs does not stop the next",
        f"{_MONITORING}/looking.py",
        "await asyncio.wait({task}, timeout=self._timeout_s)",
        "await asyncio.wait({task})",
        (f"{_MONITOR_TESTS}::test_a_look_that_hangs_does_not_stop_the_next",),
    ),
    Mutation(
        "monitor-hung-looks-bounded",
        "Nor do looks that hang add up without end",
        f"{_MONITORING}/looking.py",
        "if len(self._hung) >= _HUNG_MAX:",
        "if False:",
        (f"{_MONITOR_TESTS}::test_so_many_looks_may_hang",),
    ),
    Mutation(
        "monitor-one-look",
        "However many ask, there is one look at a time",
        f"{_MONITORING}/looking.py",
        "if self._running is None or self._running.done():",
        "if True:",
        (f"{_MONITOR_TESTS}::test_one_look_at_a_time_however_many_ask",),
    ),
    Mutation(
        "monitor-errors-hold-no-secrets",
        "Why a look failed is not told in words that others chose",
        f"{_MONITORING}/looking.py",
        "reason = str(error) if isinstance(error, ArcEvalError) else type(error).__name__",
        "reason = str(error)",
        (f"{_MONITOR_TESTS}::test_a_bug_in_a_look_is_a_look_that_failed",),
    ),
    Mutation(
        "monitor-forgets",
        "A partition that is gone is gone from the metrics",
        f"{_MONITORING}/showing.py",
        "            self._metrics.forget(name, **dict(labels))\n",
        "            pass\n",
        (f"{_MONITOR_TESTS}::test_what_is_gone_is_shown_no_more",),
    ),
    Mutation(
        "monitor-newest-only",
        "A slow listener has the newest look of each kind, and no queue that grows",
        f"{_MONITORING}/following.py",
        "self._unseen[update.kind] = update",
        "self._unseen.setdefault(update.kind, update)",
        (f"{_MONITOR_TESTS}::test_a_slow_listener_has_only_the_newest_of_each_kind",),
    ),
    Mutation(
        "http-slow-connections",
        "Connections that say nothing do not keep probes out",
        f"{_HTTP}/server.py",
        "_end(min(self._reading, key=self._reading.__getitem__))",
        "pass",
        (f"{_HTTP_TESTS}::test_slow_connections_do_not_keep_probes_out",),
    ),
    Mutation(
        "http-read-deadline",
        "A request has its time, however slowly it comes",
        f"{_HTTP}/request.py",
        "connection.settimeout(max(0.001, deadline - time.monotonic()))",
        "connection.settimeout(None)",
        (f"{_HTTP_TESTS}::test_a_request_has_a_time",),
    ),
    Mutation(
        "http-head-size",
        "And its size",
        f"{_HTTP}/request.py",
        "if len(head) > HEAD_BYTES_MAX:",
        "if False:",
        (f"{_HTTP_TESTS}::test_a_head_has_a_size",),
    ),
    Mutation(
        "http-hosts",
        "A page that a browser was lured to does not reach a worker under a name of its own",
        f"{_HTTP}/access.py",
        "if not is_loopback(self.host) or _without_port(",
        "if self.host or _without_port(",
        (f"{_HTTP_TESTS}::test_on_loopback_it_answers_for_no_other_name",),
    ),
    Mutation(
        "http-token",
        "Off loopback nobody sees the lag without the token",
        f"{_HTTP}/routes.py",
        "return self._access.refused(request) or self._guarded[request.path](request)",
        "return self._guarded[request.path](request)",
        (f"{_HTTP_TESTS}::test_off_loopback_there_is_no_answer_without_a_token",),
    ),
    Mutation(
        "http-proxies",
        "Nor does somebody whom a proxy brings to loopback",
        f"{_HTTP}/access.py",
        "is_loopback(self.host) and not any(name in request.headers for name in _FORWARDED)",
        "is_loopback(self.host)",
        (f"{_HTTP_TESTS}::test_a_proxy_s_request_is_not_this_machine_s",),
    ),
    Mutation(
        "http-listeners-bounded",
        "So many listen to a worker, and no more",
        f"{_HTTP}/routes.py",
        "if not self._listeners.acquire(blocking=False):",
        "if not self._listeners.acquire(blocking=False) and not self._listeners_max:",
        (f"{_HTTP_TESTS}::test_streams_are_bounded_and_give_their_place_back",),
    ),
    Mutation(
        "pulse-pauses",
        "A worker that waits for a database that is away counts as moving",
        f"{_CONSUMERS}/worker.py",
        '"waiting to try again", allowed_s=seconds, is_paused=True',
        '"waiting to try again", is_paused=True',
        (f"{_PULSE_TESTS}::test_a_worker_without_a_database_moves_and_is_not_ready",),
    ),
    Mutation(
        "supervisor-progress",
        "A worker process that only says that it is there does not",
        f"{_CONSUMERS}/supervision.py",
        "max(self._moved_at, time.monotonic() - heartbeat.overdue_s)",
        "time.monotonic()",
        (f"{_SUPERVISION_TESTS}::test_to_say_something_is_not_to_move",),
    ),
    Mutation(
        "supervisor-silence",
        "Nor does one that says nothing",
        f"{_CONSUMERS}/supervision.py",
        "return 0.0 if self.has_ended else time.monotonic() - self._moved_at",
        "return 0.0",
        (f"{_SUPERVISION_TESTS}::test_a_worker_that_falls_silent_is_named",),
    ),
    Mutation(
        "supervisor-restarts",
        "A worker that is started again and again is not well",
        f"{_CONSUMERS}/supervision.py",
        "if self._failures_in_row >= _FAILURES_MAX and not is_sound:",
        "if self._failures_in_row < 0 and not is_sound:",
        (f"{_SUPERVISION_TESTS}::test_a_worker_that_is_restarted_again_and_again_is_named",),
    ),
)
