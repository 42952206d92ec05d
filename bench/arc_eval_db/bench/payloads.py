"""What the events of the workloads say: a fixed choice of contents for each type, made from a seed.

A content is written down twice: as the JSON that the SDK would make of it, and as the columns that it must become. The
second is not made by the code that is measured, so that the rows can be checked against it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from arc_eval_db.schemas import ids

_VARIANTS = 256
_SCENARIOS = 91
_SIMULATIONS = 3

_TOOLS = ("read_file", "search_code", "run_tests", "apply_patch", "list_directory", "lookup_order", "http_get")
_FAILURES = (
    ("policy_violation", "the agent tried to refund an order without approval"),
    ("tool_timeout", "the tool did not answer within its time"),
    ("wrong_answer", "a program that fits the training pairs is wrong on the test"),
    ("invalid_output", "the model's answer was not JSON: a bracket is missing at the end"),
)
_TEXT = (
    "the customer asked for a refund of an order that was never delivered and the agent has to find out why before it "
    "may answer so it looks at the warehouse and at the carrier and compares what both of them say about the parcel"
)
_WORDS = _TEXT.split()


@dataclass(frozen=True, slots=True)
class Payload:
    """The content of an event, apart from what it says about its execution."""

    json: bytes
    """Members of the event's `data`, without the braces."""
    values: tuple[Any, ...]
    """The columns of its table between `sequence` and the place in the log."""
    data: dict[str, Any]
    """The same as `json`."""


@dataclass(frozen=True, slots=True)
class Context:
    """A configuration's version, a scenario and a simulation: what an execution belongs to."""

    version_id: UUID
    scenario_id: UUID
    simulation_id: UUID
    json: bytes
    """Members of every event's `data`, with a comma at the end."""
    started: Payload
    data: dict[str, Any]
    """The same as `json`."""


def members(content: dict[str, Any]) -> bytes:
    """The JSON of an object without its braces."""
    return orjson.dumps(content)[1:-1]


def contexts(rng: random.Random) -> list[Context]:
    """Every configuration with every scenario, a simulation to each."""
    configurations = [_configuration(number) for number in range(5)]
    return [
        _context(configuration, f"refund-flow-{number:02d}", f"nightly-{rng.randrange(_SIMULATIONS)}")
        for number in range(_SCENARIOS)
        for configuration in configurations
    ]


def _configuration(number: int) -> dict[str, Any]:
    return {
        "name": f"careful-{number}",
        "model": ("small", "medium", "large")[number % 3],
        "temperature": number / 10,
        "tools": list(_TOOLS[: 3 + number % 4]),
        "prompt": " ".join(_WORDS[: 12 + number]),
        "limits": {"steps": 40, "seconds": 600, "usd": 0.5},
    }


def _context(configuration: dict[str, Any], scenario: str, simulation: str) -> Context:
    version_id = ids.configuration_version_id(configuration)
    data = {
        "configuration_version_id": str(version_id),
        "scenario_id": str(ids.scenario_id(scenario)),
        "simulation_id": str(ids.simulation_id(simulation)),
    }
    stored = {
        "scenario": scenario,
        "simulation": simulation,
        "configuration_name": configuration["name"],
        "metadata": {"sandbox": {"region": "eu-north", "image": "agent:2026-11"}, "nightly": True},
    }
    sent = {
        "scenario": scenario,
        "simulation": simulation,
        "configuration_name": configuration["name"],
        "configuration": configuration,
        "attempt": 1,
        "metadata": stored["metadata"],
    }
    started = Payload(members(sent), (orjson.dumps(stored).decode(),), sent)
    return Context(
        version_id, ids.scenario_id(scenario), ids.simulation_id(simulation), members(data) + b",", started, data
    )


def progressed(rng: random.Random) -> list[Payload]:
    """Contents of progressed events."""
    made = []
    for _ in range(_VARIANTS):
        data = {
            "message": _text(rng, 8, 24),
            "step": rng.randrange(40),
            "details": {"tokens": rng.randrange(4000), "plan": [_text(rng, 2, 6) for _ in range(rng.randrange(1, 4))]},
        }
        made.append(Payload(members(data), (orjson.dumps(data).decode(),), data))
    return made


def tool_used(rng: random.Random) -> list[Payload]:
    """Contents of tool uses; one in ten went wrong."""
    made = []
    for _ in range(_VARIANTS):
        is_good = rng.random() > 0.1
        data = {
            "tool": rng.choice(_TOOLS),
            "success": is_good,
            "duration_ms": round(rng.lognormvariate(4, 1), 3),
            "error": None if is_good else f"exit status 1: {_text(rng, 4, 10)}",
            "arguments": {
                "path": f"src/package/module_{rng.randrange(40)}.py",
                "query": _text(rng, 2, 8),
                "limits": {"lines": rng.randrange(1, 400), "bytes": rng.randrange(1, 65_536)},
                "flags": rng.sample(_WORDS, 2),
            },
            "result_bytes": rng.randrange(20_000),
        }
        made.append(Payload(members(data), _columns(data, "arguments"), data))
    return made


def failures(rng: random.Random) -> list[Payload]:
    """Contents of failures."""
    made = []
    for _ in range(_VARIANTS):
        kind, message = rng.choice(_FAILURES)
        data = {
            "kind": kind,
            "message": f"{message}, step {rng.randrange(40)}",
            "details": {"order_id": rng.randrange(100_000), "elapsed_s": round(rng.uniform(0, 600), 3)},
        }
        made.append(Payload(members(data), _columns(data, "details"), data))
    return made


def completed(rng: random.Random) -> list[Payload]:
    """Contents of completed events; all have the same members."""
    made = []
    for _ in range(_VARIANTS):
        is_good = rng.random() < 0.7
        data = {
            "status": "succeeded" if is_good else "failed",
            "score": round(rng.random(), 4),
            "cost_usd": round(rng.uniform(0.001, 0.5), 6),
            "input_tokens": rng.randrange(500, 60_000),
            "output_tokens": rng.randrange(50, 8_000),
            "metadata": {"steps": rng.randrange(1, 40), "stop": rng.choice(("answered", "limit", "gave_up"))},
            "duration_ms": round(rng.uniform(500, 600_000), 3),
        }
        values = (
            data["status"],
            is_good,
            data["score"],
            data["duration_ms"],
            data["cost_usd"],
            data["input_tokens"],
            data["output_tokens"],
            None,
            None,
            orjson.dumps(data["metadata"]).decode(),
        )
        made.append(Payload(members(data), values, data))
    return made


def _columns(data: dict[str, Any], json_column: str) -> tuple[Any, ...]:
    return tuple(orjson.dumps(value).decode() if name == json_column else value for name, value in data.items())


def _text(rng: random.Random, least: int, most: int) -> str:
    return " ".join(rng.choices(_WORDS, k=rng.randint(least, most)))
