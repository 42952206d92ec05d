"""The parts of `arc-eval-db migrate policies`: ages on the command line, and asking before rows are dropped."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta

import click

from arc_eval_db.database import Session
from arc_eval_db.migrations import (
    Edition,
    PolicyError,
    StoragePolicy,
    chunks_to_drop,
    read_policies,
    require_current_schema,
    set_policy,
)


@dataclass(frozen=True, slots=True)
class Age:
    """How old rows become; None: there is no such age."""

    value: timedelta | None


class _AgeType(click.ParamType[Age]):
    name = "AGE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Age:
        text = str(value).strip().lower()
        if text == "never":
            return Age(None)
        match = re.fullmatch(r"(\d{1,5}) *(d|days?|w|weeks?)", text)
        if match is None:
            self.fail(f"{value!r} is not an age: whole days or weeks such as 90d or 12w, or never", param, ctx)
        return Age(timedelta(days=int(match[1]) * (7 if match[2].startswith("w") else 1)))


AGE = _AgeType()


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of one relation's policy; None: stays as it is."""

    relation: str | None
    compress_after: Age | None
    drop_after: Age | None
    confirmed: bool


async def change_or_list(
    session: Session, relation: str | None, change: Change | None
) -> tuple[Edition, list[StoragePolicy]]:
    """Make the change, if there is one, and return the policies: all, or the relation's."""
    edition = await require_current_schema(session)
    known = {policy.relation: policy for policy in await read_policies(session)}
    if relation is not None and relation not in known:
        raise PolicyError(f"{relation}: not a table with a policy; there are {', '.join(known)}")
    if change is not None:
        assert relation is not None
        policy = known[relation]
        if change.compress_after is not None:
            policy = replace(policy, compress_after=change.compress_after.value)
        if change.drop_after is not None:
            policy = replace(policy, drop_after=change.drop_after.value)
        if not change.confirmed and edition is Edition.TIMESCALEDB:
            await _confirm(session, policy)
        await set_policy(session, edition, policy)
    policies = await read_policies(session)
    return edition, [policy for policy in policies if relation in (None, policy.relation)]


async def _confirm(session: Session, policy: StoragePolicy) -> None:
    if chunks := await chunks_to_drop(session, policy):
        click.confirm(
            f"{chunks} chunks of {policy.relation} are older than that and will be dropped. Go on?",
            abort=True,
            err=True,
        )


def in_days(policy: StoragePolicy) -> dict[str, object]:
    """A policy for programs: ages in days, null for never."""
    return {
        "relation": policy.relation,
        "compress_after_days": policy.compress_after / timedelta(days=1) if policy.compress_after else None,
        "drop_after_days": policy.drop_after / timedelta(days=1) if policy.drop_after else None,
    }


def in_words(age: timedelta | None) -> str:
    """An age for people."""
    return "never" if age is None else f"{age / timedelta(days=1):g} days"
