"""YAML and JSON as configurations: what is taken means one thing, and what is hostile is refused while it is read."""

from __future__ import annotations

import doctest
import json
import tracemalloc
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
import yaml
from hypothesis import given

from arc_eval_db.configurations import Content, DocumentError, read_document, read_stream, yaml_scalars, yaml_text
from arc_eval_db.configurations import json_text as json_module
from arc_eval_db.configurations.content import CONTENT_BYTES_MAX, DEPTH_MAX
from arc_eval_db.configurations.yaml_text import ALIASES_MAX, NODES_MAX, YamlReader
from support.contents import contents

NESTED = 10_000


def refused(document: str | bytes, source: str = "agent.yaml") -> str:
    raw = document.encode() if isinstance(document, str) else document
    with pytest.raises(DocumentError) as caught:
        read_document(raw, source)
    return str(caught.value)


def test_yaml_is_taken_as_its_core_schema_says() -> None:
    document = """
# a comment
name: careful
model: {id: m1, temperature: 0.20, top_p: 1.0, seed: 0x1F, mode: 0o14}
strict: true
approve: no
answers: [yes, on, off, y, NO, ~, null, "null", 'true', 1e3, +7, -0.5, .5]
times: [12:30:45, 2026-11-23, 1_000, 1.2.3]
empty:
prompt: |
  Be careful.
  Ask first.
defaults: &defaults {retries: 2}
tools:
  - *defaults
"""
    assert read_document(document.encode(), "agent.yaml") == {
        "name": "careful",
        "model": {"id": "m1", "temperature": 0.2, "top_p": 1.0, "seed": 31, "mode": 12},
        "strict": True,
        "approve": "no",
        "answers": ["yes", "on", "off", "y", "NO", None, None, "null", "true", 1000.0, 7, -0.5, 0.5],
        "times": ["12:30:45", "2026-11-23", "1_000", "1.2.3"],
        "empty": None,
        "prompt": "Be careful.\nAsk first.\n",
        "defaults": {"retries": 2},
        "tools": [{"retries": 2}],
    }


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", "agent.yaml:2:4: tags such as"),
        ("a: !!str 5", "agent.yaml:1:4: tags such as"),
        ("a: ! 5", "agent.yaml:1:4: tags such as !"),
        ("%TAG ! tag:example.com,2000:\n---\na: 1\n", "agent.yaml:1:1: tags are not taken"),
        ("a: 1\nb: 2\na: 3\n", "agent.yaml:3:1: the key 'a' stands twice; keep one"),
        ("a: 1\n2: x\n", "agent.yaml:2:1: a key must be text, and this is a number; quote it"),
        ("true: x\n", "agent.yaml:1:1: a key must be text, and this is true or false"),
        ("~: x\n", "agent.yaml:1:1: a key must be text, and this is null"),
        ("? [a]\n: x\n", "agent.yaml:1:3: a key must be text"),
        ("a: &x b\n*x : 1\n", "agent.yaml:2:1: a key must be text, and no alias"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "agent.yaml:3:3: merge keys (<<) are not taken; write the keys out"),
        ("a: 1\n---\nb: 2\n", "agent.yaml:2:1: a second document begins here"),
        ("a: 012\n", "agent.yaml:1:4: a leading zero means octal to some readers"),
        ("a: 9007199254740992\n", "agent.yaml:1:4: integers beyond 2^53 are not exact"),
        ("a: -9007199254740992\n", "agent.yaml:1:4: integers beyond 2^53 are not exact"),
        (f"a: {'9' * 5000}\n", "agent.yaml:1:4: integers beyond 2^53 are not exact"),
        (f"a: 0x{'f' * 5000}\n", "agent.yaml:1:4: integers beyond 2^53 are not exact"),
        ("a: [1, .inf]\n", "agent.yaml:1:8: numbers must be finite"),
        ("a: .NaN\n", "agent.yaml:1:4: numbers must be finite"),
        ("a: 1e999\n", "agent.yaml:1:4: numbers must be finite"),
        ('a: "x\\0y"\n', "agent.yaml:1:4: NUL characters cannot be stored"),
        ("a: [1\nb: 2\n", "agent.yaml:2:2: not YAML: "),
        ("a: *b\n", "agent.yaml:1:4: *b names nothing that ended before it"),
        ("a: &a [*a]\n", "agent.yaml:1:8: *a names nothing that ended before it"),
        ("- a\n", "agent.yaml:1:1: a configuration is a mapping of names to values, not a list"),
        ("5", "agent.yaml:1:1: a configuration is a mapping of names to values, not a number"),
        ("", "agent.yaml:1:1: the file is empty"),
        ("# only this\n", "agent.yaml:1:1: the file is empty"),
        ("a: \x07\n", "agent.yaml:1:4: not YAML: a control character"),
        (b"a: 1\nb: \xff\n", "agent.yaml:2:4: not UTF-8; save the file as UTF-8"),
    ],
)
def test_what_could_mean_two_things_or_do_harm_is_refused_where_it_stands(document: str | bytes, expected: str) -> None:
    assert refused(document).startswith(expected)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ('{"a": 1,\n "a": 2}', "c.json:2:2: the key 'a' stands twice; keep one"),
        ('{"a": [1, 9007199254740992]}', "c.json:1:11: integers beyond 2^53"),
        ('{"a": ' + "9" * 5000 + "}", "c.json:1:7: integers beyond 2^53"),
        ('{"a": 1e999}', "c.json:1:7: numbers must be finite"),
        ('{"a": NaN}', "c.json:1:7: not JSON: a value was expected"),
        ('{"a": 1,}', "c.json:1:9: not JSON: a key in double quotes was expected"),
        ('{"a": 01}', "c.json:1:8: not JSON: a comma or } was expected"),
        ('{"a": [1 2]}', "c.json:1:10: not JSON: a comma or ] was expected"),
        ('{"a" 1}', "c.json:1:6: not JSON: a colon was expected"),
        ('{"a": "\\x"}', "c.json:1:8: not JSON: invalid \\escape"),
        ('{"a": "x\n"}', "c.json:1:9: not JSON: invalid control character"),
        ('{"a": "\\u0000"}', "c.json:1:7: NUL characters"),
        ('{"a": "\\ud800"}', "c.json:1:7: half of a surrogate pair"),
        ('{"a": 1} x', "c.json:1:10: not JSON: one value was expected"),
        ("[1]", "c.json:1:1: a configuration is a mapping"),
        ("", "c.json:1:1: not JSON: a value was expected"),
        ('{"a":' * (DEPTH_MAX + 1) + "1" + "}" * (DEPTH_MAX + 1), f"c.json:1:161: deeper than {DEPTH_MAX} levels"),
        ('{"a":' * NESTED, f"c.json:1:161: deeper than {DEPTH_MAX} levels"),
    ],
)
def test_json_is_refused_where_it_is_wrong(document: str, expected: str) -> None:
    assert refused(document, "c.json").startswith(expected)


