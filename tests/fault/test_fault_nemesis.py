"""Random faults from a seed: afterwards everything is there once. `ARC_EVAL_NEMESIS_SEED=7` repeats one."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from arc_eval_db.database import DatabaseSettings
from fault.arena import Arena, open_arena
from fault.nemesis import KINDS, Nemesis, schedule
from fault.stack import GIVEN_DATABASE, FaultStack
from support.databases import temporary_database

SECONDS = 20.0
SECONDS_SHORT = 10.0
RECOVERY_S_MAX = 60.0
SEED_VARIABLE = "ARC_EVAL_NEMESIS_SEED"

# Read at import: the tests run without any ARC_EVAL_ variables.
SEED = os.environ.get(SEED_VARIABLE)
SEEDS = [int(SEED)] if SEED else list(range(1, int(os.environ.get("ARC_EVAL_NEMESIS_SEEDS", "30")) + 1))


@dataclass(slots=True)
class Outcome:
    """What came of one seed."""

    events: int
    repeated: int
    recovery_s: float


async def _survive(arena: Arena, seed: int, seconds: float) -> Outcome:
    faults = schedule(seed, seconds, own_server=GIVEN_DATABASE not in os.environ)
    print(f"seed {seed}, {seconds:g} s; again: {SEED_VARIABLE}={seed}")
    for fault in faults:
        print(f"  {fault}")
    for number in range(2):
        arena.producer(seed=100 * seed + number, events_per_s=120).start()
    await arena.producer_process(seed=100 * seed + 99)
    await Nemesis(arena, faults).run(seconds)
    await arena.heal()
    evidence = await arena.check(timeout_s=RECOVERY_S_MAX)
    return Outcome(len(evidence.rows), len(evidence.log) - len(evidence.rows), arena.recovery_s)


def test_a_schedule_is_a_pure_function_of_its_seed() -> None:
    assert schedule(7, 20) == schedule(7, 20)
    assert schedule(7, 20) != schedule(8, 20)
    for seed in range(50):
        faults = schedule(seed, 20)
        assert faults == sorted(faults, key=lambda fault: fault.at_s)
        assert all(fault.at_s >= 0 and fault.at_s + fault.duration_s <= 20.1 for fault in faults)


def test_schedules_bring_every_kind_of_fault() -> None:
    kinds = {fault.kind for seed in range(30) for fault in schedule(seed, 20)}
    assert kinds == set(KINDS)
    spared = {fault.kind for seed in range(30) for fault in schedule(seed, 20, own_server=False)}
    assert kinds - spared == {"postgres_kill9", "postgres_restart", "postgres_freeze", "backend_kill9"}


@pytest.mark.database
@pytest.mark.kafka
@pytest.mark.stack
async def test_one_seed(arena: Arena) -> None:
    """A short one, in every run."""
    await _survive(arena, SEEDS[0], SECONDS_SHORT)


@pytest.mark.database
@pytest.mark.kafka
@pytest.mark.stack
@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_many_seeds(
    fault_stack: FaultStack, fault_server: DatabaseSettings, fault_template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with topics, a database and processes of its own; and how long the worst took to recover."""
    outcomes: dict[int, Outcome] = {}
    failures: dict[int, BaseException] = {}
    for seed in SEEDS:
        await fault_stack.heal()
        with tempfile.TemporaryDirectory() as directory:
            try:
                async with (
                    temporary_database(fault_server, template=fault_template) as database,
                    open_arena(fault_stack, database, Path(directory)) as arena,
                ):
                    outcomes[seed] = await _survive(arena, seed, SECONDS)
                    print(f"  {outcomes[seed]}")
            except Exception as error:  # noqa: BLE001 - the other seeds are worth running all the same
                failures[seed] = error
                print(f"  seed {seed} failed: {error}")
    events = sum(outcome.events for outcome in outcomes.values())
    worst = max((outcome.recovery_s for outcome in outcomes.values()), default=0.0)
    repeated = sum(outcome.repeated for outcome in outcomes.values())
    figures = (
        f"{len(outcomes)} seeds, {events:,} events, 0 lost, 0 twice "
        f"({repeated:,} sent twice and stored once), worst recovery {worst:.1f} s; failed: {sorted(failures) or 'none'}"
    )
    with capsys.disabled():
        print(f"\n{figures}")
    assert not failures, f"seeds {sorted(failures)}; the first: {next(iter(failures.values()))}"
