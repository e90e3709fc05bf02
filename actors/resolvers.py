"""Loaders for what traces refer to: messages, states, journal entries, documents."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

from actors.archive import MESSAGE_ARCHIVE
from actors.journal import ACTOR_JOURNALS, JOURNAL_TTL, record_id
from actors.stores import StateStore
from storage import DAY, Container, Document
from tracing import Outcome, Ref, Resolved

Loaded = Mapping[Ref, Resolved]

_COMPACTED = f"expired: its journal was compacted more than {JOURNAL_TTL // DAY} days ago"


class ActorDataLoaders:
    """Loads referenced actor data, one batched read per container and partition."""

    def __init__(self, containers: Mapping[str, Container], state_store: StateStore) -> None:
        self._containers = containers
        self._state_store = state_store

    async def messages(self, refs: Sequence[Ref]) -> Loaded:
        """Load archived messages."""
        return await self._read(
            MESSAGE_ARCHIVE.name, {ref: (ref.id, ref.partition) for ref in refs}
        )

    async def journal_entries(self, refs: Sequence[Ref]) -> Loaded:
        """Load journal records; a reference names the first entry and how many there are."""
        keys, unreadable = {}, {}
        for ref in refs:
            first, _, _ = ref.id.partition(":")
            if first.isascii() and first.isdigit():
                keys[ref] = (record_id(int(first)), ref.partition)
            else:
                unreadable[ref] = Resolved(
                    ref, Outcome.UNREADABLE, detail="it does not name a journal index"
                )
        loaded = {**await self._read(ACTOR_JOURNALS.name, keys), **unreadable}
        return {**loaded, **await self._compacted([ref for ref in keys if ref not in loaded])}

    async def _compacted(self, refs: Sequence[Ref]) -> Loaded:
        """Tell of records that are gone which ones went with compaction."""
        actors = list({ref.partition for ref in refs})
        folds = await asyncio.gather(*(self._state_store.load(actor_id) for actor_id in actors))
        compacted = {fold.actor_id: fold.compacted for fold in folds}
        return {
            ref: Resolved(ref, Outcome.EXPIRED, detail=_COMPACTED)
            for ref in refs
            if int(ref.id.partition(":")[0]) < compacted[ref.partition]
        }

    def document_ttl(self, ref: Ref) -> int | None:
        """Return how long a document's container keeps it, in seconds; None for ever."""
        container = self._containers.get(ref.id.partition("/")[0])
        ttl = None if container is None else container.spec.default_ttl
        return ttl if ttl is not None and ttl > 0 else None

    async def documents(self, refs: Sequence[Ref]) -> Loaded:
        """Load any document of a known container."""
        by_container: dict[str, dict[Ref, tuple[str, str]]] = defaultdict(dict)
        for ref in refs:
            container, _, document = ref.id.partition("/")
            by_container[container][ref] = (document, ref.partition)
        loaded: dict[Ref, Resolved] = {}
        for container, keys in by_container.items():
            if container in self._containers:
                loaded.update(await self._read(container, keys, wrap=True))
            else:
                loaded.update(
                    (ref, Resolved(ref, Outcome.UNREADABLE, detail=f"no container {container!r}"))
                    for ref in keys
                )
        return loaded

    async def states(self, refs: Sequence[Ref]) -> Loaded:
        """Load states as of versions; one pass over each actor's journal gives all of its."""
        by_actor: dict[str, list[Ref]] = defaultdict(list)
        for ref in refs:
            by_actor[ref.partition].append(ref)
        parts = await asyncio.gather(
            *(self._states_of(actor_id, wanted) for actor_id, wanted in by_actor.items())
        )
        return {ref: found for part in parts for ref, found in part.items()}

    async def _states_of(self, actor_id: str, refs: Sequence[Ref]) -> Loaded:
        loaded: dict[Ref, Resolved] = {}
        wanted: dict[int, Ref] = {}
        for ref in refs:
            if ref.id.isascii() and ref.id.isdigit():
                wanted[int(ref.id)] = ref
            else:
                loaded[ref] = Resolved(
                    ref, Outcome.UNREADABLE, detail="it does not name a state version"
                )
        for version, state in (await self._state_store.states(actor_id, wanted)).items():
            value = {"version": version, "state": dict(state.data)}
            loaded[wanted[version]] = Resolved(wanted[version], Outcome.LOADED, value)
        missing = [version for version in wanted if wanted[version] not in loaded]
        if missing:
            compacted = (await self._state_store.load(actor_id)).compacted
            for version in missing:
                loaded[wanted[version]] = Resolved(wanted[version], *_why(version, compacted))
        return loaded

    async def _read(
        self, container: str, keys: Mapping[Ref, tuple[str, str]], *, wrap: bool = False
    ) -> Loaded:
        documents = await self._containers[container].read_many(list(set(keys.values())))

        def value(document: Document) -> object:
            if wrap:
                return {"container": container, "id": document.body["id"], "body": document.body}
            return document.body

        return {
            ref: Resolved(ref, Outcome.LOADED, value(documents[key]))
            for ref, key in keys.items()
            if key in documents
        }


def _why(version: int, compacted: int) -> tuple[Outcome, None, str]:
    if version < compacted:
        return Outcome.EXPIRED, None, _COMPACTED
    return Outcome.MISSING, None, f"the journal has no version {version}"
