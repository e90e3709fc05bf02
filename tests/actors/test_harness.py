"""The harness: real turns in a plain function, where time passes when the test says so."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actors import (
    Actor,
    CallFailed,
    Cancelled,
    EntryType,
    EventTimeout,
    NonRetryable,
    RetryPolicy,
    activity,
    handler,
)
from actors.samples import WORKFLOWS
from actors.samples.loan import Disbursement, LoanApplication, credit_check, transfer
from actors.testing import ActorHarness

YEAR = 365 * 86_400


@dataclass(frozen=True)
class Night:
    hours: float = 8.0


class Busy(Exception):
    pass


class Never(NonRetryable):
    pass


@activity(retry_policy=RetryPolicy(max_retries=3, initial_delay=10, max_delay=100))
async def ring(bell: str, idempotency_key: str) -> str:
    raise AssertionError("the real bell was rung")


@activity(timeout=5, retry_policy=RetryPolicy(max_retries=1, initial_delay=1))
async def slow(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "awake"


@activity(timeout=5)
def in_thread(text: str) -> str:
    return text.upper()


@activity
async def threaded(seconds: float) -> bool:
    await asyncio.to_thread(time.sleep, seconds)
    return threading.current_thread() is threading.main_thread()


class Sleeper(Actor):
    """Sleeps, waits, rings, asks: whatever a turn can be suspended by."""

    @handler
    async def sleep_for(self, night: Night) -> None:
        began = self.now()
        await self.sleep(night.hours * 3600)
        self.update_state(slept=(self.now() - began).total_seconds())

    @handler
    async def wait(self, payload: dict[str, Any]) -> None:
        try:
            word = await self.wait_for_event("word", timeout=payload.get("timeout"))
        except EventTimeout:
            self.update_state(end="timeout")
        except Cancelled as error:
            self.update_state(end=f"cancelled: {error}")
        else:
            self.update_state(end=word["text"])

    @handler
    async def wake_up(self, payload: dict[str, Any]) -> str:
        answer: str = await self.call_activity(ring, bell=payload["bell"])
        self.update_state(answer=answer)
        return answer

    @handler
    async def ask(self, payload: dict[str, Any]) -> None:
        self.update_state(heard=await self.call("Oracle/1", "ask", {"of": payload["of"]}))

    @handler
    async def tell(self, payload: dict[str, Any]) -> None:
        self.send("Elsewhere/1", "note", {"n": payload["n"]})
        self.update_state(told=[*self.state.get("told", ()), payload["n"]])

    @handler
    async def break_down(self, payload: dict[str, Any]) -> None:
        self.update_state(broken="half")
        raise (Never if payload.get("for_good") else Busy)("no more")

    @handler
    async def dawdle(self, payload: dict[str, Any]) -> None:
        self.update_state(woke=await self.call_activity(slow, seconds=payload["seconds"]))

    @handler
    async def shout(self, payload: dict[str, Any]) -> None:
        self.update_state(
            shouted=await self.call_activity(in_thread, text="hey"),
            main=await self.call_activity(threaded, seconds=0.01),
        )

    @handler
    async def daily(self, payload: dict[str, Any]) -> None:
        await self.sleep(86_400)
        self.update_state(days=self.state.get("days", 0) + 1)
        if self.state["days"] < 40:
            self.continue_as_new({})

    @handler
    async def for_ever(self, payload: dict[str, Any]) -> None:
        self.continue_as_new({})


def test_a_year_passes_at_once_and_to_the_microsecond() -> None:
    harness = ActorHarness(Sleeper)
    sleeper = harness.actor(Sleeper, "rip")
    sleeper.send("sleep_for", Night(hours=365 * 24))
    assert sleeper.waits_for == ["time"]
    harness.advance(YEAR - 1)
    assert sleeper.state == {}
    harness.advance(1)
    assert sleeper.state == {"slept": YEAR}
    assert harness.now == datetime(2031, 1, 1, tzinfo=UTC)


def test_two_runs_of_the_same_test_write_the_same_history() -> None:
    def history() -> str:
        harness = ActorHarness(LoanApplication, Disbursement)
        harness.replace(credit_check, lambda applicant, bureau: 700)
        harness.fail(credit_check, times=2)
        harness.actor(LoanApplication, "ada").send("submit", {})
        return harness.history()

    assert history() == history()
    assert history().count('"turn_completed"') == 3


def test_what_is_due_on_the_way_happens_at_its_time() -> None:
    harness = ActorHarness(Sleeper)
    for hours in (8, 2, 5):
        harness.actor(Sleeper, str(hours)).send("sleep_for", Night(hours))
    harness.advance(hours=6)
    assert [bool(harness.actor(Sleeper, key).state) for key in "258"] == [True, True, False]
    woke = harness.records("Sleeper/2")[-1].at_us
    assert woke == int((datetime(2030, 1, 1, 2, tzinfo=UTC)).timestamp() * 1e6)


def test_time_alone_is_left_to_pass_by_finish() -> None:
    harness = ActorHarness(Sleeper)
    harness.actor(Sleeper, "a").send("daily")
    harness.actor(Sleeper, "b").send("wait")
    harness.finish()
    assert harness.actor(Sleeper, "a").state == {"days": 40}
    assert harness.now - datetime(2030, 1, 1, tzinfo=UTC) == timedelta(days=40)
    assert harness.actor(Sleeper, "b").waits_for == ["word"]


def test_events_end_waits_and_their_absence_does_after_the_timeout() -> None:
    harness = ActorHarness(Sleeper)
    told, late, early = (harness.actor(Sleeper, key) for key in ("told", "late", "early"))
    assert early.send_event("word", {"text": "before"}, event_id="1")
    assert not early.send_event("word", {"text": "again"}, event_id="1")
    for sleeper in (told, late, early):
        sleeper.send("wait", {"timeout": 60})
    assert early.state == {"end": "before"}
    (wait,) = told.waits
    assert (wait.event, wait.due_us) == ("word", int(harness.now.timestamp() * 1e6) + 60_000_000)
    harness.advance(59)
    told.send_event("word", {"text": "hello"})
    harness.advance(1)
    assert (told.state, late.state) == ({"end": "hello"}, {"end": "timeout"})


def test_a_turn_that_waits_is_cancelled() -> None:
    harness = ActorHarness(Sleeper)
    sleeper = harness.actor(Sleeper, "1")
    assert not sleeper.cancel()
    sleeper.send("wait")
    assert sleeper.cancel("no need")
    assert sleeper.state == {"end": "cancelled: no need"}


def test_later_messages_wait_behind_a_suspended_turn() -> None:
    harness = ActorHarness(Sleeper)
    sleeper = harness.actor(Sleeper, "1")
    sleeper.send("wait")
    sleeper.send("tell", {"n": 1})
    assert sleeper.state == {}
    assert harness.look(sleeper.actor_id).behind == 1
    sleeper.send_event("word", {"text": "go"})
    assert sleeper.state == {"end": "go", "told": [1]}


def test_a_replaced_activity_gets_its_arguments_and_the_same_key_on_every_attempt() -> None:
    harness = ActorHarness(Sleeper)
    keys = []

    def silent(bell: str, idempotency_key: str) -> str:
        keys.append(idempotency_key)
        if len(keys) < 3:
            raise Busy(bell)
        return f"{bell} rang"

    harness.replace(ring, silent)
    sleeper = harness.actor(Sleeper, "1")
    assert sleeper.call("wake_up", {"bell": "big"}) == "big rang"
    assert len(keys) == 3
    assert len(set(keys)) == 1
    first, *_, last = harness.calls(ring)
    assert (first.arguments, type(first.error)) == ({"bell": "big"}, Busy)
    assert (last.result, last.error) == ("big rang", None)
    # Its own policy: 10 and 20 seconds, without jitter, and nobody waited for them.
    assert harness.now == datetime(2030, 1, 1, 0, 0, 30, tzinfo=UTC)


def test_an_activity_is_made_to_fail_and_recovers_or_does_not() -> None:
    harness = ActorHarness(Sleeper, retry_policy=RetryPolicy(max_retries=1, initial_delay=3))
    harness.replace("ring", lambda bell: "rang")
    harness.fail("ring", times=5)
    assert harness.actor(Sleeper, "1").call("wake_up", {"bell": "x"}) == "rang"
    assert len(harness.calls("ring")) == 6

    harness.fail(ring, error=Never("broken for good"))
    with pytest.raises(CallFailed, match="broken for good"):
        harness.actor(Sleeper, "2").call("wake_up", {"bell": "x"})
    (letter,) = harness.dead_letters
    assert (letter.error_type, letter.attempts) == ("ActivityFailed", 2)
    assert "Never: broken for good" in letter.error


def test_a_failing_handler_is_retried_until_it_is_given_up() -> None:
    harness = ActorHarness(Sleeper)
    busy, never = harness.actor(Sleeper, "busy"), harness.actor(Sleeper, "never")
    busy.send("break_down")
    never.send("break_down", {"for_good": True})
    assert [(d.error_type, d.attempts) for d in busy.dead_letters] == [("Busy", 6)]
    assert [(d.error_type, d.error) for d in never.dead_letters] == [("Never", "no more")]
    assert busy.state == {}
    assert [entry.type for entry in busy.journal] == [EntryType.TURN_FAILED] * 6


def test_an_activity_runs_out_of_time_without_taking_any() -> None:
    harness = ActorHarness(Sleeper, retry_policy=RetryPolicy(max_retries=0))
    sleeper = harness.actor(Sleeper, "1")
    sleeper.send("dawdle", {"seconds": 4})
    assert sleeper.state == {"woke": "awake"}
    sleeper.send("dawdle", {"seconds": YEAR})
    assert [letter.error_type for letter in sleeper.dead_letters] == ["ActivityFailed"]
    assert [type(call.error) for call in harness.calls(slow)[1:]] == [asyncio.CancelledError] * 2


def test_plain_functions_and_threads_are_waited_for() -> None:
    harness = ActorHarness(Sleeper)
    sleeper = harness.actor(Sleeper, "1")
    sleeper.send("shout")
    assert sleeper.state == {"shouted": "HEY", "main": True}


def test_an_assertion_in_a_replacement_fails_the_test() -> None:
    def check(bell: str) -> str:
        assert bell == "small"
        return ""

    harness = ActorHarness(Sleeper)
    harness.replace(ring, check)
    with pytest.raises(AssertionError, match="small"):
        harness.actor(Sleeper, "1").send("wake_up", {"bell": "big"})
    harness.replace(ring, lambda bell: pytest.fail("not this one"))
    with pytest.raises(pytest.fail.Exception, match="not this one"):
        harness.actor(Sleeper, "2").send("wake_up", {"bell": "big"})


def test_another_actor_is_a_function_that_answers_or_fails() -> None:
    harness = ActorHarness(Sleeper, retry_policy=RetryPolicy(max_retries=0))
    harness.answer("Oracle", "ask", lambda payload: f"nothing of {payload['of']}")
    sleeper = harness.actor(Sleeper, "1")
    sleeper.send("ask", {"of": "me"})
    assert sleeper.state == {"heard": "nothing of me"}

    def angry(payload: dict[str, Any]) -> None:
        raise Never("ask no more")

    harness.answer("Oracle", "ask", angry)
    sleeper.send("ask", {"of": "me"})
    assert [letter.error_type for letter in sleeper.dead_letters] == ["CallFailed"]


def test_what_goes_to_actors_that_are_not_here_is_seen() -> None:
    harness = ActorHarness(Sleeper)
    sleeper = harness.actor(Sleeper, "1")
    sleeper.send("tell", {"n": 4})
    (sent,) = sleeper.sent
    assert (sent.actor_id, sent.message_type, sent.payload) == ("Elsewhere/1", "note", {"n": 4})
    sleeper.send("ask", {"of": "me"})
    assert sleeper.waits_for == ["Oracle/1 ask"]
    with pytest.raises(
        AssertionError, match="has not answered wake_up; it waits for: Oracle/1 ask"
    ):
        sleeper.call("wake_up", {"bell": "x"})


def test_messages_that_are_sent_together_are_handled_in_order() -> None:
    harness = ActorHarness(Sleeper)
    harness.send_all([("Sleeper/1", "tell", {"n": n}) for n in (1, 2, 3)])
    assert harness.actor("Sleeper/1").state == {"told": [1, 2, 3]}


def test_a_run_of_a_workflow_plays_with_its_children() -> None:
    harness = ActorHarness(LoanApplication, Disbursement)
    harness.replace(credit_check, lambda applicant, bureau: 800)
    loan = harness.start(WORKFLOWS["loan-application"], {"applicant": "Ada"})
    assert loan.state["status"] == "paid"
    (paid,) = harness.calls(transfer)
    assert paid.arguments == {"account": "NL-Ada", "amount": 15_000}
    assert [message.message_type for message in loan.received] == ["submit", "paid_out"]


def test_work_without_end_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.testing.queue.MAX_TURNS", 100)
    harness = ActorHarness(Sleeper)
    with pytest.raises(RuntimeError, match="turns in one go: do they ever end"):
        harness.actor(Sleeper, "1").send("for_ever")


def test_an_activity_that_never_ends_is_found_out() -> None:
    async def hang(bell: str) -> None:
        await asyncio.get_running_loop().create_future()

    harness = ActorHarness(Sleeper)
    harness.replace(ring, hang)
    with pytest.raises(RuntimeError, match="an activity waits for ever"):
        harness.actor(Sleeper, "1").send("wake_up", {"bell": "x"})


async def test_an_async_test_is_told_that_the_harness_is_for_plain_ones() -> None:
    harness = ActorHarness(Sleeper)
    with pytest.raises(AssertionError, match="for plain test functions"):
        harness.actor(Sleeper, "1").send("tell", {"n": 1})
