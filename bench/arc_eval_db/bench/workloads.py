"""What is put into the topics: which event happens when, in which execution, all of it from a seed.

`outcomes`: one completed event after the other. They name a thousand executions, 16 at a time, so that there is hardly
anything to do but to write outcomes, as for the peers, which write no rows of `executions`.

`lifecycle`: whole executions, a thousand at a time: started, 10 tool uses, 5 times progressed, a failure in every
second one, completed. What is cut off at the end of the workload has not completed.

`duplicates`: outcomes of which one in a thousand comes twice: the same bytes again, up to 50,000 records later in the
same partition.
"""

from __future__ import annotations

import heapq
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self
from uuid import UUID

from arc_eval_db.bench import payloads
from arc_eval_db.bench.payloads import Context, Payload
from arc_eval_db.schemas.topics import COMPLETED, FAILURE_RECORDED, PROGRESSED, STARTED, TOOL_USED

OUTCOMES, LIFECYCLE, DUPLICATES = "outcomes", "lifecycle", "duplicates"

OUTCOME_EXECUTIONS = 1_000
_OUTCOME_EXECUTIONS_AT_A_TIME = 16
EXECUTIONS_AT_A_TIME = 1_000
_EVENTS_PER_EXECUTION = 18

DUPLICATE_ONE_IN = 1_000
DUPLICATE_DISTANCE_MAX = 50_000

_STEP = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Workload:
    """What determines every byte of a workload."""

    name: str
    """`OUTCOMES`, `LIFECYCLE` or `DUPLICATES`."""
    events: int
    """Different events; the copies of `DUPLICATES` come on top."""
    partitions: int = 4
    """Of each topic."""
    seed: int = 1
    begin: str = "2026-11-23T00:00:00+00:00"
    """The first event's time, ISO 8601; each next one happens a millisecond later."""

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> Self:
        """What `to_options` made."""
        return cls(**options)

    def to_options(self) -> dict[str, Any]:
        """For another process, as JSON."""
        return asdict(self)

    @property
    def copies(self) -> int:
        """Records that are there a second time."""
        return max(1, self.events // DUPLICATE_ONE_IN) if self.name == DUPLICATES else 0

    @property
    def records(self) -> int:
        """Records in the topics."""
        return self.events + self.copies


class Execution(NamedTuple):
    """One execution of a workload."""

    id: UUID
    text: str
    context: Context
    partition: int
    source: str


class Happening(NamedTuple):
    """One event, before it is written down."""

    type: str
    execution: Execution
    sequence: int
    time: datetime
    event_id: str
    payload: Payload


class Placed(NamedTuple):
    """A happening at its place in the log."""

    happening: Happening
    is_copy: bool


def happenings(workload: Workload) -> Iterator[Placed]:
    """All events in the order in which they are sent."""
    rng = random.Random(f"{workload.seed} {workload.name}")  # noqa: S311 - the same every time is what is wanted
    made = _BY_NAME[workload.name](workload, rng)
    if workload.copies:
        return _with_copies(workload, rng, made)
    return (Placed(happening, False) for happening in made)


class _Maker:
    """Times, ids and executions."""

    def __init__(self, workload: Workload, rng: random.Random) -> None:
        self._workload = workload
        self._bits = rng.getrandbits
        self._choice = rng.choice
        self._contexts = payloads.contexts(rng)
        self._time = datetime.fromisoformat(workload.begin)

    def execution(self) -> Execution:
        """A new execution."""
        text = self._uuid7()
        number = zlib.crc32(text.encode()) % 1000
        return Execution(
            UUID(text),
            text,
            self._choice(self._contexts),
            zlib.crc32(text.encode()) % self._workload.partitions,
            f"/hosts/sandbox-{number}/processes/{1000 + number}",
        )

    def happening(self, kind: str, execution: Execution, sequence: int, payload: Payload) -> Happening:
        """The next event."""
        self._time += _STEP
        return Happening(kind, execution, sequence, self._time, self._uuid7(), payload)

    def _uuid7(self) -> str:
        milliseconds = (self._time - _EPOCH) // _STEP
        bits = self._bits(74)
        return (
            f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{bits & 0xFFF:03x}"
            f"-{0x8000 | bits >> 12 & 0x3FFF:04x}-{bits >> 26:012x}"
        )


def _outcomes(workload: Workload, rng: random.Random) -> Iterator[Happening]:
    maker, completed = _Maker(workload, rng), payloads.completed(rng)
    events_per_execution = -(-workload.events // OUTCOME_EXECUTIONS)
    left = workload.events
    while left:
        executions = [maker.execution() for _ in range(_OUTCOME_EXECUTIONS_AT_A_TIME)]
        sequences = [0] * len(executions)
        number = min(left, events_per_execution * len(executions))
        for _ in range(number):
            index = rng.randrange(len(executions))
            sequences[index] += 1
            yield maker.happening(COMPLETED, executions[index], sequences[index], rng.choice(completed))
        left -= number


def _lifecycles(workload: Workload, rng: random.Random) -> Iterator[Happening]:
    maker = _Maker(workload, rng)
    contents = {
        PROGRESSED: payloads.progressed(rng),
        TOOL_USED: payloads.tool_used(rng),
        FAILURE_RECORDED: payloads.failures(rng),
        COMPLETED: payloads.completed(rng),
    }
    at_a_time = max(1, min(EXECUTIONS_AT_A_TIME, workload.events // (2 * _EVENTS_PER_EXECUTION)))
    number = at_a_time
    running = [(maker.execution(), _course(index)) for index in range(at_a_time)]
    for _ in range(workload.events):
        index = rng.randrange(at_a_time)
        execution, course = running[index]
        sequence, kind = next(course)
        payload = execution.context.started if kind == STARTED else rng.choice(contents[kind])
        yield maker.happening(kind, execution, sequence, payload)
        if kind == COMPLETED:
            running[index] = (maker.execution(), _course(number))
            number += 1


def _course(number: int) -> Iterator[tuple[int, str]]:
    """The events of an execution, numbered."""
    kinds = [STARTED, *(TOOL_USED, TOOL_USED, PROGRESSED) * 5]
    if number % 2:
        kinds.append(FAILURE_RECORDED)
    return iter(list(enumerate([*kinds, COMPLETED], start=1)))


def _with_copies(workload: Workload, rng: random.Random, made: Iterator[Happening]) -> Iterator[Placed]:
    """Each copy is a random number of records behind its original, or at the end where that comes first."""
    twice = set(rng.sample(range(workload.events), workload.copies))
    due: list[list[tuple[int, int, Happening]]] = [[] for _ in range(workload.partitions)]
    lengths = [0] * workload.partitions
    for number, happening in enumerate(made):
        partition = happening.execution.partition
        yield Placed(happening, False)
        lengths[partition] += 1
        if number in twice:
            place = lengths[partition] + rng.randint(1, DUPLICATE_DISTANCE_MAX)
            heapq.heappush(due[partition], (place, number, happening))
        while due[partition] and due[partition][0][0] <= lengths[partition]:
            yield Placed(heapq.heappop(due[partition])[2], True)
            lengths[partition] += 1
    for waiting in due:
        for _, _, happening in sorted(waiting, key=lambda each: each[:2]):
            yield Placed(happening, True)


_BY_NAME: dict[str, Callable[[Workload, random.Random], Iterator[Happening]]] = {
    OUTCOMES: _outcomes,
    LIFECYCLE: _lifecycles,
    DUPLICATES: _outcomes,
}
