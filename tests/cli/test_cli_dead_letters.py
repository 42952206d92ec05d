"""`arc-eval-db dead-letters`: what it shows, asks and changes, and for whom."""

from __future__ import annotations

import asyncio
import doctest
import functools
import getpass
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from arc_eval_db.cli import dead_letters as module
from arc_eval_db.cli import moments, printable
from arc_eval_db.cli.commands import cli
from arc_eval_db.cli.identity import this_user
from arc_eval_db.cli.moments import parse_moment
from arc_eval_db.cli.printable import Payload, printable_json
from arc_eval_db.database import DatabaseSettings, Session
from arc_eval_db.replay import RetryOptions
from arc_eval_db.schemas.refusals import RefusalReason
from arc_eval_db.schemas.topics import TOOL_USED
from support.databases import connect
from support.dead_letters import LONG_AGO, set_aside, set_aside_as
from support.events import event, record
from support.roles import ROLES, as_role

pytestmark = pytest.mark.database

_, READER, ADMIN = ROLES
TOPIC = "arc-eval.tool-usage"
MARKER = "S3CRETmarker"

Command = Callable[..., Result]


def environment(database: DatabaseSettings) -> dict[str, str | None]:
    return {"ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value(), "ARC_EVAL_TOPIC_PREFIX": None}


@pytest.fixture
def run(database: DatabaseSettings) -> Command:
    """Runs `dead-letters` with these arguments."""

    def invoke(*arguments: str, answer: str | None = None, **variables: str) -> Result:
        return CliRunner().invoke(
            cli, ["dead-letters", *arguments], env=environment(database) | variables, input=answer
        )

    return invoke


def document(result: Result, exit_code: int = 0) -> Any:
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def sql(database: DatabaseSettings, statement: str) -> list[Mapping[str, Any]]:
    async def work() -> list[Mapping[str, Any]]:
        async with await connect(database) as session:
            return await session.fetch(statement)

    return asyncio.run(work())


def resolutions(database: DatabaseSettings) -> list[str | None]:
    return [row["resolution"] for row in sql(database, "SELECT resolution FROM dead_letters ORDER BY id")]


@pytest.fixture
async def letters(session: Session) -> list[int]:
    """Two that are valid by now, one that never will be, one of another topic."""
    valid = [record(event(TOOL_USED, {"tool": MARKER}), offset=offset) for offset in (10, 11)]
    ids = await set_aside(session, valid, now=LONG_AGO)
    ids += await set_aside(session, [record(MARKER.encode(), offset=12, topic=TOPIC)])
    return ids + await set_aside(session, [record(b"", offset=13, topic="arc-eval.failures")])


def test_list_shows_what_is_unresolved(run: Command, letters: list[int]) -> None:
    run("retry", str(letters[2]), "--attempts-max", "1")
    result = run("list")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines if len(line) == 1] == ["open", "quarantined"]
    rows = {line[0]: line for line in lines}
    assert rows[str(letters[0])][3:6] == [f"{TOPIC}/0@10", "time_out_of_range", "0"]
    assert rows[str(letters[2])][3:7] == [f"{TOPIC}/0@12", "invalid_json", "1", "invalid_json:"]
    assert list(rows).index(str(letters[1])) < list(rows).index(str(letters[0])), "the newest first"


FILTERS: Sequence[tuple[tuple[str, ...], list[int]]] = (
    ((), [3, 2, 1, 0]),
    (("--reason", "empty", "--reason", "invalid_json"), [3, 2]),
    (("--topic", TOPIC), [2, 1, 0]),
    (("--since", "1h"), [3, 2, 1]),
    (("--until", "1h"), [0]),
    (("--since", "2020-01-01", "--until", "2020-01-02T00:00:00+02:00"), []),
    (("--limit", "3"), [3, 2, 1]),
    (("--state", "resolved"), []),
    (("--state", "all"), [3, 2, 1, 0]),
)


def test_list_filters(run: Command, letters: list[int], database: DatabaseSettings) -> None:
    sql(database, f"UPDATE dead_letters SET dead_lettered_at = now() - INTERVAL '2h' WHERE id = {letters[0]}")
    for arguments, expected in FILTERS:
        found = document(run("list", *arguments, "--json"))["dead_letters"]
        assert [one["id"] for one in found] == [letters[index] for index in expected], arguments


