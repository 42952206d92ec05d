"""The adapter: what each kind of failure becomes, and that nothing waits for ever."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from arc_eval_db.database import (
    BatchTooLargeError,
    DatabaseError,
    DatabaseSettings,
    DatabaseUnavailableError,
    DuplicateRowError,
    RowRefusedError,
    SchemaMismatchError,
    Session,
    TransactionConflictError,
    error_for,
)
from arc_eval_db.database.errors import translated_errors
from arc_eval_db.errors import FatalError, PoisonError, RetryableError, SettingsError
from support.databases import connect
from support.proxy import TcpProxy

pytestmark = pytest.mark.database

# More than the buffers of a socket hold: only then does a COPY wait for the server.
MANY_ROWS = 60_000
WIDE = "x" * 400


@pytest.fixture
async def table(session: Session) -> str:
    await session.execute("CREATE TABLE things (id int PRIMARY KEY, name text CHECK (name <> 'bad'), big jsonb)")
    return "things"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1/0", RowRefusedError),
        ("SELECT 'x'::int", RowRefusedError),
        ("SELECT '{\"a\":'::jsonb", RowRefusedError),
        ("INSERT INTO things (id, name) VALUES (1, 'bad')", RowRefusedError),
        ("INSERT INTO things (id) VALUES (NULL)", SchemaMismatchError),
        ("INSERT INTO things (id) VALUES (1), (1)", DuplicateRowError),
        ("SELECT * FROM no_such_table", SchemaMismatchError),
        ("SELECT no_such_column FROM things", SchemaMismatchError),
        ("SET ROLE no_such_role", RowRefusedError),
        ("SET statement_timeout = 1; SELECT pg_sleep(1)", BatchTooLargeError),
        ("SET default_transaction_read_only = on; INSERT INTO things (id) VALUES (1)", DatabaseUnavailableError),
    ],
)
async def test_errors_are_told_apart_by_their_sqlstate(
    session: Session, table: str, statement: str, expected: type[DatabaseError]
) -> None:
    parts = statement.split("; ")
    for part in parts[:-1]:
        await session.execute(part)
    with pytest.raises(expected) as caught:
        await session.execute(parts[-1])
    assert type(caught.value) is expected
    assert caught.value.sqlstate is not None
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("08006", DatabaseUnavailableError),
        ("22021", RowRefusedError),
        ("23502", SchemaMismatchError),
        ("23503", TransactionConflictError),
        ("23505", DuplicateRowError),
        ("25006", DatabaseUnavailableError),
        ("28P01", SchemaMismatchError),
        ("3D000", SchemaMismatchError),
        ("40001", TransactionConflictError),
        ("40P01", TransactionConflictError),
        ("42501", SchemaMismatchError),
        ("42P01", SchemaMismatchError),
        ("53100", DatabaseUnavailableError),
        ("53200", BatchTooLargeError),
        ("53300", DatabaseUnavailableError),
        ("53400", BatchTooLargeError),
        ("54000", RowRefusedError),
        ("54001", RowRefusedError),
        ("55P03", TransactionConflictError),
        ("57014", BatchTooLargeError),
        ("57P01", DatabaseUnavailableError),
        ("57P03", DatabaseUnavailableError),
        ("XX000", DatabaseUnavailableError),
        (None, DatabaseUnavailableError),
    ],
)
def test_table_of_sqlstates(sqlstate: str | None, expected: type[DatabaseError]) -> None:
    assert error_for(sqlstate) is expected


def test_every_error_class_says_what_to_do() -> None:
    classes = DatabaseError.__subclasses__()
    assert len(classes) == 6
    for kind in classes:
        assert sum(issubclass(kind, axis) for axis in (RetryableError, PoisonError, FatalError)) == 1
        assert kind.__doc__


async def test_messages_show_no_values(session: Session, table: str) -> None:
    marker = "S3CRET"
    await session.execute("CREATE UNIQUE INDEX ON things (name)")
    await session.execute("INSERT INTO things (id, name) VALUES (1, $1)", marker)
    insert = f"INSERT INTO things (id, name) VALUES (2, '{marker}')"
    for statement in (insert, f"SELECT '{marker}'::int", f"SELECT '{marker}'::uuid"):
        with pytest.raises(PoisonError) as caught:
            await session.execute(statement)
        assert marker not in str(caught.value)


@pytest.mark.parametrize(
    "row",
    [
        (2**40, "a", None),
        (1, 5, None),
        (1, "\ud800", None),
        (1, "nul\x00", None),
        (1, "a", "{"),
        (1, "bad", None),
        (1,),
    ],
)
async def test_a_row_that_cannot_be_stored_is_refused_and_the_connection_lives(
    session: Session, table: str, row: tuple[object, ...]
) -> None:
    with pytest.raises(RowRefusedError):
        async with session.transaction():
            await session.copy(table, ("id", "name", "big"), [row])
    assert not session.is_closed
    assert await session.fetch_value("SELECT count(*) FROM things") == 0


async def test_copy_writes_rows_and_counts_them(session: Session, table: str) -> None:
    assert await session.copy(table, ("id", "name"), [(1, "a"), (2, None)]) == 2
    rows = await session.fetch("SELECT id, name FROM things ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [(1, "a"), (2, None)]


@pytest.mark.parametrize("bad", [0, 1234, 4999])
async def test_a_copy_names_the_row_that_the_driver_cannot_send(session: Session, table: str, bad: int) -> None:
    """No server has seen it, so that none can name it."""
    rows = [(2**64 if number == bad else number, "text") for number in range(5_000)]
    with pytest.raises(RowRefusedError) as refused:
        async with session.transaction():
            await session.copy(table, ("id", "name"), rows)
    assert (refused.value.sqlstate, refused.value.table, refused.value.line) == (None, table, bad + 1)


async def test_savepoint_undoes_only_its_part(session: Session, table: str) -> None:
    async with session.transaction():
        await session.execute("INSERT INTO things (id) VALUES (1)")
        with pytest.raises(DuplicateRowError):
            async with session.savepoint():
                await session.execute("INSERT INTO things (id) VALUES (2)")
                await session.execute("INSERT INTO things (id) VALUES (1)")
        async with session.savepoint():
            await session.execute("INSERT INTO things (id) VALUES (3)")
    assert [row["id"] for row in await session.fetch("SELECT id FROM things ORDER BY id")] == [1, 3]


async def test_a_poisoned_transaction_is_rolled_back_and_the_connection_lives(session: Session, table: str) -> None:
    with pytest.raises(DuplicateRowError):
        async with session.transaction():
            await session.execute("INSERT INTO things (id) VALUES (1)")
            await session.execute("INSERT INTO things (id) VALUES (1)")
    assert not session.is_closed
    assert await session.fetch_value("SELECT count(*) FROM things") == 0


async def test_cancelling_a_transaction_drops_the_connection_and_stays_a_cancellation(
    session: Session, table: str
) -> None:
    inside = asyncio.Event()

    async def hold() -> None:
        async with session.transaction():
            await session.execute("INSERT INTO things (id) VALUES (1)")
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert session.is_closed


def wide_rows() -> list[tuple[int, str]]:
    return [(number, WIDE) for number in range(MANY_ROWS)]


async def test_copy_ends_at_once_when_the_connection_is_lost(database: DatabaseSettings, table: str) -> None:
    """asyncpg alone would wait for ever: nothing wakes a COPY whose connection is lost while the socket is full."""
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
        through = database.model_copy(update={"database_url": type(database.database_url)(proxy.url)})
        session = await connect(through)
        proxy.stall()
        copying = asyncio.create_task(session.copy(table, ("id", "name"), wide_rows()))
        await proxy.stalled_bytes.wait()
        proxy.cut()
        # Long before the time-out of a minute.
        with pytest.raises(DatabaseUnavailableError, match="the connection was lost"):
            await asyncio.wait_for(copying, 20)
        assert session.is_closed
        await session.close()


async def test_copy_ends_in_time_when_the_server_falls_silent(database: DatabaseSettings, table: str) -> None:
    impatient = database.model_copy(update={"database_command_timeout_s": 1.0})
    async with TcpProxy.to_url(impatient.database_url.get_secret_value()) as proxy:
        through = impatient.model_copy(update={"database_url": type(impatient.database_url)(proxy.url)})
        session = await connect(through)
        proxy.stall()
        with pytest.raises(DatabaseUnavailableError, match="did not answer in time"):
            await asyncio.wait_for(session.copy(table, ("id", "name"), wide_rows()), 20)
        assert session.is_closed
        await session.close()


async def test_copy_can_be_cancelled(database: DatabaseSettings, table: str) -> None:
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
        through = database.model_copy(update={"database_url": type(database.database_url)(proxy.url)})
        session = await connect(through)
        proxy.stall()
        copying = asyncio.create_task(session.copy(table, ("id", "name"), wide_rows()))
        await proxy.stalled_bytes.wait()
        copying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(copying, 20)
        assert session.is_closed
        await session.close()


async def test_a_lost_connection_is_an_outage_whatever_asyncpg_calls_it(
    database: DatabaseSettings, session: Session
) -> None:
    async with await connect(database) as other:
        await other.execute("SELECT pg_terminate_backend($1)", await session.fetch_value("SELECT pg_backend_pid()"))
    with pytest.raises(DatabaseUnavailableError):
        await session.execute("SELECT 1")
    with pytest.raises(DatabaseUnavailableError):
        async with session.transaction():
            pass


async def test_nobody_listening_is_an_outage(database: DatabaseSettings) -> None:
    settings = DatabaseSettings.load(database_url="postgresql://someone:s3cret@127.0.0.1:1/x")
    with pytest.raises(DatabaseUnavailableError) as caught:
        await connect(settings)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgres//x", "localhost:5432/x", "postgresql://h:port/x", "postgresql://h/x?sslmode=bogus", "mysql://h/x"]
)
async def test_a_wrong_url_names_the_variable(url: str) -> None:
    with pytest.raises(SettingsError, match="ARC_EVAL_DATABASE_URL: cannot be used"):
        await connect(DatabaseSettings.load(database_url=url))


async def test_a_missing_database_stops_loudly(database_server: DatabaseSettings) -> None:
    with pytest.raises(SchemaMismatchError, match="3D000"):
        await connect(database_server.with_database(f"missing_{uuid.uuid4().hex}"))


async def test_sessions_have_their_limits(session: Session) -> None:
    for setting, expected in {
        "statement_timeout": "55s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "10s",
        "TimeZone": "UTC",
    }.items():
        assert await session.fetch_value("SELECT current_setting($1)", setting) == expected


def test_a_missing_url_names_the_variable_and_the_next_step() -> None:
    with pytest.raises(SettingsError, match=r"ARC_EVAL_DATABASE_URL is not set; .*arc-eval-db local up"):
        DatabaseSettings.load()


def test_a_wrong_setting_names_the_variable_and_not_the_value() -> None:
    with pytest.raises(SettingsError, match="ARC_EVAL_DATABASE_LOCK_TIMEOUT_MS") as caught:
        DatabaseSettings.load(database_url="postgresql://x", database_lock_timeout_ms="s3cret")
    assert "s3cret" not in str(caught.value)


def test_another_database_of_the_same_server() -> None:
    settings = DatabaseSettings.load(database_url="postgresql://u:p@h:5/one?sslmode=verify-full")
    assert (
        settings.with_database("two").database_url.get_secret_value() == "postgresql://u:p@h:5/two?sslmode=verify-full"
    )
    assert "p@h" not in repr(settings)


@pytest.mark.parametrize("error", [RuntimeError("the handler is closed"), AttributeError("'NoneType'... 'write'")])
def test_what_a_driver_says_on_a_connection_that_is_gone(error: Exception) -> None:
    """uvloop raises RuntimeError where asyncpg still writes to it; on an open connection it is a defect of ours."""

    class Connection:
        closed = True

        def is_closed(self) -> bool:
            return self.closed

    connection = Connection()
    with pytest.raises(DatabaseUnavailableError), translated_errors(connection):
        raise error
    connection.closed = False
    with pytest.raises(type(error)), translated_errors(connection):
        raise error
