"""Following references: five outcomes, batched, and never an exception."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracing import Outcome, Ref, RefKind, Resolved, Resolvers, Source

NOW = 1_800_000_000_000_000_000
DAY = 86_400


class Recorder:
    """A loader that knows some references and remembers what it was asked."""

    def __init__(self, *known: Ref) -> None:
        self.known = known
        self.asked: list[list[Ref]] = []

    async def __call__(self, refs: Sequence[Ref]) -> Mapping[Ref, Resolved]:
        self.asked.append(list(refs))
        return {ref: Resolved(ref, Outcome.LOADED, {"id": ref.id}) for ref in self.known}


def message(number: int) -> Ref:
    return Ref(RefKind.MESSAGE, "run", f"m{number}")


def resolvers(load: Recorder, ttl: int | None = 7 * DAY) -> Resolvers:
    return Resolvers({RefKind.MESSAGE: Source(load, ttl)}, clock=lambda: NOW)


async def test_what_is_there_is_loaded_in_one_call_each_reference_once() -> None:
    load = Recorder(message(1), message(2))
    found = await resolvers(load).load([message(1), message(2), message(1)])
    assert [found[message(n)].value for n in (1, 2)] == [{"id": "m1"}, {"id": "m2"}]
    assert load.asked == [[message(1), message(2)]]


async def test_what_is_gone_by_its_time_to_live_is_expired_and_says_when() -> None:
    found = await resolvers(Recorder()).load([message(1)], seen_ns=NOW - 8 * DAY * 10**9)
    assert found[message(1)].outcome is Outcome.EXPIRED
    assert found[message(1)].detail == "expired on 2027-01-14, after 7 days"


async def test_what_should_be_there_and_is_not_is_missing() -> None:
    for seen, ttl in ((NOW - 6 * DAY * 10**9, 7 * DAY), (NOW - 900 * DAY * 10**9, None)):
        found = await resolvers(Recorder(), ttl).load([message(1)], seen_ns=seen)
        assert found[message(1)].outcome is Outcome.MISSING


async def test_without_permission_nothing_is_even_asked_for() -> None:
    load = Recorder(message(1))
    found = await resolvers(load).load([message(1)], allowed=False)
    assert found[message(1)].outcome is Outcome.FORBIDDEN
    assert found[message(1)].value is None
    assert load.asked == []


async def test_a_loader_that_fails_leaves_the_others_alone() -> None:
    async def broken(refs: Sequence[Ref]) -> Mapping[Ref, Resolved]:
        raise ConnectionError("secret-canary")

    state = Ref(RefKind.ACTOR_STATE, "Order/1", "3")
    both = Resolvers(
        {
            RefKind.MESSAGE: Source(Recorder(message(1))),
            RefKind.ACTOR_STATE: Source(broken),
        }
    )
    found = await both.load([message(1), state])
    assert found[message(1)].outcome is Outcome.LOADED
    assert found[state].outcome is Outcome.UNREADABLE
    assert "ConnectionError" in found[state].detail
    assert "canary" not in found[state].detail


async def test_a_kind_that_nobody_loads_is_unreadable() -> None:
    blob = Ref(RefKind.BLOB, "c", "b")
    found = await resolvers(Recorder()).load([blob])
    assert found[blob].outcome is Outcome.UNREADABLE
