"""Makes the topics of the registry, and compares them with it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from arc_eval_db.consumers.kafka.errors import translated_errors
from arc_eval_db.schemas.topics import TOPICS
from arc_eval_db.settings import KafkaSettings

_REPLICATION = 3
_VISIBLE_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic of the registry as the cluster has it."""

    name: str
    partitions: int
    """0: it does not exist."""
    replication: int
    drift: dict[str, tuple[str, str | None]]
    """Settings that differ: what the registry wants, and what the cluster has."""

    @property
    def exists(self) -> bool:
        """Whether the topic is there."""
        return self.partitions > 0


class TopicsAdmin:
    """Creates and lists topics. Use with `async with`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._prefix = settings.topic_prefix
        self._timeout_s = settings.request_timeout_ms / 1000
        self._client = AIOKafkaAdminClient(**settings.client_options(), client_id="arc-eval-db-admin")

    async def __aenter__(self) -> Self:
        try:
            with translated_errors("connecting"):
                await asyncio.wait_for(self._client.start(), self._timeout_s)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()

    async def create(self, *, partitions: int, replication: int | None = None) -> list[str]:
        """Create the topics that do not exist yet, and return their names. Existing ones are left as they are.

        Args:
            partitions: of each new topic.
            replication: copies of each; by default three, or as many as there are brokers.
        """
        states = {state.name: state for state in await self.states()}
        copies = replication or min(_REPLICATION, await self._broker_count())
        missing = [
            NewTopic(
                topic.name(self._prefix),
                num_partitions=partitions,
                replication_factor=copies,
                topic_configs=topic.config(),
            )
            for topic in TOPICS
            if not states[topic.name(self._prefix)].exists
        ]
        if not missing:
            return []
        created = []
        with translated_errors("creating topics"):
            response = await asyncio.wait_for(self._client.create_topics(missing), self._timeout_s)
            for name, code, *_ in response.topic_errors:
                error = for_code(code)
                if not code:
                    created.append(name)
                elif error is not TopicAlreadyExistsError:
                    raise error(f"topic {name}")
        await self._wait_until_visible()
        return created

    async def states(self) -> list[TopicState]:
        """Every topic of the registry, whether it exists or not."""
        names = [topic.name(self._prefix) for topic in TOPICS]
        with translated_errors("listing topics"):
            async with asyncio.timeout(self._timeout_s):
                existing = set(await self._client.list_topics())
                described = await self._client.describe_topics([name for name in names if name in existing])
                settings = await read_topic_settings(self._client, [name for name in names if name in existing])
        layout = {topic["topic"]: topic["partitions"] for topic in described}
        states = []
        for topic in TOPICS:
            name = topic.name(self._prefix)
            partitions = layout.get(name, [])
            actual = settings.get(name, {})
            wanted = topic.config() if name in layout else {}
            drift = {key: (value, actual.get(key)) for key, value in wanted.items() if actual.get(key) != value}
            states.append(TopicState(name, len(partitions), len(partitions[0]["replicas"]) if partitions else 0, drift))
        return states

    async def _wait_until_visible(self) -> None:
        """A broker learns of a new topic a moment after the controller made it; a consumer must not come between."""
        with translated_errors("waiting for new topics"):
            async with asyncio.timeout(self._timeout_s):
                while not all(state.exists for state in await self.states()):  # noqa: ASYNC110 - Kafka tells nobody
                    await asyncio.sleep(_VISIBLE_POLL_S)

    async def _broker_count(self) -> int:
        with translated_errors("looking up brokers"):
            cluster = await asyncio.wait_for(self._client.describe_cluster(), self._timeout_s)
        return len(cluster["brokers"])

    async def _close(self) -> None:
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            await asyncio.wait_for(self._client.close(), self._timeout_s)


async def read_topic_settings(client: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """The settings of topics as the brokers have them; none of a topic whose settings may not be read."""
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    for response in await client.describe_configs(resources):
        for _, _, _, name, entries in response.resources:
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found