def test_json_is_json_also_where_the_name_does_not_say_so() -> None:
    """YAML's own escapes know no surrogate pairs."""
    assert read_document(b'{"a": "\\ud83d\\ude00", "b": [], "c": {}}', "-") == {"a": "\U0001f600", "b": [], "c": {}}
    assert read_document(b"{a: no}", "-") == {"a": "no"}
    assert read_document(b"\xef\xbb\xbfa: 1", "-") == {"a": 1}
    assert refused(b'{"a": 1, "a": 2}', "-").startswith("-:1:10: the key 'a' stands twice")
    assert len(refused(b'{"%s": 1, "%s": 2}' % (b"k" * 100_000, b"k" * 100_000), "-")) < 200
    assert len(refused(b"{%s: 1, %s: 2}" % (b"k" * 500, b"k" * 500), "-")) < 200


def test_as_deep_as_allowed() -> None:
    deep = "{a: " * DEPTH_MAX + "1" + "}" * DEPTH_MAX
    assert Content.of(read_document(deep.encode(), "-"))
    assert refused("{a: " * (DEPTH_MAX + 1) + "1" + "}" * (DEPTH_MAX + 1)) == (
        f"agent.yaml:1:{4 * DEPTH_MAX + 1}: deeper than {DEPTH_MAX} levels; flatten the configuration"
    )


