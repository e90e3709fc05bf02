"""What is checked at the edge: messages, actor types, retry policies, activities."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import (
    Activity,
    ActivityExecutor,
    Actor,
    InvalidMessage,
    Message,
    NonRetryable,
    RetryPolicy,
    TooLarge,
    activity,
    address,
    handler,
)
from actors.failure import describe
from tests.builders import message
from tracing import TraceContext

TEXT = st.text(min_size=1, max_size=20).filter(
    lambda text: not any(c in "/\\?#" or ord(c) < 32 or ord(c) == 127 for c in text)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(
    TEXT,
    st.dictionaries(st.text(max_size=5), JSON, max_size=4),
    st.none()
    | st.builds(
        TraceContext,
        st.binary(min_size=16, max_size=16).map(bytes.hex),
        st.binary(min_size=8, max_size=8).map(bytes.hex),
    ),
    st.integers(-5, 5),
    st.integers(0, 2**41),
    st.integers(0, 2**41),
)
def test_a_message_survives_its_wire_form(
    key: str,
    payload: dict[str, Any],
    trace: TraceContext | None,
    priority: int,
    not_before: int,
    expires: int,
) -> None:
    sent = Message.new(
        f"Order/{key}",
        "place",
        payload,
        trace=trace,
        priority=priority,
        not_before_ns=not_before * 10**6,
        expires_ns=expires * 10**6,
    )
    assert Message.from_document(sent.to_document()) == sent


@given(JSON)
def test_no_document_makes_reading_a_message_raise_anything_else(body: Any) -> None:
    with pytest.raises(InvalidMessage):
        Message.from_document(body if isinstance(body, dict) else {"messageId": body})


@pytest.mark.parametrize(
    ("actor_id", "message_type", "payload"),
    [
        ("Order", "place", {}),
        ("Order/", "place", {}),
        ("/1", "place", {}),
        ("Order/a/b", "place", {}),
        ("Order/a#b", "place", {}),
        ("Order/" + "x" * 201, "place", {}),
        ("Or der/1", "place", {}),
        ("Order/1", "", {}),
        ("Order/1", "<script>", {}),
        ("Order/1", "place", {"x": object}),
        ("Order/1", "place", {"x": {1: object()}}),
    ],
)
def test_a_malformed_message_is_refused(
    actor_id: str, message_type: str, payload: dict[str, Any]
) -> None:
    with pytest.raises(InvalidMessage):
        Message.new(actor_id, message_type, payload)


def test_a_payload_above_the_limit_is_refused_with_both_sizes() -> None:
    with pytest.raises(TooLarge, match=r"1,048,58\d bytes, above the limit of 1,048,576"):
        message(text="x" * (1 << 20))


def test_wire_names_are_those_of_the_reference_system() -> None:
    assert set(message().to_document()) == {
        "id",
        "messageId",
        "actorId",
        "messageType",
        "correlationId",
        "payload",
        "trace",
        "metadata",
    }


def test_an_actor_class_is_checked_when_it_is_defined() -> None:
    with pytest.raises(TypeError, match="a handler is async"):

        class Blocking(Actor):
            @handler
            def work(self, payload: dict[str, Any]) -> None: ...  # type: ignore[type-var]

    with pytest.raises(TypeError, match="takes the payload"):

        class Greedy(Actor):
            @handler
            async def work(self, a: int, b: int) -> None: ...


def test_handlers_are_inherited_and_may_be_replaced() -> None:
    class Base(Actor):
        @handler
        async def one(self, payload: dict[str, Any]) -> None: ...

    class Derived(Base):
        @handler
        async def two(self, payload: dict[str, Any]) -> None: ...

    assert set(Derived.message_types()) == {"one", "two"}
    assert set(Base.message_types()) == {"one"}
    assert Derived.address("7") == address("Derived", "7") == "Derived/7"


def test_backoff_grows_to_its_bound_and_jitter_only_shortens() -> None:
    policy = RetryPolicy(max_retries=5, initial_delay=0.5, max_delay=60.0, jitter=0.0)
    assert [policy.delay(n) for n in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 32, 60]
    assert policy.delay(10_000) == 60
    jittered = RetryPolicy(jitter=0.5)
    assert all(0.25 <= jittered.delay(1) <= 0.5 for _ in range(200))
    assert len({jittered.delay(1) for _ in range(20)}) > 1


def test_what_is_retryable_is_said_by_the_error_or_by_the_policy() -> None:
    policy = RetryPolicy(non_retryable=(KeyError,))
    assert policy.retryable(ValueError())
    assert not policy.retryable(KeyError())
    assert not policy.retryable(NonRetryable())


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_retries": -1},
        {"initial_delay": -1},
        {"initial_delay": 5, "max_delay": 1},
        {"multiplier": 0.5},
        {"jitter": 2},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a retry policy needs"):
        RetryPolicy(**wrong)


FAST = RetryPolicy(max_retries=2, initial_delay=0.001, max_delay=0.001)


async def test_an_activity_gets_the_same_key_on_every_attempt() -> None:
    keys: list[str] = []

    @activity
    async def work(idempotency_key: str) -> str:
        keys.append(idempotency_key)
        if len(keys) < 3:
            raise ValueError
        return "done"

    assert await ActivityExecutor(FAST).run(work, {}, "key-1") == ("done", 3)
    assert keys == ["key-1"] * 3


async def test_a_plain_function_runs_off_the_event_loop() -> None:
    @activity
    def blocks() -> str:
        time.sleep(0.1)
        return "done"

    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.005)

    ticking = asyncio.create_task(tick())
    assert (await ActivityExecutor(FAST).run(blocks, {}, "k"))[0] == "done"
    ticking.cancel()
    assert ticks > 3


async def test_an_attempt_that_takes_too_long_is_ended() -> None:
    @activity(timeout=0.01, retry_policy=RetryPolicy(max_retries=0))
    async def hangs() -> None:
        await asyncio.sleep(3_600)

    with pytest.raises(TimeoutError):
        await ActivityExecutor().run(hangs, {}, "k")


@pytest.mark.parametrize(
    ("result", "error"), [("x" * (1 << 20), TooLarge), (object(), InvalidMessage)]
)
async def test_a_result_that_cannot_be_journaled_fails_the_activity(
    result: object, error: type[Exception]
) -> None:
    @activity
    async def returns() -> object:
        return result

    with pytest.raises(error):
        await ActivityExecutor(FAST).run(returns, {}, "k")


def test_an_activity_keeps_its_name_and_can_be_called_as_it_is() -> None:
    @activity(name="billing.charge")
    def charge(cents: int) -> int:
        return cents

    assert isinstance(charge, Activity)
    assert charge.name == "billing.charge"
    assert charge(5) == 5


def failure_of(error: Exception) -> Any:
    try:
        raise error
    except Exception as raised:
        return describe(raised, retryable=True, actor_type="Order", work="place")


def test_alike_failures_share_a_fingerprint_whatever_their_text() -> None:
    one, two = (failure_of(ValueError(text)) for text in ("order 1", "order 2"))
    other = failure_of(KeyError("order 1"))
    assert one.fingerprint == two.fingerprint != other.fingerprint
    assert one.message == "order 1"


def test_an_enormous_error_text_is_bounded() -> None:
    assert len(str(failure_of(ValueError("x" * 10_000_000)).to_document())) < 100_000


def test_an_error_whose_text_cannot_be_made_is_still_described() -> None:
    class Nasty(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert failure_of(Nasty()).type == "Nasty"
