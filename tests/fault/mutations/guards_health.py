"""Guards of `arc_eval_db.health`: what keeps a look cheap, harmless and on time."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_HEALTH = "sql/arc_eval_db/health"
_BOUNDS_TESTS = "tests/sql/test_sql_health_bounds.py"

HEALTH_MUTATIONS = (
    Mutation(
        "health-writes-are-undone",
        "What health writes to see whether that works is rolled back",
        f"{_HEALTH}/undone.py",
        "            raise _TakenBackError",
        "            pass",
        (f"{_BOUNDS_TESTS}::test_looking_leaves_nothing",),
    ),
    Mutation(
        "health-one-failure-is-one-check",
        "A check that fails never fails the others",
        f"{_HEALTH}/checker.py",
        "            return _result(check, judge_error(check, context, error))",
        "            raise",
        (f"{_BOUNDS_TESTS}::test_one_check_that_fails_is_one_that_is_unknown",),
    ),
    Mutation(
        "health-away-is-remembered",
        "A silent server costs health one attempt to connect, not one a check",
        f"{_HEALTH}/looker.py",
        "        if self._away is not None:\n            raise self._away\n",
        "",
        (f"{_BOUNDS_TESTS}::test_a_silent_server_is_connected_to_once",),
    ),
    Mutation(
        "health-pool-is-counted",
        "An exhausted pool is seen: what is lent counts",
        f"{_HEALTH}/checks/connections.py",
        'share = row["in_use"] / row["size_max"]',
        "share = 0.0",
        ("tests/sql/test_sql_health.py::test_an_exhausted_pool_is_seen_from_outside",),
    ),
    Mutation(
        "health-hidden-is-unknown",
        "Sessions that may not be seen are not called well",
        f"{_HEALTH}/checks/sessions.py",
        'if state is State.OK and row["hidden"]:',
        "if False:",
        (f"{_BOUNDS_TESTS}::test_what_may_not_be_seen_names_the_grant_that_helps",),
    ),
)