def test_pages(run: Command, letters: list[int]) -> None:
    page = document(run("list", "--limit", "3", "--json"))
    assert page["next_before"] == letters[1]
    last = document(run("list", "--limit", "3", "--before", str(letters[1]), "--json"))
    assert ([one["id"] for one in last["dead_letters"]], last["next_before"]) == ([letters[0]], None)
    assert f"the next page: --before {letters[1]}" in run("list", "--limit", "3").stdout
    assert "next page" not in run("list", "--limit", "4").stdout


def test_a_summary_counts_by_topic_and_reason(run: Command, letters: list[int]) -> None:
    counts = document(run("list", "--summary", "--json"))["counts"]
    assert [(count["topic"], count["reason"], count["open"], count["letters"]) for count in counts] == [
        ("arc-eval.failures", "empty", 1, 1),
        (TOPIC, "invalid_json", 1, 1),
        (TOPIC, "time_out_of_range", 2, 2),
    ]
    lines = [line.split() for line in run("list", "--summary", "--topic", TOPIC).stdout.splitlines()]
    assert [line[:5] for line in lines[1:]] == [
        [TOPIC, "invalid_json", "1", "0", "0"],
        [TOPIC, "time_out_of_range", "2", "0", "0"],
    ]


def test_nothing_there(run: Command) -> None:
    assert run("list").stdout == run("list", "--summary").stdout == "no dead letters\n"
    assert run("retry").stdout == "no dead letters to try\n"
    assert run("discard", "--all").stdout == "nothing to discard\n"
    assert document(run("list", "--json")) == {"dead_letters": [], "next_before": None}
    assert document(run("discard", "--all", "--json")) == {"discarded": 0}


def test_what_the_events_hold_shows_in_show_only(run: Command, letters: list[int], database: DatabaseSettings) -> None:
    sql(database, f"UPDATE dead_letters SET event_type = '{MARKER}'")
    sql(database, f"ALTER TABLE tool_usage ADD CONSTRAINT c CHECK (tool <> '{MARKER}')")
    outputs = [run("retry"), run("list"), run("list", "--json"), run("list", "--summary"), run("retry", "--json")]
    for result in outputs:
        assert MARKER not in result.output
    assert "refused_by_database" in outputs[1].stdout
    for one in letters[:3]:
        assert MARKER in run("show", str(one)).stdout
    password = "S3CRETpassword"
    wrong = run("list", ARC_EVAL_DATABASE_URL=f"postgresql://somebody:{password}@127.0.0.1:1/x")
    assert (wrong.exit_code, password in wrong.output) == (1, False)


def test_show_prints_the_record(run: Command, letters: list[int]) -> None:
    shown = run("show", str(letters[0])).stdout
    assert f"place             {TOPIC}/0@10" in shown
    assert '\n  "specversion": "1.0",' in shown.replace("\n    ", "\n  ")
    assert "\nkey (3 bytes, text)\n  key\n" in shown
    assert f"ce_type: {TOOL_USED}" in shown
    fields = document(run("show", str(letters[0]), "--json"))
    assert fields["value"]["encoding"] == "json"
    assert fields["value"]["value"]["data"]["tool"] == MARKER
    assert (fields["headers"][0], fields["event_type"]) == (["ce_type", TOOL_USED], TOOL_USED)
    assert document(run("show", str(letters[2]), "--json"))["value"] == {"encoding": "text", "value": MARKER}
    assert "value (0 bytes, text)" in run("show", str(letters[3])).stdout


def test_show_says_what_became_of_it(run: Command, letters: list[int]) -> None:
    run("retry", "--by", "me", "--attempts-max", "1")
    stored, refused = run("show", str(letters[0])).stdout, run("show", str(letters[2])).stdout
    assert "resolution        stored\nresolved by       me\n" in stored
    assert "state             quarantined\n" in refused
    assert "refused then for  invalid_json: " in refused


def test_show_of_none(run: Command) -> None:
    result = run("show", "7")
    assert (result.exit_code, "no dead letter 7; to see which there are" in result.stderr) == (1, True)


