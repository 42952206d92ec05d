"""`arc-eval-db config`: what it takes, says and prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
from click.testing import CliRunner, Result

from arc_eval_db.cli import config_output
from arc_eval_db.cli.commands import cli
from arc_eval_db.cli.identity import this_user
from arc_eval_db.configurations import differences
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.schemas import ids
from support.roles import ROLES, as_role

pytestmark = pytest.mark.database

Command = Callable[..., Result]

YAML = "name: careful\nmodel: m1\ntemperature: 0.2\ntools: [a, b]\n"
CONTENT = {"name": "careful", "model": "m1", "temperature": 0.2, "tools": ["a", "b"]}


@pytest.fixture
def run(database: DatabaseSettings) -> Command:
    """Runs `config` with these arguments."""
    environment = {"ARC_EVAL_DATABASE_URL": database.database_url.get_secret_value()}

    def invoke(*arguments: object, given: str | bytes | None = None, **variables: str) -> Result:
        return CliRunner().invoke(cli, ["config", *map(str, arguments)], env=environment | variables, input=given)

    return invoke


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    """A file with the first version."""
    path = tmp_path / "agent.yaml"
    path.write_text(YAML)
    return path


def document(result: Result, exit_code: int = 0) -> Any:
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def failed(result: Result, message: str, exit_code: int = 1) -> None:
    assert (result.exit_code, message in result.output) == (exit_code, True), result.output


def test_push(run: Command, agent: Path) -> None:
    dry = document(run("push", agent, "--dry-run", "--json"))
    assert (dry["dry_run"], dry["version"]["reference"]) == (True, "careful@1")
    assert document(run("list", "--json")) == {"configurations": [], "next_after": None}
    pushed = document(run("push", agent, "--label", "candidate", "--by", "ann", "--json"))
    assert pushed["version"] == {
        **pushed["version"],
        "id": str(ids.configuration_version_id(CONTENT)),
        "configuration": "careful",
        "number": 1,
        "content": CONTENT,
        "labels": ["candidate"],
        "created_by": "ann",
    }
    again = run("push", "-", given=json.dumps(CONTENT))
    assert again.stdout == f"careful@1  {ids.configuration_version_id(CONTENT)}  there already, labelled candidate\n"
    other = document(run("push", agent, "--name", "bold", "--json"))["version"]
    assert (other["reference"], other["created_by"]) == ("bold@1", this_user())
    failed(run("push", "-", "--name", "careful", "--expected-revision", 1, given="a: 1"), "was changed meanwhile")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("model: m1\n", '- has no text under "name"; say which configuration it is: --name NAME'),
        ("name: 5\n", '- has no text under "name"'),
        ("name: careful\na: !!python/name:os.system x\n", "<stdin>:2:4: tags such as"),
        ("name: careful\na: [1, .nan]\n", "<stdin>:2:8: numbers must be finite"),
    ],
)
def test_what_is_not_pushed(run: Command, given: str, message: str) -> None:
    result = run("push", "-", given=given)
    failed(result, f"arc-eval-db: {message}")
    assert result.stdout == "", "errors are on standard error, once"
    assert result.output.count("\n") == 1


def test_a_new_configuration_is_said_to_be_one(run: Command, agent: Path) -> None:
    """A misspelt name is seen at once."""
    assert run("push", agent).stdout.endswith("  new, the first of a new configuration\n")
    assert run("push", "-", "--name", "careful", given="a: 1").stdout.endswith("  new\n")
    assert document(run("push", agent, "--name", "carefull", "--json"))["created_configuration"]
    assert not document(run("push", agent, "--json"))["created_configuration"]
    for name in (".", "..", " ", "a\x9b", "a\u202e"):
        failed(run("push", agent, "--name", name), "is no name to give a configuration")


def test_info_and_describe(run: Command, agent: Path) -> None:
    run("push", agent, "--label", "candidate")
    assert run("describe", "careful", "for the grid", "--expected-revision", 1).exit_code == 1
    revision = document(run("info", "careful", "--json"))["revision"]
    described = run("describe", "careful", "for the grid", "--expected-revision", revision)
    assert described.stdout == "careful is described\n"
    shown = dict(line.split(maxsplit=1) for line in run("info", "careful").stdout.splitlines())
    assert shown == {
        **shown,
        "name": "careful",
        "description": "for the grid",
        "revision": str(revision + 1),
        "latest": "1",
        "labels": "candidate=1",
        "schema": "none",
        "archived": "no",
    }
    failed(run("info", "bold"), "there is no configuration bold")
    failed(run("describe", "bold", "x"), "there is no configuration bold")


def test_files_that_are_none(run: Command, tmp_path: Path) -> None:
    failed(run("push", tmp_path / "none.yaml"), "none.yaml: No such file or directory")
    failed(run("push", tmp_path), 'Is a directory; name a YAML or JSON file, or "-" for standard input')


@pytest.mark.parametrize(
    ("arguments", "message", "exit_code"),
    [
        (["list", "--after", "\udcff"], "after: neither NUL nor half a surrogate pair is in any text", 1),
        (["search", "\x00"], "text: neither NUL", 1),
        (["search", "--label", "\x00"], "label: neither NUL", 1),
        (["audit", "\x00"], "name: neither NUL", 1),
        (["audit", "--before", 2**63], "is not in the range", 2),
        (["history", "careful", "--before", 3_000_000_000], "is not in the range", 2),
        (["deployments", "--before", 10**20], "is not in the range", 2),
        (["deployments", "--deployment", "\x00"], "deployment: neither NUL", 1),
        (["deployments", "--since", "1d", "--until", "2d"], "must be before --until", 2),
        (["describe", "careful", "\x00"], "description: neither NUL", 1),
    ],
)
def test_what_the_database_could_not_take_is_refused_before_it(
    run: Command, arguments: list[object], message: str, exit_code: int
) -> None:
    failed(run(*arguments), message, exit_code)


def test_the_last_moment_there_is_can_be_asked_about(run: Command, agent: Path) -> None:
    run("push", agent)
    run("deploy", "careful", "--deployment", "ap-1", "--environment", "main")
    found = document(run("deployments", "--at", "9999-12-31T23:59:59.999999Z", "--json"))["deployments"]
    assert [one["configuration"] for one in found] == ["careful"]


def test_create_list_search_show_and_history(run: Command, agent: Path) -> None:
    assert run("list").stdout == "no configurations\n"
    assert run("create", "bold", "--description", "does not ask").stdout == "created bold, without a version\n"
    assert document(run("create", "shy", "--json")) == {"configuration": "shy", "version": None}
    assert run("create", "careful", agent, "--label", "production", "--by", "ann").exit_code == 0
    failed(run("create", "careful"), "there is a configuration careful already")
    failed(run("history", "other"), "there is no configuration other; those that are: arc-eval-db config list")
    assert run("history", "bold").stdout == "no versions\n"
    lines = [line.split() for line in run("list").stdout.splitlines()]
    assert [line[0] for line in lines] == ["name", "bold", "careful", "shy"]
    assert lines[2][1:3] == ["1", "production=1"]
    first = run("list", "--limit", 1)
    assert "there are more: --after bold shows the next page" in first.stderr
    assert "there are more" not in first.stdout
    assert run("list", "--limit", 3).stderr == ""
    assert document(run("list", "--limit", 1, "--json"))["next_after"] == "bold"
    assert document(run("list", "--json"))["next_after"] is None
    for conditions in (("care",), ("--label", "production"), ("--containing", '{"model": "m1"}')):
        found = document(run("search", *conditions, "--json"))["configurations"]
        assert [one["name"] for one in found] == ["careful"], conditions
    for wrong in ("{", "[1]", '{"a": 1, "a": 1}', '{"a":' * 10_000, "nan"):
        failed(run("search", "--containing", wrong), "--containing:1:", exit_code=2)
    shown = run("show", "careful@production").stdout
    assert "version  careful@1" in shown
    assert '"tools": [' in shown
    assert document(run("show", "careful", "--json"))["content"] == CONTENT
    assert "content" not in document(run("history", "careful", "--json"))["versions"][0]
    assert run("history", "careful").stdout.splitlines()[1].split()[-2:] == ["ann", "production"]


def test_labels_and_the_audit_trail(run: Command, agent: Path) -> None:
    run("push", agent, "--label", "production", "--by", "ann")
    run("push", "-", "--name", "careful", "--by", "ann", given="a: 1")
    assert run("label", "careful@2", "production", "--by", "bob").stdout == "careful@production is 2, was on 1\n"
    assert document(run("label", "careful", "best", "--json"))["number"] == 2
    assert run("unlabel", "careful", "best").stdout == "careful has no label best; it was on 2\n"
    assert document(run("unlabel", "careful", "best", "--json"))["previous_number"] is None
    failed(run("label", "careful", "3"), "'3' is no label")
    entries = document(run("audit", "careful", "--json"))["entries"]
    assert [(entry["action"], entry["actor"]) for entry in reversed(entries)][:5] == [
        ("created", "ann"),
        ("version_added", "ann"),
        ("labelled", "ann"),
        ("version_added", "ann"),
        ("labelled", "bob"),
    ]
    assert "label production, previous_number 1" in run("audit").stdout
    page = run("audit", "careful", "--limit", 2)
    assert f"there are more: --before {entries[1]['id']} shows the next page" in page.stderr
    assert document(run("audit", "careful", "--limit", 2, "--json"))["next_before"] == entries[1]["id"]
    assert document(run("audit", "--limit", len(entries), "--json"))["next_before"] is None
    history = run("history", "careful", "--limit", 1)
    assert "there are more: --before 2 shows the next page" in history.stderr
    assert document(run("history", "careful", "--limit", 1, "--json"))["next_before"] == 2
    assert run("history", "careful", "--before", 2, "--limit", 1).stderr == ""
    failed(run("label", "careful@1", "x", "--by", "a\nb"), "can be printed", exit_code=2)


def test_diff(run: Command, agent: Path, tmp_path: Path) -> None:
    run("push", agent, "--label", "production")
    after = {"temperature": 0.70, "name": "careful", "tools": ["b"], "model": "m1", "seed": 1.0}
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(after))
    assert run("diff", "careful@1", "careful@production").stdout == "no difference\n"
    assert run("diff", agent, "careful").stdout == "no difference\n"
    paths = run("diff", "careful@1", changed)
    assert paths.stdout == '+ $.seed: 1\n~ $.temperature: 0.2 -> 0.7\n- $.tools[0]: "a"\n'
    assert run("diff", "careful@1", changed, "--exit-code").exit_code == 3
    assert run("diff", "careful@1", agent, "--exit-code").exit_code == 0
    text = run("diff", "careful@1", changed, "--format", "text").stdout.splitlines()
    assert text[:2] == ["--- careful@1", f"+++ {changed}"]
    assert '-  "temperature": 0.2,' in text
    patch = document(run("diff", agent, changed, "--format", "patch"))
    assert jsonpatch.apply_patch(CONTENT, patch) == after
    changes = document(run("diff", "careful", "-", "--json", given='{"name": "x"}'))["changes"]
    assert [(change["kind"], change["place"]) for change in changes] == [
        ("removed", "$.model"),
        ("changed", "$.name"),
        ("removed", "$.temperature"),
        ("removed", "$.tools"),
    ]
    failed(run("diff", "careful@1", "careful@2"), "careful has no version 2; its latest is 1")
    other = tmp_path / "agent.conf"
    failed(run("diff", "careful", other), "those that are: arc-eval-db config list\n")
    other.write_text("a: 1")
    failed(run("diff", "careful", other), "is a file, but those are known by .yaml, .yml, .json: give it as")


def test_a_terminal_sees_colours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    monkeypatch.setattr(config_output, "console", lambda: Console(force_terminal=True, color_system="standard"))
    config_output.print_changes(differences({"a": 1, "b": "\x1b[31m"}, {"a": 2}))
    config_output.print_text_diff(["-a", "+b"])
    shown = capsys.readouterr().out
    assert "\x1b[31m1\x1b[0m" in shown
    assert "\x1b[32m2\x1b[0m" in shown
    assert "\\u001b[31m" in shown, "and what a content holds steers nothing"
    assert "\x1b[31m-a\x1b[0m" in shown


def test_schemas(run: Command, agent: Path, tmp_path: Path) -> None:
    run("push", agent)
    schema = tmp_path / "schema.yaml"
    schema.write_text("properties:\n  temperature: {type: number}\n")
    assert run("schema", "show", "careful").stdout == "careful has no schema; any content fits\n"
    assert run("schema", "set", "careful", schema).stdout == "careful has a schema\n"
    shown = document(run("schema", "show", "careful", "--json"))
    assert shown == {"configuration": "careful", "schema": {"properties": {"temperature": {"type": "number"}}}}
    assert json.loads(run("schema", "show", "careful").stdout) == shown["schema"]
    failed(
        run("push", "-", given="name: careful\ntemperature: hot\n"),
        "the content does not fit the schema of careful: $.temperature: must be of type number, and is text; "
        "the schema: arc-eval-db config schema show careful",
    )
    assert run("schema", "clear", "careful").stdout == "careful has no schema\n"
    assert run("push", "-", given="name: careful\ntemperature: hot\n").exit_code == 0
    schema.write_text("$ref: https://example.com/x.json\n")
    failed(run("schema", "set", "careful", schema, "--json"), "others are never fetched")


def test_archiving(run: Command, agent: Path) -> None:
    run("push", agent)
    assert run("archive", "careful").stdout == "careful is archived\n"
    assert run("list").stdout == "no configurations\n"
    assert "archived; " in run("list", "--archived").stdout
    assert not run("info", "careful").stdout.endswith("no\n")
    failed(run("unarchive", "careful", "--expected-revision", 1), "was changed meanwhile")
    failed(run("push", agent, "--label", "x"), "first: arc-eval-db config unarchive careful")
    assert document(run("unarchive", "careful", "--json")) == {"configuration": "careful", "archived": False}
    assert run("push", agent, "--label", "x").exit_code == 0


def test_deployments(run: Command, agent: Path) -> None:
    run("push", agent, "--label", "production")
    run("push", "-", "--name", "careful", given="a: 1")
    where = ("--deployment", "ap-1", "--environment", "main")
    assert run("deployments").stdout == "no deployments\n"
    assert run("deploy", "careful@production", *where).stdout == "careful@production is now in ap-1 (main)\n"
    assert document(run("deploy", "careful@1", *where, "--json")) == {"deployed": False}
    assert run("deploy", "careful", *where, "--replace").exit_code == 0
    found = document(run("deployments", "--deployment", "ap-1", "--json"))["deployments"]
    assert [(one["number"], one["undeployed_at"] is None) for one in found] == [(2, True), (1, False)]
    assert document(run("deployments", "--at", "1d", "--json")) == {"deployments": [], "next_before": None}
    page = document(run("deployments", "--limit", 1, "--json"))
    assert page["next_before"] == page["deployments"][0]["id"]
    assert "there are more: --before" in run("deployments", "--limit", 1).stderr
    assert len(document(run("deployments", "--since", "1d", "--json"))["deployments"]) == 2
    assert len(document(run("deployments", "--current", "--json"))["deployments"]) == 1
    table = run("deployments", "--configuration", "careful").stdout.splitlines()
    assert table[1].split()[1:4] == ["ap-1", "main", "careful@2"]
    assert run("undeploy", "careful", *where).stdout == "left ap-1 (main): 2\n"
    assert run("undeploy", "careful", *where).stdout == "nothing of it was in ap-1 (main)\n"
    failed(run("deployments", "--at", "1d", "--since", "2d"), "give either", exit_code=2)
    failed(run("deploy", "careful"), "Missing option '--deployment'", exit_code=2)


async def test_who_may_not_change_is_told(run: Command, agent: Path, database: DatabaseSettings) -> None:
    import asyncio

    url = (await as_role(database, ROLES[0])).database_url.get_secret_value()
    result = await asyncio.to_thread(run, "push", agent, "--label", "x", ARC_EVAL_DATABASE_URL=url)
    failed(result, "permission denied")
