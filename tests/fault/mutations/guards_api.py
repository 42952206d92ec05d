"""Guards of the admin API: who is let in, what is taken, what a change is made for, and what no answer tells."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_API = "dashboards/arc_eval_db/dashboards/api"
_AUTHENTICATION = f"{_API}/authentication.py"
_FAILURES = f"{_API}/failures.py"
_MIDDLEWARE = f"{_API}/middleware.py"
_TOKENS = f"{_API}/tokens.py"

_TESTS = "tests/dashboards/test_dashboards_api.py"
_HOSTILE_TESTS = "tests/dashboards/test_dashboards_api_hostile.py"
_PAGE_TESTS = "tests/dashboards/test_dashboards_api_pages.py"
_TOKEN_TESTS = "tests/dashboards/test_dashboards_api_tokens.py"

API_MUTATIONS = (
    Mutation(
        "api-scope",
        "A token that may only read changes nothing",
        _AUTHENTICATION,
        '        if found.actor.scope is tokens.Scope.READ and not is_safe(scope["method"]):\n',
        "        if False:\n",
        (f"{_TOKEN_TESTS}::test_every_address_needs_a_token",),
    ),
    Mutation(
        "api-secret",
        "A token whose id is known and whose secret is wrong is refused",
        _TOKENS,
        "    if not is_right:\n",
        "    if False:\n",
        (f"{_TOKEN_TESTS}::test_every_address_needs_a_token",),
    ),
    Mutation(
        "api-revoked",
        "A token that was revoked is refused from the next request on",
        _TOKENS,
        '    if row["is_revoked"]:\n',
        "    if False:\n",
        (f"{_TOKEN_TESTS}::test_every_address_needs_a_token",),
    ),
    Mutation(
        "api-expired",
        "A token that has expired is refused",
        _TOKENS,
        '    return Refusal.EXPIRED if row["is_expired"] else None\n',
        "    return None\n",
        (f"{_TOKEN_TESTS}::test_every_address_needs_a_token",),
    ),
    Mutation(
        "api-one-header",
        "A request with two tokens is refused, whichever of them a proxy has looked at",
        _AUTHENTICATION,
        "if len(given) == 1 and kind.lower()",
        "if kind.lower()",
        (f"{_TOKEN_TESTS}::test_two_headers_are_none",),
    ),
    Mutation(
        "api-closed-by-a-token",
        "Where the database has any token, a revoked one too, nobody is let in without one",
        _AUTHENTICATION,
        "            if not given and not found.any_token and not",
        "            if not given and not",
        (f"{_TOKEN_TESTS}::test_loopback_is_open_until_there_is_a_token",),
    ),
    Mutation(
        "api-forwarded",
        "What a proxy brings to loopback does not count as this machine's user",
        _AUTHENTICATION,
        " or any(name in headers for name in _FORWARDED)",
        "",
        (f"{_TOKEN_TESTS}::test_what_a_proxy_brings_is_not_from_this_machine",),
    ),
    Mutation(
        "api-never-open",
        "Where other machines can reach the API, nobody is let in without a token",
        f"{_API}/settings.py",
        "        return not self.is_loopback or bool(self.allowed_hosts)\n",
        "        return False\n",
        (f"{_TOKEN_TESTS}::test_what_others_can_reach_is_never_open",),
    ),
    Mutation(
        "api-host",
        "A page whose name was made to mean loopback is turned away (DNS rebinding)",
        _MIDDLEWARE,
        "            if len(hosts) != 1 or not self._settings.allows_host(hosts[0]):\n",
        "            if False:\n",
        (f"{_TOKEN_TESTS}::test_on_loopback_only_its_own_names_are_served",),
    ),
    Mutation(
        "api-media-type",
        "A form of another site changes nothing: a body that does not say that it is JSON is refused",
        _MIDDLEWARE,
        "            _require_json(Headers(scope=scope))\n",
        "",
        (f"{_HOSTILE_TESTS}::test_only_json_changes_anything",),
    ),
    Mutation(
        "api-body-bytes",
        "Of a body no more is read than may be taken",
        _MIDDLEWARE,
        "            if size > self._settings.body_bytes_max:\n",
        "            if False:\n",
        (f"{_HOSTILE_TESTS}::test_a_body_is_at_most_a_megabyte",),
    ),
    Mutation(
        "api-body-json",
        "A body that is too deep, or could mean two things, is refused before a route begins",
        _MIDDLEWARE,
        "            await asyncio.to_thread(check_body, body)\n",
        "",
        (f"{_HOSTILE_TESTS}::test_bodies",),
    ),
    Mutation(
        "api-concurrency",
        "More requests than may be at work at once do not reach the database",
        _MIDDLEWARE,
        "        if self._running >= self._max:\n",
        "        if False:\n",
        (f"{_HOSTILE_TESTS}::test_so_many_at_once_and_no_more",),
    ),
    Mutation(
        "api-probe-slot",
        "What anybody may send takes no slot from those who have a token",
        _MIDDLEWARE,
        '        if scope["type"] != "http" or is_open(scope):\n',
        '        if scope["type"] != "http":\n',
        (f"{_HOSTILE_TESTS}::test_a_probe_takes_no_slot_and_its_body_is_not_read",),
    ),
    Mutation(
        "api-probe-body",
        "Of what anybody may send no body is waited for",
        _MIDDLEWARE,
        '            await self._in_its_time(scope, _replayed(b"", receive), send)\n            return\n',
        "            pass\n",
        (f"{_HOSTILE_TESTS}::test_a_probe_takes_no_slot_and_its_body_is_not_read",),
    ),
    Mutation(
        "api-diff-bounded",
        "What takes long to compare is given to a process that can be ended",
        f"{_API}/routers/diffs.py",
        "    if await asyncio.to_thread(_lines, before, after) <= LINES_AT_ONCE_MAX:\n",
        "    if True:\n",
        (f"{_HOSTILE_TESTS}::test_a_diff_that_takes_long_is_ended",),
    ),
    Mutation(
        "api-selector",
        "A version is looked for under the name in the address, and not under one that its last part adds to",
        f"{_API}/parameters.py",
        "SelectorText = Annotated[str, StringConstraints(pattern=SELECTOR_PATTERN)]",
        "SelectorText = Annotated[str, StringConstraints(min_length=1)]",
        (f"{_HOSTILE_TESTS}::test_references",),
    ),
    Mutation(
        "api-misspelt-condition",
        "A condition that is misspelt is refused and does not mean all",
        f"{_API}/queries.py",
        "    if names:\n",
        "    if False:\n",
        (f"{_HOSTILE_TESTS}::test_a_condition_that_is_misspelt_does_not_mean_all",),
    ),
    Mutation(
        "api-cursor-query",
        "A cursor is good for the query that gave it, and for no other",
        f"{_API}/cursors.py",
        "    if query != _query_key(request):\n",
        "    if False:\n",
        (f"{_PAGE_TESTS}::test_a_cursor_is_good_for_its_own_query_only",),
    ),
    Mutation(
        "api-if-match",
        "A change that does not say what it is made for is refused",
        f"{_API}/etags.py",
        "    if if_match is None:\n        raise ProblemError(\n            Kind.PRECONDITION_REQUIRED,",
        "    if if_match is None:\n"
        "        return None\n"
        "        raise ProblemError(\n"
        "            Kind.PRECONDITION_REQUIRED,",
        (f"{_TESTS}::test_a_change_says_what_it_is_made_for",),
    ),
    Mutation(
        "api-if-match-enforced",
        "Of those who change what they have read at the same time, one wins and the others are told",
        f"{_API}/routers/configurations.py",
        "description=body.description, expected_revision=revision)",
        "description=body.description)",
        (f"{_TESTS}::test_of_two_who_have_read_the_same_one_wins",),
    ),
    Mutation(
        "api-outage-details",
        "Of a database that is away no answer tells more than that",
        _FAILURES,
        '        return unavailable("the database does not answer; try again", RETRY_AFTER_S)\n',
        "        return unavailable(str(error), RETRY_AFTER_S)\n",
        (f"{_HOSTILE_TESTS}::test_a_database_that_is_away_is_said_without_details",),
    ),
    Mutation(
        "api-sql-details",
        "What SQL says of a table or a statement stays in the log",
        _FAILURES,
        'unavailable("the server\'s database must be mended first; its log says how", RETRY_AFTER_REPAIR_S)\n',
        "unavailable(str(error), RETRY_AFTER_REPAIR_S)\n",
        (f"{_HOSTILE_TESTS}::test_a_broken_schema_is_said_without_details",),
    ),
    Mutation(
        "api-log-secrets",
        "The text of an exception that is not ours, which may hold a password, is not logged",
        _FAILURES,
        "error=str(error) if is_ours else None",
        "error=str(error)",
        (f"{_HOSTILE_TESTS}::test_a_mistake_of_ours_is_a_problem_too",),
    ),
)