async def test_nothing_that_is_shown_steers_the_terminal(session: Session, database: DatabaseSettings) -> None:
    hostile = "\x1b]0;owned\x07\x9b31m\u202estate: resolved\r\n"
    value = orjson.dumps({"a": hostile, "b": 1})
    bad = record(value, offset=1, topic=TOPIC)._replace(
        key=hostile.encode(), headers=(("ce_type", hostile.encode()), (hostile, b"\xff\x1b[2J"))
    )
    (first,) = await set_aside(session, [bad])
    (second,) = await set_aside(session, [bad._replace(offset=2, value=hostile.encode())])
    await session.execute("UPDATE dead_letters SET topic = $1, detail = $1", hostile)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["dead-letters", *arguments], env=environment(database))

    commands = [["list"], ["list", "--summary"], ["show", str(first)], ["show", str(second)], ["retry"]]
    for arguments in commands:
        result = await asyncio.to_thread(invoke, *arguments)
        assert result.exit_code in (0, 3), result.output
        assert all(one.isprintable() or one == "\n" for one in result.stdout), arguments
        if arguments[0] == "show":
            assert not any(line.startswith("state: ") for line in result.stdout.splitlines())
    shown = await asyncio.to_thread(invoke, "show", str(first), "--json")
    assert all(one.isprintable() or one == "\n" for one in shown.stdout)
    assert json.loads(shown.stdout)["value"]["value"] == {"a": hostile, "b": 1}


@pytest.mark.parametrize(
    ("raw", "encoding", "text"),
    [
        (b'{"a":1}', "json", '{\n  "a": 1\n}'),
        (b'{"a": 123456789012345678901234567890}', "json", '{"a": 123456789012345678901234567890}'),
        (b'{"a":1,"a":2}', "json", '{"a":1,"a":2}'),
        (b"[1.0e2]", "json", "[1.0e2]"),
        (b"{", "text", "{"),
        (b"a\x00\x1b\nb", "text", "a\\x00\\x1b\nb"),
        (b"\xff\xfe", "base64", "//4="),
        (b"", "text", ""),
    ],
)
def test_payloads_lose_nothing(raw: bytes, encoding: str, text: str) -> None:
    payload = Payload.of(raw)
    assert payload is not None
    assert (payload.encoding, payload.for_people()) == (encoding, text)
    assert Payload.of(None) is None


def test_beyond_the_basic_plane_json_has_two_escapes() -> None:
    raw = '"\U000e0001"'  # a tag, which does not show
    payload = Payload.of(raw.encode())
    assert payload is not None
    assert printable_json(orjson.dumps(payload.for_programs()).decode()) == (
        r'{"encoding":"json","value":"\udb40\udc01"}'
    )
    assert payload.for_people() == '"\\U000e0001"'


def test_retry_stores_what_is_valid_and_says_what_is_not(
    run: Command, letters: list[int], database: DatabaseSettings
) -> None:
    dry = run("retry", "--dry-run")
    assert (dry.exit_code, "this was a dry run: nothing was changed" in dry.stdout) == (3, True)
    assert resolutions(database) == [None] * 4
    result = run("retry")
    assert result.exit_code == 3
    assert result.stdout.splitlines() == [
        "tried 4 dead letters: 2 stored, 0 duplicates, 2 refused again",
        "refused again: 1 invalid_json, 1 empty; why: arc-eval-db dead-letters list",
    ]
    assert result.stderr == "", "no progress where no terminal is"
    assert resolutions(database) == ["stored", "stored", None, None]
    by = sql(database, "SELECT DISTINCT resolved_by FROM dead_letters WHERE resolved_at IS NOT NULL")
    assert [row["resolved_by"] for row in by] == [f"{getpass.getuser()}@{socket.gethostname()}"]
    assert document(run("retry", *map(str, letters[:2]), "--json"))["attempted"] == 0, "twice is harmless"
    assert sql(database, "SELECT count(*) FROM tool_usage")[0]["count"] == 2


