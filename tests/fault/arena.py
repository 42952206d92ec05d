"""One test's own topics, database, group, producers and consumers, with faults to be made and the check at the end."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from arc_eval_db.consumers import measure_lag
from arc_eval_db.consumers.kafka import LogReader, TopicsAdmin
from arc_eval_db.database import DatabaseSettings
from arc_eval_db.errors import RetryableError
from arc_eval_db.schemas.topics import TopicNames
from arc_eval_db.settings import KafkaSettings
from fault.evidence import Evidence, collect, install_audit
from fault.fail_points import FailPoint
from fault.invariants import log_texts, no_marker_in, violations
from fault.observers import CommitReader, Observer, RowReader
from fault.processes import ChildProcess, ConsumerProcess
from fault.producers import LoadProducer
from fault.stack import FaultStack
from support.conditions import eventually
from support.databases import connect
from support.proxy import TcpProxy

SESSION_TIMEOUT_S = 4.0
APPLICATION_NAME = "arc-eval-db consumer"

RSS_BYTES_MAX = 400_000_000
DESCRIPTORS_MAX = 100
STANDSTILL_S_MAX = 20.0
"""A worker that has neither committed nor found the log empty for so long is stuck."""


class Arena:
    """Made by the fixture `arena`."""

    def __init__(
        self, stack: FaultStack, database: DatabaseSettings, kafka: KafkaSettings, proxy: TcpProxy, directory: Path
    ) -> None:
        self.stack = stack
        self.database = database
        """Past the proxy, with patient settings: for the test itself."""
        self.kafka = kafka
        """Through the proxy: there is no other way."""
        self.database_proxy = proxy
        self.group = f"group-{secrets.token_hex(4)}"
        self.directory = directory
        self.marker = f"marker{secrets.token_hex(8)}"
        """Stands in settings and payloads, and must not stand anywhere else."""
        self.consumers: list[ConsumerProcess] = []
        self.producers: list[LoadProducer] = []
        self.producer_processes: list[ChildProcess] = []
        self.ledgers: list[Path] = []
        self.observers: list[Observer] = [
            RowReader(database, self.group, kafka.topic_prefix),
            CommitReader(kafka, database, self.group),
        ]
        self.topics = TopicNames(kafka.topic_prefix)
        self.recovery_s = 0.0
        """From the heal to lag 0, after `drained`."""

    def consumer_settings(self, **changes: str) -> dict[str, str]:
        """The variables of a consumer; `changes` by the names after ARC_EVAL_, in small letters."""
        proxied = urlsplit(self.database_proxy.url)
        settings = {
            "kafka_bootstrap_servers": self.stack.bootstrap_servers,
            "kafka_request_timeout_ms": "3000",
            "kafka_sasl_password": self.marker,
            "topic_prefix": self.kafka.topic_prefix,
            "database_url": proxied.geturl(),
            "database_connect_timeout_s": "3",
            "database_command_timeout_s": "4",
            "database_statement_timeout_ms": "3500",
            "database_lock_timeout_ms": "1000",
            "database_idle_in_transaction_timeout_ms": "2000",
            "consumer_group": self.group,
            "consumer_session_timeout_s": str(SESSION_TIMEOUT_S),
            "consumer_retry_backoff_s_max": "1",
            "consumer_poll_timeout_s": "0.2",
            **changes,
        }
        return {f"ARC_EVAL_{name.upper()}": value for name, value in settings.items()}

    async def consume(
        self, *fail_points: FailPoint, options: Sequence[str] = (), wait: bool = True, **settings: str
    ) -> ConsumerProcess:
        """Start a consumer, and wait until it has partitions.

        Args:
            settings: as `consumer_settings` takes them.
            wait: False: return at once.
        """
        name = f"consumer-{len(self.consumers) + 1}"
        process = await ConsumerProcess.consume(
            name, self.directory, self.consumer_settings(**settings), fail_points=fail_points, options=options
        )
        self.consumers.append(process)
        if wait:
            await process.logged("partitions_positioned", timeout_s=60)
        return process

    def producer(self, *, seed: int = 1, events_per_s: float = 200, padding_bytes: int = 0) -> LoadProducer:
        """A producer with a ledger; start it, or let it emit by hand."""
        ledger = self.directory / f"producer-{len(self.ledgers) + 1}.jsonl"
        producer = LoadProducer(
            replace(self.kafka, request_timeout_ms=3000),
            ledger,
            seed=seed,
            events_per_s=events_per_s,
            marker=self.marker,
            padding_bytes=padding_bytes,
        )
        self.ledgers.append(ledger)
        self.producers.append(producer)
        return producer

    async def load(self, events: int, *, seed: int = 1, padding_bytes: int = 0) -> None:
        """Put so many events into the log, acknowledged."""
        producer = self.producer(seed=seed, padding_bytes=padding_bytes)
        producer.emit(events)
        delivery = await producer.stop(60)
        assert delivery.complete, delivery

    async def producer_process(self, *, seed: int = 1, events_per_s: float = 50) -> ChildProcess:
        """A producer that can be killed."""
        ledger = self.directory / f"producer-{len(self.ledgers) + 1}.jsonl"
        ledger.touch()
        process = await ChildProcess.start(
            ledger.stem,
            self.directory,
            "fault.producer_process",
            *(str(ledger), str(seed), str(events_per_s)),
            settings={
                name: value for name, value in self.consumer_settings().items() if "KAFKA" in name or "TOPIC" in name
            },
        )
        self.ledgers.append(ledger)
        self.producer_processes.append(process)
        return process

    async def fetch(self, statement: str, *arguments: Any) -> Any:
        """One value from the database, past the proxy."""
        async with await connect(self.database) as session:
            return await session.fetch_value(statement, *arguments)

    async def stored(self) -> int:
        """How many offsets the group has passed; 0 when the database does not answer."""
        with contextlib.suppress(RetryableError):
            return int(await self.fetch("SELECT coalesce(sum(next_offset), 0)::bigint FROM consumer_offsets"))
        return 0

    async def moves(self, by: int = 1, *, timeout_s: float = 60.0) -> None:
        """Wait until the group has moved on."""
        before = await self.stored()

        async def has_moved() -> bool:
            return await self.stored() >= before + by

        await eventually(has_moved, f"the group moves on from {before} by {by}", timeout_s=timeout_s)

    async def stop_producers(self) -> None:
        """Deliver what is left, and send no more."""
        await asyncio.gather(*(producer.stop() for producer in self.producers))
        self.producers.clear()
        for process in self.producer_processes:
            process.cont()
            process.term()
        await asyncio.gather(*(process.ended(40) for process in self.producer_processes))

    async def heal(self) -> None:
        """Undo every fault: servers run, proxies carry, frozen consumers go on."""
        for process in self.consumers:
            process.cont()
            process.release()
        await asyncio.gather(self.stack.heal(), self.database_proxy.heal())

    async def lag(self) -> int:
        """Records that the group has still to read."""
        async with (
            LogReader(self.kafka, client_id="fault-tests") as reader,
            await connect(self.database) as session,
        ):
            return sum(each.lag_messages for each in await measure_lag(reader, session, self.group, self.topics.all))

    async def drained(self, *, timeout_s: float = 60.0) -> float:
        """I8: wait until nothing is left to be read; the seconds that it took."""
        started = time.monotonic()
        seen: int | str = "never asked"

        async def nothing_is_left() -> bool:
            nonlocal seen
            try:
                seen = await self.lag()
            except RetryableError as error:
                seen = repr(error)
            return seen == 0

        try:
            await eventually(nothing_is_left, "lag 0", timeout_s=timeout_s)
        except AssertionError as error:
            logs = "\n".join(f"{each.name}: {each.code}: {each.last_words()[-600:]}" for each in self.consumers)
            raise AssertionError(f"I8: {error}, but {seen}\n{logs}") from None
        self.recovery_s = time.monotonic() - started
        return self.recovery_s

    async def check(
        self, *, deleted: Collection[UUID] = (), timeout_s: float = 60.0, dead_letters: int = 0
    ) -> Evidence:
        """End the load, wait until all is read, and hold everything against every invariant.

        Args:
            deleted: events that retention took, as the test arranged.
            timeout_s: from now to lag 0.
            dead_letters: how many there must be.
        """
        await self.stop_producers()
        await self.drained(timeout_s=timeout_s)
        await asyncio.gather(*(observer.sees_again() for observer in self.observers))
        objections = await self._processes_are_well()
        texts = [(f"metrics of {each.name}", await each.metrics()) for each in self.consumers if each.runs]
        await self._stop_consumers()
        evidence = await collect(self.kafka, self.database, self.group, self.ledgers)
        texts += log_texts(process.log_file for process in [*self.consumers, *self.producer_processes])
        texts += [("a dead letter's detail", letter.detail) for letter in evidence.dead_letters]
        objections += violations(evidence, deleted=deleted)
        objections += no_marker_in(self._markers(), texts)
        objections += [each for observer in self.observers for each in observer.objections]
        if len(evidence.dead_letters) != dead_letters:
            objections.append(f"{len(evidence.dead_letters)} dead letters, not {dead_letters}")
        assert not objections, "\n".join(objections)
        assert evidence.log, "nothing was sent, so this proves nothing"
        return evidence

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """With the observers at work."""
        async with contextlib.AsyncExitStack() as stack:
            for observer in self.observers:
                await stack.enter_async_context(observer.watching())
            yield

    async def end(self) -> None:
        """Leave nothing running, whatever the test did."""
        for producer in self.producers:
            await producer.stop(0.1)
        await asyncio.gather(*(process.end() for process in [*self.consumers, *self.producer_processes]))

    def _markers(self) -> list[str]:
        password = urlsplit(self.database.database_url.get_secret_value()).password
        return [self.marker, *([unquote(password)] if password else [])]

    async def _processes_are_well(self) -> list[str]:
        """I8: those that are alive move, and hold no more than they need."""
        objections = []
        for process in self.consumers:
            try:
                await eventually(partial(_moves_or_has_ended, process), "moves", timeout_s=30)
            except AssertionError:
                objections.append(f"I8: {process.name} is alive and stands still\n{process.last_words()}")
        running = [process for process in self.consumers if process.runs]
        for process in running:
            usage = process.usage()
            if usage.rss_bytes > RSS_BYTES_MAX or usage.descriptors > DESCRIPTORS_MAX:
                objections.append(f"I8: {process.name} holds {usage}")
        connections = await self.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1",
            APPLICATION_NAME,
        )
        if connections > len(running):
            objections.append(f"I8: {connections} connections of {len(running)} consumers")
        return objections

    async def _stop_consumers(self) -> None:
        for process in self.consumers:
            process.term()
        for process in self.consumers:
            code = await process.ended(15)
            # SIGTERM ends a process as it ends any, until it has begun to work.
            expected = (0, -9) if process.log("worker_started") else (0, -9, -15)
            assert code in expected, f"{process.name} ended with {code}\n{process.last_words()}"


async def _moves_or_has_ended(process: ConsumerProcess) -> bool:
    """One that has just been started does not answer yet."""
    if not process.runs:
        return True
    with contextlib.suppress(OSError):
        return time.time() - await process.metric("arc_eval_consumer_progress_timestamp_seconds") < STANDSTILL_S_MAX
    return False


@contextlib.asynccontextmanager
async def open_arena(
    stack: FaultStack, database: DatabaseSettings, directory: Path, *, partitions: int = 2
) -> AsyncIterator[Arena]:
    """Topics, a proxy before the database, the audit and the observers; at the end all faults are undone.

    Args:
        database: a migrated database of the test's own, past any proxy.
    """
    kafka = KafkaSettings(
        bootstrap_servers=stack.bootstrap_servers,
        topic_prefix=f"fault-{secrets.token_hex(6)}",
        # The test's own patience, which is longer than that of what is tested.
        request_timeout_ms=10_000,
    )
    async with TopicsAdmin(kafka) as admin:
        await admin.create(partitions=partitions)
    await install_audit(database)
    async with TcpProxy.to_url(database.database_url.get_secret_value()) as proxy:
        arena = Arena(stack, database, kafka, proxy, directory)
        try:
            async with arena.watched():
                yield arena
        finally:
            await arena.heal()
            await arena.end()
