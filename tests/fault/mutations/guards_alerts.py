"""Guards of alerts: nobody is told twice, nothing is forgotten, and no text becomes more than text."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_ALERTS = "consumers/arc_eval_db/consumers/alerts"
_RULES = "tests/consumers/test_consumers_alerts_rules.py"
_DELIVERY = "tests/consumers/test_consumers_alerts_delivery.py"
_RUNNER = "tests/consumers/test_consumers_alerts_runner.py"

ALERT_MUTATIONS = (
    Mutation(
        "alert-hysteresis",
        "An alert does not flap where its figure wavers around a threshold",
        f"{_ALERTS}/rule.py",
        "threshold = self.resolves_at if is_open else self.opens_at",
        "threshold = self.opens_at",
        (f"{_RULES}::test_no_sequence_makes_it_flap",),
    ),
    Mutation(
        "alert-restart",
        "An alert that was open before a restart is not resolved for the lack of a figure",
        f"{_ALERTS}/evaluating.py",
        "if before is not None and figure is None and now < before.kept_until:",
        "if before is not None and figure is None and now < 0:",
        (f"{_RULES}::test_what_was_open_stays_so_over_a_restart_until_its_metric_is_there",),
    ),
    Mutation(
        "alert-saved-first",
        "What people are told of is known to the next process",
        f"{_ALERTS}/runner.py",
        "            await self._save(unsent=messages)\n",
        "            pass\n",
        (f"{_RUNNER}::test_an_alert_is_in_the_state_before_anybody_is_told",),
    ),
    Mutation(
        "alert-kept-at-stop",
        "A message that nobody has taken when the process ends is sent by the next one",
        f"{_ALERTS}/delivering.py",
        "                self._queue.insert(0, self._in_hand)\n",
        "",
        (f"{_DELIVERY}::test_a_stop_keeps_what_has_not_been_taken",),
    ),
    Mutation(
        "alert-one-owner",
        "Two processes do not overwrite each other's open alerts",
        f"{_ALERTS}/state_file.py",
        "            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "            pass\n",
        (f"{_RUNNER}::test_one_process_at_a_time_has_the_state",),
    ),
    Mutation(
        "alert-queue",
        "A receiver that is away cannot make the queue grow",
        f"{_ALERTS}/delivering.py",
        "            if len(self._queue) >= self._messages_max:\n                self._make_room()\n",
        "",
        (f"{_DELIVERY}::test_a_full_queue_drops_only_what_came_and_went",),
    ),
    Mutation(
        "alert-deadline",
        "A webhook that does not answer costs its deadline, and no more",
        f"{_ALERTS}/posting.py",
        "async with asyncio.timeout(self.timeout_s):",
        "async with asyncio.timeout(60):",
        (f"{_DELIVERY}::test_a_server_that_does_not_answer_costs_the_deadline_only",),
    ),
    Mutation(
        "alert-slack-text",
        "No text of an alert mentions anybody in Slack, or links anywhere",
        f"{_ALERTS}/webhook.py",
        '"text": f"{mark} {title}\\n".translate(_ESCAPES) + ',
        '"text": f"{mark} {title}\\n" + ',
        (f"{_DELIVERY}::test_slack_gets_text_and_never_markup",),
    ),
    Mutation(
        "alert-url",
        "No URL smuggles a header into a request",
        f"{_ALERTS}/addresses.py",
        "if not _URL.fullmatch(url):",
        "if not url:",
        (f"{_RULES}::test_settings_that_cannot_be_used_are_named_and_not_shown",),
    ),
)
