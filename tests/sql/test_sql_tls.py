"""The way to the database: what a URL may ask for, and that a server has to prove who it is."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from arc_eval_db.database import DatabaseSettings, DatabaseUnavailableError, Session
from arc_eval_db.database.address import DatabaseAddress
from arc_eval_db.database.connecting import connection_arguments
from arc_eval_db.errors import SettingsError
from support.databases import connect
from support.tls import Authority, TlsServer

PASSWORD = "s3cret"  # what no message may show


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@localhost/x",
        "postgresql://u@LOCALHOST:5433/x?sslmode=disable",
        "postgres://u@127.0.0.1/x",
        "postgresql://u@127.1.2.3/x",
        "postgresql://u@[::1]:5433/x",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/x",
        "postgresql:///x",
        "postgresql:///x?host=/tmp",
        "postgresql:///x?host=localhost&port=5433",
        "postgresql://u@localhost,127.0.0.1:5433/x",
        "postgresql://u@db.example.com/x?sslmode=verify-full",
        "postgresql://u@db.example.com/x?sslmode=verify_full",
        "postgresql://u@one.example.com,two.example.com:5433/x?sslmode=verify-full",
        "postgresql:///x?host=db.example.com&sslmode=verify-full",
    ],
)
def test_a_protected_way_is_accepted(url: str) -> None:
    DatabaseSettings.load(database_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cret@db.example.com/x",
        "postgres://u:s3cret@db.example.com:5433/x?sslmode=require",
        "postgresql://u:s3cret@db.example.com/x?sslmode=verify-ca",
        "postgresql://u:s3cret@db.example.com/x?sslmode=prefer",
        "postgresql://u:s3cret@db.example.com/x?sslmode=disable",
        # The last of several counts, for asyncpg as for us.
        "postgresql://u:s3cret@db.example.com/x?sslmode=verify-full&sslmode=disable",
        "postgresql://u:s3cret@10.0.0.7/x",
        "postgresql://u:s3cret@[2001:db8::1]/x",
        "postgresql://u:s3cret@localhost,db.example.com/x",
        "postgresql://u:s3cret@localhost.example.com/x",
        "postgresql://u:s3cret@127.0.0.1.example.com/x",
        "postgresql://u:s3cret@localhost%2Cdb.example.com/x",
        "postgresql://u:s3cret@db%2Eexample.com/x",
        "postgresql:///x?host=db.example.com&password=s3cret",
        "postgresql:///x?host=localhost,db.example.com&password=s3cret",
    ],
)
def test_an_unprotected_way_is_refused_unless_that_is_waived(url: str) -> None:
    with pytest.raises(SettingsError, match=r"ARC_EVAL_DATABASE_URL: .*sslmode=verify-full") as caught:
        DatabaseSettings.load(database_url=url)
    assert "ARC_EVAL_DATABASE_ALLOW_INSECURE=true" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    DatabaseSettings.load(database_url=url, database_allow_insecure=True)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:s3cret@localhost/x",
        "s3cret",
        "postgresql://u:s3cret@h@localhost/x",
        "postgresql://u:s3cret#1@localhost/x",
        "postgresql://u:s3cret/1@localhost/x",
        "postgresql://u:s3cret?1@localhost/x",
        "postgresql://u:s3cret]@localhost/x",
        "postgresql://u:s3cret@localhost:port/x",
        "postgresql://u:s3cret@localhost:0/x",
        "postgresql://u:s3cret@localhost:70000/x",
        "postgresql://u:s3cret@localhost,/x",
        "postgresql://u:s3cret@[::1/x",
        "postgresql://u:s3cret@[::g]/x",
        "postgresql://u:s3cret@localhost/x?sslmode=s3cret",
        "postgresql://u:s3cret@localhost/x?s3cret",
        "postgresql://u:s3cret@localhost/x?host=db.example.com",
        "postgresql://u:s3cret@localhost/x?port=5433",
        "postgresql:///x?host=localhost&port=5432,5433",
        "postgresql://u:s3cret@localhost/x?service=s3cret",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^ARC_EVAL_DATABASE_URL: cannot be used: ") as caught:
        DatabaseSettings.load(database_url=url)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "hosts", "ports"),
    [
        ("postgresql://u@h:5433/x", ("h",), (5433,)),
        ("postgresql://u@one,two:7/x", ("one", "two"), (5432, 7)),
        ("postgresql://[::1]:7/x", ("::1",), (7,)),
        ("postgresql://[::1]/x", ("::1",), (5432,)),
        ("postgresql://%2Ftmp/x", ("/tmp",), (5432,)),
        ("postgresql:///x?host=one,two&port=7", ("one", "two"), (7, 7)),
        ("postgresql:///x?host=one,two&port=7,8", ("one", "two"), (7, 8)),
    ],
)
def test_where_a_url_leads(url: str, hosts: tuple[str, ...], ports: tuple[int, ...]) -> None:
    address = DatabaseAddress.parse(url)
    assert (address.hosts, address.ports) == (hosts, ports)


def test_a_file_of_certificates_that_cannot_be_read_names_the_variable(tmp_path: Path) -> None:
    url = "postgresql://u:s3cret@db.example.com/x?sslmode=verify-full"
    for file in (tmp_path / "none.pem", tmp_path):
        settings = DatabaseSettings.load(database_url=url, database_ssl_cafile=str(file))
        with pytest.raises(SettingsError, match=r"^ARC_EVAL_DATABASE_SSL_CAFILE: the certificates cannot be read"):
            connection_arguments(settings, application_name="tests")
    (tmp_path / "empty.pem").write_text("nothing")
    settings = DatabaseSettings.load(database_url=f"{url}&sslrootcert={tmp_path}/empty.pem")
    with pytest.raises(SettingsError, match=r"^ARC_EVAL_DATABASE_URL: the certificates cannot be read"):
        connection_arguments(settings, application_name="tests")


def test_the_system_s_certificates_are_trusted_where_none_are_named() -> None:
    url = "postgresql://u@db.example.com/x?sslmode=verify-full"
    for query in ("", "&sslrootcert=system"):
        context = connection_arguments(DatabaseSettings.load(database_url=url + query), application_name="tests")["ssl"]
        assert context.check_hostname
        assert context.verify_mode.name == "CERT_REQUIRED"
        assert context.minimum_version.name == "TLSv1_2"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def url(database: DatabaseSettings) -> str:
    return database.database_url.get_secret_value()


def trusting(server: TlsServer, authority: Authority, **query: str) -> DatabaseSettings:
    return DatabaseSettings.load(database_url=server.url(**query), database_ssl_cafile=str(authority.file))


@pytest.mark.database
async def test_connecting_over_tls(url: str, authority: Authority) -> None:
    async with TlsServer(url, authority.issue("localhost")) as server:
        async with await connect(trusting(server, authority)) as session:
            await session.execute("CREATE TABLE things (name text)")
            # More than one TLS record and more than a socket holds.
            assert await session.copy("things", ("name",), [("x" * 1000,)] * 5000) == 5000
            assert await session.fetch_value("SELECT count(*) FROM things") == 5000
        assert (server.handshakes, server.plain) == (1, 0)


@pytest.mark.database
async def test_the_url_may_name_the_certificates(url: str, authority: Authority, tmp_path: Path) -> None:
    async with TlsServer(url, authority.issue("localhost")) as server:
        query = f"sslmode=verify-full&sslrootcert={authority.file}"
        # What the URL says goes first.
        settings = DatabaseSettings.load(database_url=server.url(query=query), database_ssl_cafile="/nowhere")
        async with await connect(settings) as session:
            assert await session.fetch_value("SELECT 1") == 1


@pytest.mark.database
async def test_the_environment_of_libpq_weakens_nothing(
    url: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", "disable")
    monkeypatch.setenv("PGHOST", "db.example.com")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGSSLROOTCERT", "/nowhere")
    async with TlsServer(url, authority.issue("localhost")) as server:
        async with await connect(trusting(server, authority)) as session:
            assert await session.fetch_value("SELECT 1") == 1
        assert (server.handshakes, server.plain) == (1, 0)
    arguments = connection_arguments(DatabaseSettings.load(database_url="postgresql:///x"), application_name="tests")
    assert "db.example.com" not in arguments["host"]
    assert set(arguments["port"]) == {5432}


@pytest.mark.database
async def test_a_certificate_of_our_own_can_be_shown(url: str, authority: Authority) -> None:
    ours = authority.issue("client")
    async with TlsServer(url, authority.issue("localhost"), clients=authority) as server:
        query = f"sslmode=verify-full&sslcert={ours.file}&sslkey={ours.key}"
        async with await connect(trusting(server, authority, query=query)) as session:
            assert await session.fetch_value("SELECT 1") == 1
        with pytest.raises(DatabaseUnavailableError):
            await connect(trusting(server, authority))
    query = f"sslmode=verify-full&sslcert={ours.file}.missing"
    lacking = DatabaseSettings.load(database_url=f"postgresql://localhost/x?{query}")
    assert "ARC_EVAL_DATABASE_URL: the certificates cannot be read: No such file" in await refusal(lacking)


@pytest.mark.database
async def test_tls_from_the_first_byte(url: str, authority: Authority) -> None:
    async with TlsServer(url, authority.issue("localhost"), direct=True) as server:
        query = "sslmode=verify-full&sslnegotiation=direct"
        async with await connect(trusting(server, authority, query=query)) as session:
            assert await session.fetch_value("SELECT 1") == 1


async def test_what_only_asyncpg_knows_to_be_wrong_names_the_variable() -> None:
    settings = DatabaseSettings.load(database_url="postgresql://u:s3cret@localhost/x?target_session_attrs=s3cret")
    assert "ARC_EVAL_DATABASE_URL: cannot be used" in await refusal(settings)


async def refusal(settings: DatabaseSettings) -> str:
    with pytest.raises(SettingsError) as caught:
        await connect(settings)
    password = urlsplit(settings.database_url.get_secret_value()).password or PASSWORD
    assert password not in str(caught.value)
    return str(caught.value)


@pytest.mark.database
async def test_a_certificate_of_another_authority_is_refused(url: str, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    async with TlsServer(url, other.issue("localhost")) as server:
        message = await refusal(trusting(server, authority))
        assert "the server's certificate was refused: " in message
        assert "ARC_EVAL_DATABASE_SSL_CAFILE" in message
        # Nor do the system's authorities know it.
        assert "was refused" in await refusal(DatabaseSettings.load(database_url=server.url()))
        assert server.plain == 0, "it was tried again without TLS"


@pytest.mark.database
async def test_a_certificate_for_another_host_is_refused(url: str, authority: Authority) -> None:
    async with TlsServer(url, authority.issue("db.example.com")) as server:
        assert "Hostname mismatch" in await refusal(trusting(server, authority))
        assert "IP address mismatch" in await refusal(trusting(server, authority, host="127.0.0.1"))
        # verify-ca asks for the authority alone; off this machine it has to be allowed.
        async with await connect(trusting(server, authority, query="sslmode=verify-ca")) as session:
            assert await session.fetch_value("SELECT 1") == 1
        assert server.plain == 0, "it was tried again without TLS"


@pytest.mark.database
async def test_an_expired_certificate_is_refused(url: str, authority: Authority) -> None:
    async with TlsServer(url, authority.issue("localhost", days=-1)) as server:
        assert "certificate has expired" in await refusal(trusting(server, authority))
        assert server.plain == 0, "it was tried again without TLS"


@pytest.mark.database
async def test_a_server_without_tls_is_refused(database: DatabaseSettings, session: Session) -> None:
    if await session.fetch_value("SELECT current_setting('ssl') = 'on'"):
        pytest.skip("this server offers TLS")
    url = database.database_url.get_secret_value()
    demanding = database.model_copy(update={"database_url": type(database.database_url)(f"{url}?sslmode=verify-full")})
    assert "sslmode demands TLS and the server offers none; nothing was sent to it" in await refusal(demanding)


@pytest.mark.database
async def test_a_waived_connection_may_be_encrypted_without_proof(url: str, authority: Authority) -> None:
    """`require` as libpq has it: encrypted, whoever it is. Here on this machine, where nothing need be waived."""
    async with TlsServer(url, authority.issue("db.example.com")) as server:
        async with await connect(DatabaseSettings.load(database_url=server.url(query="sslmode=require"))) as session:
            assert await session.fetch_value("SELECT 1") == 1
        assert server.handshakes == 1
