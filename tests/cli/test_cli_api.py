"""`arc-eval-db api`: tokens, and a server as a process."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable

import httpx
import pytest
from click.testing import CliRunner, Result

from arc_eval_db.cli.api import DashboardsMissingError
from arc_eval_db.cli.commands import cli
from arc_eval_db.cli.identity import this_user
from arc_eval_db.dashboards.api.tokens import revoke_token
from arc_eval_db.database import DatabaseSettings, Session
from support.api import bearer, make_token, serving_process
from support.scripts import imported_with_all_commands

pytestmark = pytest.mark.database

Command = Callable[..., Result]


@pytest.fixture
def run(database: DatabaseSettings) -> Command:
    """Runs `api` with these arguments."""
    environment = {"ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value()}

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["api", *arguments], env=environment)

    return invoke


def test_tokens(run: Command) -> None:
    assert "no tokens; make one" in run("token", "list").stdout
    made = run("token", "create", "--scope", "read", "--name", "grafana")
    assert made.exit_code == 0
    token = made.stdout.strip()
    assert made.stdout == f"{token}\n", "nothing else: it can be kept by a script"
    assert f"arc-eval-db api token revoke {token[5:17]}" in made.stderr
    (listed,) = json.loads(run("token", "list", "--json").stdout)["tokens"]
    assert (listed["id"], listed["scope"], listed["state"], listed["created_by"]) == (
        *(token[5:17], "read", "active"),
        this_user(),
    )
    assert listed["expires_at"] is not None
    for shown in (run("token", "list").stdout, json.dumps(listed)):
        assert token[18:] not in shown
    revoked = run("token", "revoke", token[5:17], "--by", "ann")
    assert revoked.stdout == f"revoked {token[5:17]} (grafana)\n"
    assert "revoked" in run("token", "list").stdout
    unknown = run("token", "revoke", "x")
    assert (unknown.exit_code, "arc-eval-db api token list" in unknown.stderr) == (1, True)


def test_lifetimes(run: Command) -> None:
    def made(*options: str) -> Result:
        return run("token", "create", "--scope", "admin", "--name", "ci", "--json", *options)

    assert json.loads(made("--never-expires").stdout)["expires_at"] is None
    token = json.loads(made("--expires", "2w").stdout)
    assert token["expires_at"] > token["created_at"]
    for bad in ("0d", "never", "5", "-1d", "9999d"):
        assert made("--expires", bad).exit_code == 2
    assert "contradict" in made("--expires", "1d", "--never-expires").output


def test_names_are_shown_and_do_nothing(run: Command) -> None:
    refused = run("token", "create", "--scope", "read", "--name", "a\x1b[31m")
    assert (refused.exit_code, "characters that can be printed" in refused.stderr) == (1, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0 can be reached from other machines"),
        (["--allowed-host", "api.test"], "with --allowed-host others may be let through"),
    ],
)
def test_without_a_token_nobody_else_is_served(run: Command, options: list[str], said: str) -> None:
    result = run("serve", "--port", "0", *options)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "make one first: arc-eval-db api token create --scope admin --name NAME" in result.stderr


def test_addresses_that_cannot_be_listened_on(run: Command, database: DatabaseSettings) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("serve", "--port", str(taken.getsockname()[1]))
    assert (result.exit_code, "name another with --port" in result.stderr) == (1, True)


def test_what_is_missing_is_said(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "fastapi" else real(name, *rest)
    )
    result = run("serve")
    assert (result.exit_code, "pip install 'arc-eval-db[dashboards]'" in result.stderr) == (1, True)
    assert "arc-eval-db[dashboards]" in str(DashboardsMissingError())


def test_the_command_line_starts_without_the_web_framework() -> None:
    assert imported_with_all_commands("click", "fastapi", "starlette", "uvicorn", "scipy") == ["click"]


async def test_an_open_server_says_so(database: DatabaseSettings, session: Session) -> None:
    said = "make one: arc-eval-db api token create --scope admin --name NAME"
    for is_open in (True, False):
        async with serving_process(database) as (process, _):
            process.send_signal(signal.SIGTERM)
            _, errors = await asyncio.wait_for(process.communicate(), 30)
        lines = errors.decode().splitlines()
        assert any(line.startswith("warning: there is no token") and said in line for line in lines) is is_open
        assert any("api_open_to_anybody" in line for line in lines) is is_open
        if is_open:
            token = await make_token(session)
            await revoke_token(session, token[5:17], by="ann")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_server(database: DatabaseSettings, session: Session, number: signal.Signals) -> None:
    token = await make_token(session)
    async with (
        serving_process(database) as (process, url),
        httpx.AsyncClient(base_url=url, transport=httpx.AsyncHTTPTransport(retries=5)) as client,
    ):
        refused = await client.get("/v1/audit", headers={"X-Forwarded-For": "10.0.0.1"})
        assert (refused.status_code, "server" in refused.headers) == (401, False)
        answered = await client.post("/v1/configurations", json={"name": "a/b"}, headers=bearer(token))
        assert (answered.status_code, answered.headers["location"]) == (201, "/v1/configurations/a%2Fb")
        found = await client.get(answered.headers["location"], headers=bearer(token))
        assert found.json()["name"] == "a/b"
        process.send_signal(number)
        _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, errors
    assert token[18:] not in errors.decode()
