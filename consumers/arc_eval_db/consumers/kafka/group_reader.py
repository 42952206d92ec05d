"""What Kafka knows of a group from the outside: who is in it, what they committed, and its topics' settings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
    for_code,
)

from arc_eval_db.consumers.kafka.admin import read_topic_settings
from arc_eval_db.consumers.kafka.errors import translated_errors
from arc_eval_db.settings import KafkaSettings
from arc_eval_db.writer import TopicPartition

# What a broker answers that has just begun to coordinate groups, such as to the first one that ever asks.
_NOT_YET = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
_RETRY_S = 0.1

# While these last nobody has any partition, and that says nothing.
_REBALANCING = ("PreparingRebalance", "CompletingRebalance")


@dataclass(frozen=True, slots=True)
class CommittedOffset:
    """What a group last committed to Kafka of one partition: a copy of the database's, for tools."""

    next_offset: int
    note: str


@dataclass(frozen=True, slots=True)
class GroupStanding:
    """A group as Kafka sees it at the moment."""

    members: int
    owned: frozenset[TopicPartition] | None
    """The partitions that some member has; None while the group shares them out anew."""
    committed: Mapping[TopicPartition, CommittedOffset]


class GroupReader:
    """Looks at groups without being a member of any. Use with `async with`."""

    def __init__(self, settings: KafkaSettings, *, client_id: str = "arc-eval-db-group-reader") -> None:
        self._timeout_s = settings.request_timeout_ms / 1000
        self._client = AIOKafkaAdminClient(**settings.client_options(), client_id=client_id)

    async def __aenter__(self) -> Self:
        try:
            with translated_errors("connecting"):
                await asyncio.wait_for(self._client.start(), self._timeout_s)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def standing(self, group: str) -> GroupStanding:
        """Who is in a group and what it committed; a group that Kafka does not know has no members.

        Raises:
            KafkaRefusedError: the login may not describe the group.
        """
        with translated_errors("looking at the group"):
            async with asyncio.timeout(self._timeout_s):
                while True:
                    try:
                        return await self._standing(group)
                    except _NOT_YET:
                        await asyncio.sleep(_RETRY_S)

    async def _standing(self, group: str) -> GroupStanding:
        described = await self._client.describe_consumer_groups([group])
        code, _, state, _, _, members, *_ = described[0].groups[0]
        if code:
            raise for_code(code)(group)
        committed = await self._client.list_consumer_group_offsets(group)
        return GroupStanding(
            members=len(members),
            owned=None if state in _REBALANCING else frozenset(_assigned(members)),
            committed={
                TopicPartition(native.topic, native.partition): CommittedOffset(stored.offset, stored.metadata or "")
                for native, stored in committed.items()
                if stored.offset >= 0
            },
        )

    async def topic_settings(self, topics: Sequence[str]) -> dict[str, dict[str, str]]:
        """The settings of topics that exist; none of those whose settings the login may not read."""
        with translated_errors("reading the settings of topics"):
            return await asyncio.wait_for(read_topic_settings(self._client, list(topics)), self._timeout_s)

    async def _close(self) -> None:
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            await asyncio.wait_for(self._client.close(), self._timeout_s)


def _assigned(members: Sequence[Any]) -> list[TopicPartition]:
    """The partitions of all members. Versions of the answer differ in what stands before the last two fields."""
    return [
        TopicPartition(topic, number)
        for *_, assignment in members
        if assignment  # empty for one that has just joined
        for topic, numbers in ConsumerProtocolMemberAssignment.decode(assignment).assignment
        for number in numbers
    ]