def test_an_alias_counts_with_all_that_it_repeats() -> None:
    inner = "[" * 20 + "]" * 20
    assert refused(f"a: &x {inner}\nb: {'[' * 15}*x{']' * 15}\n").startswith("agent.yaml:2:19: *x makes it deeper")
    levels = f"a: &x {inner}\nb: &y [*x]\nc: {'[' * 11}*y{']' * 11}\n"
    assert "*y makes it deeper" in refused(levels)
    many = "a: &x [1]\nb: [" + ", ".join(["*x"] * (ALIASES_MAX + 1)) + "]\n"
    assert f"more than {ALIASES_MAX} aliases; write the values out" in refused(many)
    text = f"a: &x {'t' * 50_000}\nb: [{', '.join(['*x'] * 30)}]\n"
    assert f"more than {CONTENT_BYTES_MAX:,} characters, with what aliases repeat" in refused(text)
    nodes = f"a: &x [{', '.join('1' * 20_000)}]\nb: [{', '.join(['*x'] * 10)}]\n"
    assert f"more than {NODES_MAX:,} keys and values" in refused(nodes)


def laughs() -> str:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("document", "events_max"),
    [
        pytest.param(laughs(), 150, id="billion laughs"),
        pytest.param("a: !!python/object:os.system {}\n" + "b: 1\n" * 100_000, 6, id="tags"),
        pytest.param("a: " + "[" * NESTED, DEPTH_MAX + 5, id="10,000 levels, flow"),
        pytest.param("\n".join("  " * n + f"a{n}:" for n in range(1_000)), 2 * DEPTH_MAX + 5, id="1,000 levels, block"),
        pytest.param("- " * NESTED, DEPTH_MAX + 5, id="10,000 levels, one line"),
        pytest.param("? " * NESTED, 6, id="10,000 keys of keys"),
        pytest.param("a: " + "x" * 10_000_000, 0, id="10 MB"),
    ],
)
def test_hostile_yaml_is_refused_while_it_is_read(
    monkeypatch: pytest.MonkeyPatch, document: str, events_max: int
) -> None:
    """After so many of the parser's events, and with no more memory than the text itself and a part of it."""
    seen = 0
    parse = yaml.parse

    def counting(*arguments: Any, **options: Any) -> Iterator[Any]:
        nonlocal seen
        for event in parse(*arguments, **options):
            seen += 1
            yield event

    monkeypatch.setattr(yaml, "parse", counting)
    raw = document.encode()
    tracemalloc.start()
    try:
        with pytest.raises(DocumentError):
            read_stream(BytesIO(raw), "hostile.yaml")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen <= events_max
    assert peak < 4 * CONTENT_BYTES_MAX


def test_a_file_is_read_no_further_than_the_limit() -> None:
    stream = BytesIO(b"a: " + b"x" * 10_000_000)
    with pytest.raises(DocumentError, match=f"more than {CONTENT_BYTES_MAX:,} bytes"):
        read_stream(stream, "-")
    assert stream.tell() == CONTENT_BYTES_MAX + 1


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml_text._LOADER])
def test_both_parsers_say_the_same(monkeypatch: pytest.MonkeyPatch, loader: object) -> None:
    monkeypatch.setattr(yaml_text, "_LOADER", loader)
    assert read_document(b"a: [1, {b: no}]\nc: &x 'd'\ne: *x\n", "-") == {"a": [1, {"b": "no"}], "c": "d", "e": "d"}
    assert refused("a: 1\nb: !!str 2\n").startswith("agent.yaml:2:4: tags such as")
    assert refused("a: 'x\n").startswith("agent.yaml:2:1: not YAML: ")
    assert refused("a: 1\na: 2\n").startswith("agent.yaml:2:1: the key")


@given(contents())
def test_json_is_read_as_the_standard_library_reads_it(value: dict[str, Any]) -> None:
    text = json.dumps(value)
    assert read_document(text.encode(), "c.json") == json.loads(text)


@given(contents())
def test_yaml_that_a_library_writes_is_read_back(value: dict[str, Any]) -> None:
    """Where every text stands in quotes, it means the same to all readers."""
    text = yaml.dump(value, Dumper=yaml.SafeDumper, default_style='"', allow_unicode=True)
    quoted = yaml.load(text, Loader=yaml.BaseLoader)
    untagged = text.replace('!!int "', '"').replace('!!float "', '"').replace('!!bool "', '"').replace('!!null "', '"')
    if "!!" not in untagged:
        assert YamlReader(untagged, "-").read() == quoted


def test_examples_in_the_code() -> None:
    for module in (json_module, yaml_scalars):
        assert doctest.testmod(module).failed == 0
