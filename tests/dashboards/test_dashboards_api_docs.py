"""docs/api.md: its curl examples run against a server of its own, and its tables are complete."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from arc_eval_db.dashboards.api.app import create_app
from arc_eval_db.dashboards.api.database import ApiDatabase
from arc_eval_db.dashboards.api.openapi import operations
from arc_eval_db.dashboards.api.problems import Kind
from arc_eval_db.dashboards.api.settings import ApiSettings
from arc_eval_db.database import DatabaseSettings, Session
from support.api import make_token, serving_process
from support.servers import missing

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text()


@pytest.mark.database
async def test_the_curl_examples_run(database: DatabaseSettings, session: Session) -> None:
    if shutil.which("curl") is None:
        missing("curl", "curl is not installed")
    (script,) = re.findall(r"^```sh curl\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    token = await make_token(session)
    async with serving_process(database) as (_, url):
        shell = await asyncio.create_subprocess_exec(
            *("sh", "-euc", script.replace("curl -sS", "curl --fail-with-body -w '\\n' -sS")),
            env={**os.environ, "API": url, "TOKEN": token},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await asyncio.wait_for(shell.communicate(), 60)
    assert shell.returncode == 0, output + errors
    created, added, diff, moved, audit = map(json.loads, output.decode().splitlines())
    assert created["configuration"]["labels"] == {"production": 1}
    assert added["version"]["reference"] == "careful@2"
    assert [change["place"] for change in diff["changes"]] == ["$.temperature"]
    assert (moved["previous_number"], moved["number"]) == (1, 2)
    assert [entry["action"] for entry in audit["items"]] == ["labelled", "version_added"]


def test_every_problem_is_in_the_table() -> None:
    for kind in Kind:
        assert f"`{kind.type.rpartition(':')[2]}`" in PAGE
        assert re.search(rf"^\| (\d+, )?{kind.status}(, \d+)? \|", PAGE, re.MULTILINE)


def test_every_address_is_in_the_table() -> None:
    nowhere = ApiDatabase(DatabaseSettings.load(database_url="postgresql://localhost/none"))
    for _, path in operations(create_app(ApiSettings(), nowhere).openapi()):
        known = path.replace("{selector}", "{3, label or latest}").replace("/labels/{label}", "/labels`, `…/{label}")
        assert f"`{known}`" in PAGE or f"`{known}?" in PAGE, path