def test_retry_of_some(run: Command, letters: list[int], database: DatabaseSettings) -> None:
    report = document(run("retry", str(letters[1]), "--by", "me@there", "--json"))
    assert report == {
        "dry_run": False,
        "attempted": 1,
        "stored": 1,
        "duplicates": 0,
        "refused": 0,
        "refused_by_reason": {},
        "quarantined": 0,
        "unknown_topics": {},
        "left_quarantined": 0,
    }
    assert document(run("retry", "--reason", "empty", "--topic", "arc-eval.failures", "--json"), 3)["refused"] == 1
    assert resolutions(database) == [None, "stored", None, None]
    assert sql(database, "SELECT resolved_by FROM dead_letters WHERE resolved_at IS NOT NULL")[0]["resolved_by"] == (
        "me@there"
    )


def test_quarantine(run: Command, letters: list[int]) -> None:
    chosen = ("--reason", "empty", "--attempts-max", "1")
    first = run("retry", *chosen)
    assert (first.exit_code, "1 of them are quarantined now" in first.stdout) == (3, True)
    second = run("retry", *chosen)
    assert (second.exit_code, second.stdout.splitlines()) == (
        0,
        ["no dead letters to try", "left alone: 1 quarantined; to try them too: --quarantined"],
    )
    assert document(run("retry", *chosen, "--quarantined", "--json"), 3)["refused_by_reason"] == {"empty": 1}


async def test_topics_of_another_prefix_name_the_setting(session: Session, database: DatabaseSettings) -> None:
    other = record(event(TOOL_USED), topic="staging.tool-usage")
    await set_aside_as(session, RefusalReason.UNKNOWN_TYPE, [other])

    def invoke(**variables: str) -> Result:
        return CliRunner().invoke(cli, ["dead-letters", "retry"], env=environment(database) | variables)

    result = await asyncio.to_thread(invoke)
    assert result.exit_code == 3
    assert "left alone, as this prefix has no such topic: 1 of staging.tool-usage; " in result.stdout
    assert "ARC_EVAL_TOPIC_PREFIX is arc-eval, and its topics are arc-eval.executions, " in result.stdout
    assert (await asyncio.to_thread(invoke, ARC_EVAL_TOPIC_PREFIX="staging")).exit_code == 0


