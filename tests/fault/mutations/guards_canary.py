"""Guards of the canary: what it calls arrived has arrived, and it is no trouble to its host."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_CANARY = "consumers/arc_eval_db/consumers/canary"
_TESTS = "tests/consumers/test_consumers_canary.py"

CANARY_MUTATIONS = (
    Mutation(
        "canary-never-raises",
        "A canary that cannot run is a result, and no exception in its host",
        f"{_CANARY}/canary.py",
        "except Exception as error:",
        "except TimeoutError as error:",
        (f"{_TESTS}::test_a_canary_that_cannot_begin_does_not_raise",),
    ),
    Mutation(
        "canary-looks-first",
        "Nothing is emitted that cannot be looked for",
        f"{_CANARY}/canary.py",
        "            await watch.look()  # what cannot be looked at is not sent; and the connection is warm\n",
        "",
        (f"{_TESTS}::test_a_login_that_may_not_read_is_told_which_may",),
    ),
    Mutation(
        "canary-once",
        "A row that is there twice has not arrived well",
        f"{_CANARY}/arrival.py",
        '                return f"{name}: a row too many"\n',
        "                continue\n",
        (f"{_TESTS}::test_what_does_not_become_the_right_rows_is_said[twice]",),
    ),
    Mutation(
        "canary-values",
        "Nor has a row that says something else than its event",
        f"{_CANARY}/arrival.py",
        "if said.get(name) != value",
        "if name not in said",
        (f"{_TESTS}::test_what_does_not_become_the_right_rows_is_said[changed]",),
    ),
    Mutation(
        "canary-dead-letter",
        "An event that was set aside is named, and not waited for",
        f"{_CANARY}/diagnosis.py",
        "if letter := await watch.dead_letter():",
        "if (letter := await watch.dead_letter()) and not letter:",
        (f"{_TESTS}::test_what_does_not_become_the_right_rows_is_said[set aside]",),
    ),
    Mutation(
        "canary-claims-nothing",
        "Before the first run has ended, no alert takes it for a failed one",
        f"{_CANARY}/metrics.py",
        '        self.set("arc_eval_canary_up", _NOT_KNOWN)\n',
        "",
        (f"{_TESTS}::test_before_the_first_run_nothing_is_claimed",),
    ),
)
