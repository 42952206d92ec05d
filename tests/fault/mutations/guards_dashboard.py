"""Guards of the web dashboard: who is let in, what a page may do, and that what events hold stays text."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_WEB = "dashboards/arc_eval_db/dashboards/web"

_ACCESS_TESTS = "tests/dashboards/test_dashboards_web_access.py"
_FRAME_TESTS = "tests/dashboards/test_dashboards_web_frame.py"
_LETTER_TESTS = "tests/dashboards/test_dashboards_web_dead_letters.py"
_EXECUTION_TESTS = "tests/dashboards/test_dashboards_web_executions.py"
_PERFORMANCE_TESTS = "tests/dashboards/test_dashboards_web_performance.py"
_PART_TESTS = "tests/dashboards/test_dashboards_web_parts.py"

DASHBOARD_MUTATIONS = (
    Mutation(
        "dashboard-host",
        "A page whose name was made to mean loopback does not reach the dashboard (DNS rebinding)",
        f"{_WEB}/gate.py",
        "        if len(hosts) != 1 or not self._settings.allows_host(hosts[0]):\n",
        "        if False:\n",
        (f"{_ACCESS_TESTS}::test_on_loopback_only_names_of_loopback_are_answered",),
    ),
    Mutation(
        "dashboard-origin",
        "A page of another site opens no WebSocket with somebody's login",
        f"{_WEB}/gate.py",
        "        if not _is_own_origin(scope, headers, hosts[0]):\n",
        "        if False:\n",
        (f"{_ACCESS_TESTS}::test_a_socket_needs_the_login_and_a_page_of_ours",),
    ),
    Mutation(
        "dashboard-scope",
        "A login that may only read changes nothing, whatever messages its browser sends",
        f"{_WEB}/view.py",
        "        if actor.scope is not Scope.ADMIN:\n",
        "        if False:\n",
        (f"{_ACCESS_TESTS}::test_whoever_may_only_read_changes_nothing_by_messages_of_his_own",),
    ),
    Mutation(
        "dashboard-revoked",
        "A token that is revoked ends the pages of its login",
        "dashboards/arc_eval_db/dashboards/api/tokens.py",
        '    if row["id"] is None or row["is_revoked"] or row["is_expired"]:\n        return None\n',
        '    if row["id"] is None:\n        return None\n',
        (f"{_ACCESS_TESTS}::test_a_token_that_is_revoked_ends_its_pages",),
    ),
    Mutation(
        "dashboard-cookie",
        "A cookie that this server has not signed is none",
        f"{_WEB}/sessions.py",
        "        if not hmac.compare_digest(self._signature(payload), match[3]):\n",
        "        if False:\n",
        (f"{_PART_TESTS}::TestSessions::test_a_cookie_that_was_changed_or_is_of_another_server_is_none",),
    ),
    Mutation(
        "dashboard-cookie-expiry",
        "A login ends when its time is over",
        f"{_WEB}/sessions.py",
        "        return login if self._now_s() < login.expires_at_s else None\n",
        "        return login\n",
        (f"{_PART_TESTS}::TestSessions::test_a_cookie_is_good_until_its_time_is_over",),
    ),
    Mutation(
        "dashboard-next",
        "The login leads to no other site",
        f"{_WEB}/plain.py",
        '    return text if _LOCAL.fullmatch(text) else "/"\n',
        "    return text\n",
        (f"{_ACCESS_TESTS}::test_the_login_leads_to_pages_of_ours_only",),
    ),
    Mutation(
        "dashboard-outage-change",
        "While the database cannot say whether a token is good, nothing is changed with it",
        f"{_WEB}/access.py",
        "            if known is None or fresh or ",
        "            if known is None or ",
        (f"{_PART_TESTS}::TestAccess::test_an_outage_sends_nobody_away_for_a_quarter_of_an_hour",),
    ),
    Mutation(
        "dashboard-inline-scripts",
        "A script or a handler that got into a page would not run",
        f"{_WEB}/headers.py",
        "'nonce-{nonce}'",
        "'unsafe-inline'",
        (f"{_FRAME_TESTS}::test_every_answer_tells_the_browser_what_to_refuse",),
    ),
    Mutation(
        "dashboard-text",
        "What stands in a table is text and never markup",
        f"{_WEB}/elements/data_table.js",
        "<template v-else>{{ write(cell) }}</template>",
        '<span v-else v-html="write(cell)"></span>',
        (f"{_LETTER_TESTS}::test_letters_are_counted_and_listed_as_direct_sql_has_them",),
    ),
    Mutation(
        "dashboard-links",
        "A link in a table leads to no other site, and is no script",
        f"{_WEB}/elements/data_table.py",
        "        if self.href is not None and ",
        "        if False and ",
        (f"{_PART_TESTS}::test_links_lead_nowhere_else",),
    ),
    Mutation(
        "dashboard-one-look",
        "However many pages show a thing, the database is asked for it once an interval",
        f"{_WEB}/live.py",
        "        feed = self._feeds.get(source.key)\n",
        "        feed = None\n",
        (f"{_PART_TESTS}::TestLiveBoard::test_many_followers_cost_one_look",),
    ),
    Mutation(
        "dashboard-feeds",
        "What browsers ask for does not fill the server's memory",
        f"{_WEB}/live.py",
        "            if len(self._feeds) >= self._feeds_max:\n",
        "            if False:\n",
        (f"{_PART_TESTS}::TestLiveBoard::test_there_is_a_bound_on_what_is_shown_at_once",),
    ),
    Mutation(
        "dashboard-page-of-executions",
        "Of executions that began at the same moment, none is missed or shown twice from page to page",
        f"{_WEB}/data/searching.py",
        "    common = (window.since, window.until, after.started_at, after.id, limit, selection.excluded)\n",
        "    common = (window.since, window.until, after.started_at, UUID(int=0), limit, selection.excluded)\n",
        (f"{_EXECUTION_TESTS}::test_a_page_is_not_disturbed_by_what_comes_later",),
    ),
    Mutation(
        "dashboard-search-bound",
        "A search that finds little looks at so many executions and no more, and says how far back it looked",
        f"{_WEB}/data/searching.py",
        "    limit = PAGE_ROWS + 1 if is_narrow else CANDIDATES_MAX\n",
        "    limit = PAGE_ROWS + 1 if is_narrow else 10**6\n",
        (f"{_EXECUTION_TESTS}::test_a_page_says_how_far_it_looked",),
    ),
    Mutation(
        "dashboard-canaries",
        "Canaries are in nobody's figures",
        f"{_WEB}/data/selections.py",
        "        excluded=() if asks_for_canaries else await canary_versions(session),\n",
        "        excluded=(),\n",
        (f"{_PERFORMANCE_TESTS}::test_canaries_are_in_nobodys_figures_unless_they_are_asked_for",),
    ),
)
