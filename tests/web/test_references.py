"""What a whole trace refers to comes in a few batched reads, however much that is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from actors.archive import MESSAGE_ARCHIVE
from actors.journal import ACTOR_JOURNALS
from actors.samples import WORKFLOWS
from loomweb.wiring import Loom
from tests.web.conftest import settled
from tracing import Outcome, RefKind


async def test_loading_every_reference_of_a_trace_takes_one_read_per_kind_and_partition(
    loom: Loom, monkeypatch: pytest.MonkeyPatch
) -> None:
    await loom.runtime.start(WORKFLOWS["word-count"], {"children": 30, "words": 20})
    (summary,) = await settled(loom)
    calls: Counter[str] = Counter()
    for name, container in loom.containers.items():
        for method in ("read", "read_many", "query"):
            original = getattr(container, method)

            async def counted(
                *args: Any, _name: str = name, _method: str = method, _original: Any = original
            ) -> Any:
                calls[f"{_name} {_method}"] += 1
                return await _original(*args)

            monkeypatch.setattr(container, method, counted)

    tree = await loom.reconstructor.reconstruct(summary.trace_id)
    assert calls["trace-events query"] == 1
    # A point read of the summary tells whether what is remembered of the trace is still right.
    assert calls["trace-events read"] <= 1
    assert {name.partition(" ")[0] for name in calls} == {"trace-events"}
    assert tree is not None
    refs = list({ref for span in tree.spans for ref in span.refs()})
    kinds = Counter(ref.kind for ref in refs)
    actors = {ref.partition for ref in refs if ref.kind is RefKind.ACTOR_STATE}
    assert kinds[RefKind.MESSAGE] > 60
    assert len(actors) == 31

    calls.clear()
    found = await loom.reconstructor.load(refs)
    unloaded = [r for r in found.values() if r.outcome is not Outcome.LOADED]
    assert {r.ref.kind for r in unloaded} <= {RefKind.IDEMPOTENCY}
    containers = {ref.id.partition("/")[0] for ref in refs if ref.kind is RefKind.DOCUMENT}
    assert calls[f"{MESSAGE_ARCHIVE.name} read_many"] == 1
    # One for journal entries, one for the documents among them.
    assert calls[f"{ACTOR_JOURNALS.name} read_many"] == 2
    # A state is the fold of its actor's journal: one pass over each.
    assert calls[f"{ACTOR_JOURNALS.name} query"] == len(actors)
    assert sum(calls.values()) == 2 + len(actors) + len(containers)
