"""What is gone is told apart: expired by its container's time, by compaction, or never there."""

from __future__ import annotations

from actors.archive import MESSAGE_ARCHIVE
from actors.deadletters import DEAD_LETTERS
from actors.journal import JOURNAL_TTL
from actors.resolvers import ActorDataLoaders
from storage import DAY
from storage.memory import MemoryContainer
from tests.actors.test_compaction import ACTOR, Kept
from tests.conftest import ManualClock
from tracing import Outcome, Ref, RefKind, Resolvers, Source


def record(index: int) -> Ref:
    return Ref(RefKind.JOURNAL_ENTRY, ACTOR, f"{index}:2")


async def test_journal_records_that_went_with_compaction_have_expired(clock: ManualClock) -> None:
    kept = Kept(clock)
    await kept.turns(2)
    await kept.compact()
    await kept.turns(1)
    loaders = ActorDataLoaders({"actor-journals": kept.journals}, kept.store)
    found = await loaders.journal_entries([record(0), record(4)])
    assert {ref: one.outcome for ref, one in found.items()} == {
        record(0): Outcome.LOADED,
        record(4): Outcome.LOADED,
    }
    clock.advance(JOURNAL_TTL + 1)
    found = await loaders.journal_entries([record(0), record(4), record(90)])
    assert found[record(0)].outcome is Outcome.EXPIRED
    assert "30 days ago" in found[record(0)].detail
    assert found[record(4)].outcome is Outcome.LOADED
    # What nobody compacted was never there: the resolvers call it missing.
    assert record(90) not in found


async def test_documents_expire_by_the_time_of_their_container() -> None:
    containers = {
        spec.name: MemoryContainer(spec)
        for spec in (DEAD_LETTERS, MESSAGE_ARCHIVE, Kept(ManualClock()).journals.spec)
    }
    loaders = ActorDataLoaders(containers, Kept(ManualClock()).store)
    letter, message, journal, unknown = (
        Ref(RefKind.DOCUMENT, ACTOR, f"{container}/x")
        for container in ("dead-letters", "message-archive", "actor-journals", "elsewhere")
    )
    assert [loaders.document_ttl(ref) for ref in (letter, message, journal, unknown)] == [
        *(30 * DAY, 7 * DAY, None, None)
    ]
    source = Source(loaders.documents, loaders.document_ttl)
    resolvers = Resolvers({RefKind.DOCUMENT: source}, clock=lambda: 10 * DAY * 10**9)
    found = await resolvers.load([letter, message, journal], seen_ns=1)
    assert [found[ref].outcome for ref in (letter, message, journal)] == [
        *(Outcome.MISSING, Outcome.EXPIRED, Outcome.MISSING)
    ]
    assert found[message].detail == "expired on 1970-01-08, after 7 days"
