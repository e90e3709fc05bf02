"""Dead letters on the pages: the list, one letter and what is done to it, many at once."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient

from actors import Actor, NonRetryable, handler
from actors.deadletters import DeadLetter, LetterFilter, LetterState
from actors.models import ActorAccess
from loomweb import wiring
from loomweb.config import load_config
from loomweb.wiring import Loom
from storage import Unavailable
from tests.conftest import quick_settings
from tests.web.conftest import HTMX, settled, text

Login = Callable[..., Awaitable[AsyncClient]]
NASTY = "</textarea><script>alert(1)</script>\u202e{{7*7}}"
BROKEN = {"press": True}


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Jammed(NonRetryable):
    pass


@dataclass(frozen=True)
class Sheet:
    title: str
    colour: Colour = Colour.RED


class Press(Actor):
    @handler
    async def print_(self, sheet: Sheet) -> None:
        if BROKEN["press"]:
            raise Jammed("paper in the rollers")
        self.update_state(printed=[*self.state.get("printed", []), sheet.title])


@pytest.fixture
async def loom(tmp_path: Path) -> AsyncIterator[Loom]:
    """A Loom whose worker serves the press, which is broken at first."""
    BROKEN["press"] = True
    settings = {**quick_settings(tmp_path), "LOOM_ACTORS": __name__}
    opened = await wiring.open_loom(load_config(settings))
    opened.start_worker()
    yield opened
    await wiring.close_loom()


async def jam(loom: Loom, *titles: str, press: str = "Press/1") -> list[DeadLetter]:
    """Print while the press is broken; return the dead letters, then repair it."""
    BROKEN["press"] = True
    sent = [await loom.runtime.send(press, "print_", {"title": title}) for title in titles]
    await settled(loom)
    BROKEN["press"] = False
    letters = [await loom.dead_letters.get(press, message.message_id) for message in sent]
    return [letter for letter in letters if letter is not None]


def address(letter: DeadLetter) -> str:
    return f"/dead-letters/{letter.actor_id}/{letter.message_id}/"


async def printed(loom: Loom, press: str = "Press/1") -> list[str]:
    await settled(loom)
    return list((await loom.state_store.load(press)).data.get("printed", []))


async def state_of(loom: Loom, letter: DeadLetter) -> LetterState:
    found = await loom.dead_letters.get(letter.actor_id, letter.message_id)
    assert found is not None
    return found.state


def listed(page: str) -> list[str]:
    """Return the states of the rows, in order."""
    table = page[page.index('class="list letters"') :]
    return re.findall(r"</svg>([^<]+)</span>", table)


def hidden(page: str) -> dict[str, str]:
    """Return the hidden fields of the form that goes on with a group retry."""
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {k: html.unescape(v) for k, v in found if k != "csrfmiddlewaretoken"}


async def actions() -> list[str]:
    return [one.action async for one in ActorAccess.objects.order_by("id")]


async def test_the_list_says_what_to_do_when_it_is_empty(client: AsyncClient) -> None:
    page = text(await client.get("/dead-letters/"))
    assert "No message waits to be resolved" in page
    assert "Retry all" not in page
    assert "clear the filters" in text(await client.get("/dead-letters/?error=Nope"))


async def test_the_list_is_narrowed_and_paged(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.pages.dead_letters.PAGE", 2)
    first, second, _ = await jam(loom, "one", "two", "three")
    await loom.redrive.discard("Press/1", first.message_id, by="ada", reason="a test")
    await loom.redrive.retry("Press/1", second.message_id, by="ada")
    await settled(loom)
    await jam(loom, "four", press="Press/2")
    page = text(await client.get("/dead-letters/"))
    assert listed(page) == ["open", "open"]
    assert "Press/2" in page
    assert 'href="/dead-letters/" aria-current="page"' in page
    assert listed(text(await client.get("/dead-letters/?state=discarded"))) == ["discarded"]
    assert listed(text(await client.get("/dead-letters/?state=retried"))) == ["retried, handled"]
    everything = text(await client.get("/dead-letters/?state=any"))
    assert listed(everything) == ["open", "open"]
    older = html.unescape(re.findall(r'rel="next" href="([^"]+)"', everything)[0])
    assert "state=any" in older
    assert listed(text(await client.get(f"/dead-letters/{older}"))) == [
        "retried, handled",
        "discarded",
    ]
    for none in ("type=Order", "error=Nope", "fingerprint=nope", "batch=nope"):
        assert "No dead letter matches" in text(await client.get(f"/dead-letters/?{none}"))
    group = f"/dead-letters/?fingerprint={first.fingerprint}&type=Press&error=Jammed"
    assert listed(text(await client.get(group))) == ["open", "open"]
    part = text(await client.get("/dead-letters/", headers=HTMX))
    assert "<html" not in part
    assert "does not exist any more" in text(await client.get("/dead-letters/?cursor=zzz"))


async def test_one_is_retried_and_its_page_leads_to_what_was_sent(
    loom: Loom, client: AsyncClient
) -> None:
    (letter,) = await jam(loom, "one")
    page = text(await client.get(address(letter)))
    assert f'hx-get="/traces/{letter.trace_id}/spans/{letter.span_id}/"' in page
    assert f'href="/failures/{letter.fingerprint}/"' in page
    response = await client.post(f"{address(letter)}retry/", {"reason": NASTY})
    assert (response.status_code, response.headers["Location"]) == (302, address(letter))
    assert await printed(loom) == ["one"]
    page = text(await client.get(address(letter)))
    assert "It was handled." in page
    assert "By local operator" in page
    assert "<script>alert" not in page
    trace = re.search(r'class="button" href="(/traces/([0-9a-f]{32})/\?span=([0-9a-f]+))"', page)
    assert trace
    assert trace[2] != letter.trace_id
    # There and back: the new message leads to the dead letter, the old one's panel too.
    tab = f"/traces/{trace[2]}/spans/{trace[3]}/?tab=message"
    assert f'href="{address(letter)}"' in text(await client.get(tab, headers=HTMX))
    old = f"/traces/{letter.trace_id}/spans/{letter.span_id}/"
    assert f'href="{address(letter)}"' in text(await client.get(old, headers=HTMX))
    # A second click sends nothing.
    await client.post(f"{address(letter)}retry/", {})
    assert "local operator retried it before. Nothing was done now." in text(
        await client.get(address(letter))
    )
    assert await printed(loom) == ["one"]
    assert await actions() == [f"retried the dead letter {letter.message_id}"]


async def shown_as(client: AsyncClient, letter: DeadLetter) -> dict[str, str]:
    """Return what the pages say of a dead letter in their lists: its status, and where it leads."""
    pages = {
        "failures": ("/failures/", 'class="list failures"'),
        "group": (f"/failures/{letter.fingerprint}/", 'id="samples"'),
        "actor": (f"/actors/{letter.actor_id}/", 'class="card letters"'),
        "type": ("/actors/Press/?status=dead", 'class="list compact seen"'),
    }
    shown = {}
    for name, (page, list_) in pages.items():
        found = text(await client.get(page)).split(list_)[1]
        found = found.split("</table>")[0].split("</section>")[0]
        (status,) = re.findall(r"</svg>([^<]+)</span>", found)
        traces = re.findall(r'href="([^"]+)">New trace</a>', found)
        shown[name] = " → ".join([status, *traces])
        if name != "actor":
            assert (f'href="{address(letter)}">Dead letter<' in found) is (status != "dead letter")
    return shown


async def test_every_list_says_what_became_of_a_dead_letter(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (letter,) = await jam(loom, "one")
    group = f"/failures/{letter.fingerprint}/"
    unresolved = dict.fromkeys(("failures", "group", "type"), "dead letter")
    assert await shown_as(client, letter) == {**unresolved, "actor": "open"}
    assert "dead letters resolved" not in text(await client.get(group))
    sent = await loom.redrive.retry("Press/1", letter.message_id, by="ada")
    await settled(loom)
    assert sent.resolution is not None
    new = f"/traces/{sent.resolution.trace_id}/?span={sent.resolution.span_id}"
    handled = f"retried, handled → {new}"
    assert set((await shown_as(client, letter)).values()) == {handled}
    assert "dead letters resolved</span>" in text(await client.get(group))
    # The lists of failures are there without what people did.
    container = loom.containers["dead-letters"]
    with monkeypatch.context() as patch:

        async def unavailable(*_: object) -> None:
            raise Unavailable("down")

        patch.setattr(container, "query", unavailable)
        assert ">dead letter</span>" in text(await client.get("/failures/"))
        assert ">dead-lettered</span>" in text(await client.get(group))


async def test_a_discarded_dead_letter_is_told_and_another_one_is_not(
    loom: Loom, client: AsyncClient
) -> None:
    (letter,) = await jam(loom, "one")
    await loom.redrive.discard("Press/1", letter.message_id, by="ada", reason="a test")
    assert set((await shown_as(client, letter)).values()) == {"discarded"}
    await jam(loom, "two", press="Press/2")
    page = text(await client.get("/failures/"))
    assert re.findall(r"</svg>([^<]+)</span>", page) == ["dead letter", "discarded"]
    # One of its group waits again.
    assert "dead letters resolved" not in text(await client.get(f"/failures/{letter.fingerprint}/"))


async def test_numbers_of_dead_letters_agree_or_say_what_they_count(
    loom: Loom, client: AsyncClient
) -> None:
    retried, discarded, _, _ = await jam(loom, "one", "two", "three", "four")
    await loom.redrive.retry("Press/1", retried.message_id, by="ada")
    await loom.redrive.discard("Press/1", discarded.message_id, by="ada", reason="a test")
    await settled(loom)
    assert loom.writer is not None
    await loom.writer.flush()

    async def said(page: str) -> str:
        found = re.sub(r"<[^>]+>", " ", text(await client.get(page)))
        return " ".join(html.unescape(found).split())

    # What waits for somebody, by the same number everywhere.
    assert "Unresolved dead letters 2 neither retried nor discarded" in await said("/system/")
    letters = await said("/dead-letters/")
    assert "2 unresolved; those that were retried or discarded are under the other" in letters
    assert "4 match." in await said("/dead-letters/?state=any")
    assert "Dead letters 2 unresolved" in await said("/actors/Press/1/")
    counts = f"/dead-letters/counts/?fingerprint={retried.fingerprint}"
    assert "2 unresolved , 1 retried, 1 discarded" in await said(counts)
    # What was given up at some time, resolved or not.
    assert "Kept after their last attempt 4 messages, resolved or not" in await said("/system/")
    assert "Dead-lettered 4 resolved or not" in await said("/")
    group = await said(f"/failures/{retried.fingerprint}/")
    assert "Dead-lettered 4 resolved or not" in group
    assert "dead-lettered are those that were given up in it, resolved since or not" in (
        await said("/actors/")
    )


async def test_a_long_list_of_dead_letters_says_how_many_there_are(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await jam(loom, "one", "two", "three")
    monkeypatch.setattr("actors.pages.dead_letters.PAGE", 2)
    page = text(await client.get("/dead-letters/"))
    assert "<b>3</b> unresolved, 2 of them on this page;" in page
    monkeypatch.setattr("actors.deadletters.COUNTED", 2)
    assert "<b>2 or more</b> unresolved;" in text(await client.get("/dead-letters/"))


async def test_a_retry_that_failed_again_leads_to_its_own_dead_letter(
    loom: Loom, client: AsyncClient
) -> None:
    (letter,) = await jam(loom, "one")
    BROKEN["press"] = True
    await client.post(f"{address(letter)}retry/", {})
    await settled(loom)
    page = text(await client.get(address(letter)))
    assert "retried, failed again" in page
    own = re.search(r'href="([^"]+)">a dead letter of its own', page)
    assert own
    again = text(await client.get(own[1]))
    assert f'href="{address(letter)}"' in again
    assert "Edit and retry" in again


async def test_an_edited_payload_is_checked_and_kept_until_it_fits(
    loom: Loom, client: AsyncClient
) -> None:
    (letter,) = await jam(loom, NASTY)
    page = text(await client.get(f"{address(letter)}?edit=1"))
    assert "<script>alert" not in page
    assert "\\u202e" in page
    assert "<dt><code>colour</code></dt>" in page
    assert "one of blue, red" in page
    for wrong, said in (
        ('{"title": 1}', "Press.print_: Expected `str`, got `int` - at `$.title`"),
        ('{"title": "x", "colour": "green"}', "Invalid enum value"),
        ('{"title": "x",}', "This is not JSON: "),
        ("[]", "A payload is a JSON object"),
    ):
        response = await client.post(
            f"{address(letter)}retry/", {"payload": wrong, "reason": "typo"}
        )
        assert response.status_code == 422
        page = html.unescape(text(response))
        assert said in page
        assert "Nothing was sent." in page
        assert f">\n{wrong}</textarea>" in page
        assert 'name="reason" maxlength="500" value="typo"' in page
    large = '{"title": "%s"}' % ("x" * 200_001)
    response = await client.post(f"{address(letter)}retry/", {"payload": large})
    assert "too large to be sent here" in text(response)
    assert await state_of(loom, letter) is LetterState.OPEN
    assert await printed(loom) == []
    await client.post(f"{address(letter)}retry/", {"payload": '{"title": "clean"}'})
    assert await printed(loom) == ["clean"]
    assert "Retried with another payload" in text(await client.get(address(letter)))
    assert (await actions())[-1].endswith("with another payload")


async def test_what_cannot_be_edited_says_why(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (large,) = await jam(loom, "x" * 200_001)
    assert "too large to be edited here" in text(await client.get(f"{address(large)}?edit=1"))
    (gone,) = await jam(loom, "gone")

    async def nothing(message_id: str) -> None:
        return None

    monkeypatch.setattr(loom.queue, "dead", nothing)
    await loom.containers["message-archive"].delete(gone.message_id, gone.correlation_id)
    assert "Neither the queue nor" in text(await client.get(f"{address(gone)}?edit=1"))


async def test_the_address_of_a_refused_form_leads_back_when_it_is_loaded(
    loom: Loom, client: AsyncClient
) -> None:
    (letter,) = await jam(loom, "one")
    for act, form in (("retry/", {"payload": "no JSON"}), ("discard/", {"reason": ""})):
        refused = f"{address(letter)}{act}"
        assert (await client.post(refused, form)).status_code == 422
        again = await client.get(refused)
        assert (again.status_code, again["Location"]) == (302, address(letter))
        assert (await client.head(refused)).status_code == 302
        assert (await client.put(refused)).status_code == 405
    assert await state_of(loom, letter) is LetterState.OPEN


async def test_discarding_takes_a_reason_and_can_be_read_later(
    loom: Loom, client: AsyncClient
) -> None:
    (letter,) = await jam(loom, "one")
    response = await client.post(f"{address(letter)}discard/", {"reason": " "})
    assert response.status_code == 422
    assert "takes a reason" in text(response)
    await client.post(f"{address(letter)}discard/", {"reason": "printed by hand"})
    page = text(await client.get(address(letter)))
    assert "printed by hand" in page
    assert "Edit and retry" not in page
    await client.post(f"{address(letter)}retry/", {})
    assert "local operator discarded it before" in text(await client.get(address(letter)))
    assert await printed(loom) == []
    assert await actions() == [f"discarded the dead letter {letter.message_id}"]


async def test_a_retry_that_was_not_finished_says_so_and_is_finished(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (letter,) = await jam(loom, "one")

    async def down(*args: Any, **more: Any) -> None:
        raise Unavailable("no")

    with monkeypatch.context() as patch:
        patch.setattr(loom.queue, "enqueue", down)
        response = await client.post(f"{address(letter)}retry/", {})
    assert response.status_code == 503
    assert "Repeating it is safe" in text(response)
    page = text(await client.get(address(letter)))
    assert "A retry was begun and not finished" in page
    assert listed(text(await client.get("/dead-letters/"))) == ["being sent"]
    noted = f"retried the dead letter {letter.message_id}"
    assert await actions() == [f"{noted}, outcome unknown"]
    await client.post(f"{address(letter)}retry/", {})
    assert await printed(loom) == ["one"]
    assert await state_of(loom, letter) is LetterState.RETRIED
    assert await actions() == [f"{noted}, outcome unknown", noted]


async def test_a_discard_and_a_group_without_an_answer_are_noted_as_unknown(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await jam(loom, "one", "two")

    async def down(*args: Any, **more: Any) -> None:
        raise Unavailable("no")

    form = hidden(text(await client.get("/dead-letters/retry/")))
    with monkeypatch.context() as patch:
        patch.setattr(loom.containers["dead-letters"], "replace", down)
        await client.post(f"{address(one)}discard/", {"reason": "a test"})
    with monkeypatch.context() as patch:
        patch.setattr(loom.queue, "enqueue", down)
        await client.post("/dead-letters/retry/", form)
    group = f"in group {form['batch']}, outcome unknown"
    assert await actions() == [
        f"discarded the dead letter {one.message_id}, outcome unknown",
        *(f"retried the dead letter {letter.message_id} {group}" for letter in (one, two)),
    ]


async def test_a_group_is_previewed_and_retried_step_by_step(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.redrive.STEP", 2)
    letters = await jam(loom, "a", "b", "c")
    letters += await jam(loom, "d", press="Press/2")
    (bad,) = [await loom.runtime.send("Press/3", "print_", {"title": "x", "colour": "secret"})]
    await settled(loom)
    unfit = await loom.dead_letters.get("Press/3", bad.message_id)
    assert unfit is not None
    query = "?type=Press&error=Jammed"
    page = text(await client.get(f"/dead-letters/{query}"))
    preview = html.unescape(re.findall(r'href="(/dead-letters/retry/[^"]+)"', page)[0])
    page = text(await client.get(preview))
    assert "Retry 4 dead letters" in page
    assert "2 actors" in page
    form = hidden(page)
    assert form["total"] == "4"
    part = text(await client.post("/dead-letters/retry/", form, headers=HTMX))
    assert 'hx-trigger="load' in part
    assert 'max="4" value="2"' in part
    assert "<b>2</b> sent of 4" in part
    part = text(await client.post("/dead-letters/retry/", hidden(part), headers=HTMX))
    assert "<b>Done.</b> <b>4</b> sent." in part
    assert "hx-trigger" not in part
    results = re.findall(r'href="(/dead-letters/\?batch=[0-9a-f]{12})"', part)[0]
    assert await printed(loom) == ["a", "b", "c"]
    assert await printed(loom, "Press/2") == ["d"]
    page = text(await client.get(results))
    assert listed(page) == ["retried, handled"] * 4
    assert '<option value="any" selected' in page
    assert len(await actions()) == 4
    assert await state_of(loom, unfit) is LetterState.OPEN
    # The form of the first step, sent again, finds nothing left to send.
    again = text(await client.post("/dead-letters/retry/", form, headers=HTMX))
    assert "<b>0</b> sent" in again
    assert await printed(loom) == ["a", "b", "c"]


async def test_a_group_retry_goes_on_without_scripts_and_when_the_store_was_away(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.redrive.STEP", 1)
    await jam(loom, "a", "b")
    form = hidden(text(await client.get("/dead-letters/retry/")))

    async def down(*args: Any, **more: Any) -> None:
        raise Unavailable("no")

    with monkeypatch.context() as patch:
        patch.setattr(loom.dead_letters, "find", down)
        page = text(await client.post("/dead-letters/retry/", form))
        assert "going on is safe" in page
        assert "hx-trigger" not in page
        assert "does not answer" in text(await client.get("/dead-letters/retry/"))
        assert "does not answer" in text(await client.get("/dead-letters/"))
    page = text(await client.post("/dead-letters/retry/", hidden(page)))
    assert "Outcomes of this step" in page
    with monkeypatch.context() as patch:
        patch.setattr(loom.queue, "enqueue", down)
        page = text(await client.post("/dead-letters/retry/", hidden(page)))
    assert "not sent" in page
    assert "<b>1</b> sent" in page
    page = text(await client.get("/dead-letters/retry/"))
    await client.post("/dead-letters/retry/", hidden(page))
    assert await printed(loom) == ["a", "b"]
    assert "Nothing is left to retry" in text(await client.get("/dead-letters/retry/"))


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"batch": "0123456789ab"},
        {"batch": "zz", "until": "1800000000000000"},
        {"batch": "0123456789ab", "until": "1800000000000000", "cursor": "zzz"},
    ],
)
async def test_a_step_that_no_preview_asked_for_is_refused(
    loom: Loom, client: AsyncClient, form: dict[str, str]
) -> None:
    await jam(loom, "a")
    assert (await client.post("/dead-letters/retry/", form)).status_code == 400
    assert await printed(loom) == []


async def test_permissions(loom: Loom, login: Login) -> None:
    (letter,) = await jam(loom, "a canary")
    (unfit,) = [await loom.runtime.send("Press/1", "print_", {"title": "x", "colour": "canary"})]
    await settled(loom)
    nobody = await login()
    page = text(await nobody.get(address(letter)))
    assert "needs the permission" in page
    assert "canary" not in text(await nobody.get(f"{address(letter)}?edit=1"))
    preview = text(await nobody.get("/dead-letters/retry/"))
    assert "needs the permission" in preview
    for act in ("retry/", "discard/"):
        assert (await nobody.post(f"{address(letter)}{act}", {"reason": "x"})).status_code == 403
    assert (await nobody.post("/dead-letters/retry/", hidden(preview))).status_code == 403
    # Who may retry but not see, retries what is there, unseen.
    clerk = await login("resolve_dead_letters")
    assert "?edit=1" not in text(await clerk.get(address(letter)))
    assert "canary" not in text(await clerk.get(f"{address(letter)}?edit=1"))
    edited = await clerk.post(f"{address(letter)}retry/", {"payload": '{"title": "mine"}'})
    assert edited.status_code == 403
    response = await clerk.post(f"/dead-letters/Press/1/{unfit.message_id}/retry/", {})
    assert response.status_code == 422
    assert "does not take its payload as it is" in text(response)
    assert "canary" not in text(response)
    step = text(
        await clerk.post(
            "/dead-letters/retry/", hidden(text(await clerk.get("/dead-letters/retry/")))
        )
    )
    assert "does not take its payload as it is" in step
    assert "canary" not in step
    assert await printed(loom) == ["a canary"]
    assert {one.user async for one in ActorAccess.objects.all()} == {"person-1"}


async def test_looking_at_a_payload_to_edit_it_is_written_down(loom: Loom, login: Login) -> None:
    (letter,) = await jam(loom, "a canary")
    editor = await login("resolve_dead_letters", "view_payloads")
    assert "canary" not in text(await editor.get(address(letter)))
    assert await actions() == []
    assert "a canary" in text(await editor.get(f"{address(letter)}?edit=1"))
    assert await actions() == [f"looked at the payload of the dead letter {letter.message_id}"]


async def test_posts_need_a_csrf_token_and_gets_change_nothing(
    loom: Loom, transactional_db: None
) -> None:
    (letter,) = await jam(loom, "one")
    strict = AsyncClient(enforce_csrf_checks=True)
    for act in (f"{address(letter)}retry/", f"{address(letter)}discard/", "/dead-letters/retry/"):
        assert (await strict.post(act, {"reason": "x"})).status_code == 403
    for act in ("retry/", "discard/"):
        response = await strict.get(f"{address(letter)}{act}")
        assert (response.status_code, response["Location"]) == (302, address(letter))
    assert await state_of(loom, letter) is LetterState.OPEN


async def test_what_is_no_dead_letter_is_not_found(loom: Loom, client: AsyncClient) -> None:
    await jam(loom, "one")
    for wrong in ("/dead-letters/Press/1/nope/", "/dead-letters/no-type/1/nope/"):
        assert (await client.get(wrong)).status_code == 404
    await client.post("/dead-letters/Press/1/nope/retry/", {})
    assert "There is no such dead letter" in text(await client.get("/dead-letters/"))


async def test_a_group_counts_its_dead_letters(loom: Loom, client: AsyncClient) -> None:
    first, second, _ = await jam(loom, "a", "b", "c")
    await loom.redrive.discard("Press/1", first.message_id, by="ada", reason="no use")
    await loom.redrive.retry("Press/1", second.message_id, by="ada")
    counts = f"/dead-letters/counts/?fingerprint={first.fingerprint}"
    part = text(await client.get(counts, headers=HTMX))
    assert re.search(r"<b>1</b> unresolved</a>, 1 retried, 1 discarded", part)
    assert "none unresolved" in text(await client.get("/dead-letters/counts/?fingerprint=x"))
    assert len((await loom.dead_letters.find(LetterFilter())).letters) == 3