def test_a_failure_says_what_was_done_before(
    run: Command, letters: list[int], database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RetryOptions", functools.partial(RetryOptions, batch_letters_max=3))
    sql(database, "ALTER TABLE failures RENAME COLUMN message TO words")
    sql(database, f"UPDATE dead_letters SET topic = 'arc-eval.failures' WHERE id = {letters[3]}")
    failure = orjson.dumps(event("arc_eval.failure.recorded.v1")).hex()
    sql(database, f"UPDATE dead_letters SET value = '\\x{failure}' WHERE id = {letters[3]}")
    result = run("retry")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == "3 letters were done before, and stay so; the same command does the rest"
    assert "42703" in result.stderr
    assert resolutions(database) == ["stored", "stored", None, None]


def test_discard_shows_asks_and_gives_up(run: Command, letters: list[int], database: DatabaseSettings) -> None:
    chosen = ("--topic", TOPIC)
    refused = run("discard", *chosen, answer="n\n")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "Discard 3 dead letters? They are never tried again." in refused.stderr
    assert "time_out_of_range" in refused.stderr
    assert run("discard", *chosen).exit_code == 1, "nobody to ask"
    assert resolutions(database) == [None] * 4
    accepted = run("discard", *chosen, "--by", "me@there", answer="y\n")
    assert (accepted.exit_code, accepted.stdout) == (0, "discarded 3 dead letters\n")
    assert resolutions(database) == [*["discarded"] * 3, None]
    assert run("discard", *chosen).stdout == "nothing to discard\n"
    assert document(run("discard", str(letters[3]), "--yes", "--json")) == {"discarded": 1}
    by = sql(database, "SELECT resolved_by FROM dead_letters ORDER BY id")
    assert [row["resolved_by"] for row in by] == [*["me@there"] * 3, this_user()]


def test_discard_of_what_was_seen_only(
    run: Command, letters: list[int], database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is set aside while the question waits for its answer."""

    def answer(*_: object, **__: object) -> None:
        async def one_more() -> None:
            async with await connect(database) as session:
                await set_aside(session, [record(b"{", offset=99, topic=TOPIC)])

        asyncio.run(one_more())

    monkeypatch.setattr("arc_eval_db.cli.dead_letters.click.confirm", answer)
    assert run("discard", "--all", "--state", "open").stdout == "discarded 4 dead letters\n"
    assert resolutions(database) == [*["discarded"] * 4, None]


REFUSED: Sequence[tuple[tuple[str, ...], int, str]] = (
    (("discard", "--yes"), 2, "name letters by ID, or by --reason, --topic, --since or --until; or say --all"),
    (("discard", "--all", "--topic", "t", "--yes"), 2, "--all is for all letters"),
    (("discard", "999999", "--yes"), 1, "no dead letter 999999; to see which there are"),
    (("retry", "999999"), 1, "no dead letter 999999; to see which there are"),
    (("retry", "--reason", "bad luck"), 2, "'bad luck' is not one of 'empty', 'too_large'"),
    (("retry", "--attempts-max", "0"), 2, "0 is not in the range"),
    (("retry", "--by", "a\nb"), 2, "characters that can be printed"),
    (("list", "--since", "soon"), 2, "'soon' is not a time: an age such as 30m, 2h"),
    (("list", "--state", "lost"), 2, "'lost' is not one of"),
    (("show", "first"), 2, "'first' is not a valid integer"),
)


def test_what_cannot_be_is_refused(run: Command, letters: list[int], database: DatabaseSettings) -> None:
    for arguments, exit_code, message in REFUSED:
        result = run(*arguments)
        assert (result.exit_code, message in result.output) == (exit_code, True), (arguments, result.output)
    assert resolutions(database) == [None] * 4


async def test_the_reader_lists_and_the_admin_retries(
    session: Session, database: DatabaseSettings, letters: list[int]
) -> None:
    async def invoke(role: str, *arguments: str) -> Result:
        variables = environment(await as_role(database, role))
        return await asyncio.to_thread(CliRunner().invoke, cli, ["dead-letters", *arguments], env=variables)

    assert (await invoke(READER, "list")).exit_code == 0
    for arguments in (("retry",), ("discard", "--all", "--yes"), ("show", str(letters[0]))):
        result = await invoke(READER, *arguments)
        assert (result.exit_code, "arc_eval_reader may not" in result.stderr) == (1, True)
        assert "a member of arc_eval_admin" in result.stderr
    assert (await invoke(ADMIN, "show", str(letters[0]))).exit_code == 0
    assert "2 stored" in (await invoke(ADMIN, "retry")).stdout
    assert (await invoke(ADMIN, "discard", "--all", "--yes")).stdout == "discarded 2 dead letters\n"


async def test_an_older_schema_names_the_next_step(session: Session, database: DatabaseSettings) -> None:
    from arc_eval_db.migrations import Migrator

    await Migrator(session).down(9)
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["dead-letters", "list"], env=environment(database))
    assert (result.exit_code, "arc-eval-db migrate up" in result.stderr) == (1, True)


NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("30m", NOW - timedelta(minutes=30)),
        (" 2 H ", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("1w", NOW - timedelta(weeks=1)),
        ("0s", NOW),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T01:02", datetime(2026, 11, 22, 1, 2, tzinfo=UTC)),
        ("2026-11-22 01:02:03Z", datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)),
        ("2026-11-22T01:02:03.5+02:00", datetime(2026, 11, 21, 23, 2, 3, 500_000, tzinfo=UTC)),
    ],
)
def test_moments(text: str, expected: datetime) -> None:
    found = parse_moment(text, NOW)
    assert (found, found.utcoffset()) == (expected, timedelta(0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "h",
        "-2h",
        "2.5h",
        "2y",
        "999999w",
        "2026",
        "2026-13-01",
        "yesterday",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError):
        parse_moment(text, NOW)


@pytest.mark.parametrize("documented", [moments, printable])
def test_examples(documented: Any) -> None:
    failures, tests = doctest.testmod(documented)
    assert (failures, tests > 0) == (0, True)


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError("no username set in the environment")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert this_user().partition("@")[0].isdecimal()
