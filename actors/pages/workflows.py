"""The sample workflows: what each does, its form, and running it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec
from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from actors import services
from actors.errors import ActorError
from actors.pages.asking import may_run
from actors.pages.forms import TimesForm, form_class
from actors.pages.run_again import Given, input_of
from actors.queues import QueueUnavailable
from actors.runtime import Started
from actors.workflow import Workflow
from storage import StorageError
from tracing.middleware import trace_of
from tracing.pages.awaited import query_of

WAITING = 5
"""Actors with a suspended turn that a card names."""


@dataclass(frozen=True, slots=True)
class WaitingRun:
    """An actor whose turn is suspended, and the address of its page."""

    actor_id: str
    address: str


@dataclass(frozen=True, slots=True)
class WorkflowCard:
    """A workflow, its form, and some of its runs that wait.

    Attributes:
        more: whether there are others that wait.
        times: how many runs to start.
        note: where the form's values come from, when they are not the defaults.
        problem: why a run could not be started.
    """

    workflow: Workflow
    form: forms.Form
    waiting: list[WaitingRun]
    more: bool
    times: TimesForm
    note: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class WorkflowsPage:
    """What the template shows."""

    cards: list[WorkflowCard]
    may_run: bool
    nav: str = "workflows"


@require_GET
async def workflows(request: HttpRequest) -> HttpResponse:
    """Show all workflows, each with its form."""
    cards = await asyncio.gather(
        *(
            _card(workflow, _form_class(workflow)(), TimesForm(prefix=workflow.name))
            for workflow in services.current().workflows.values()
        )
    )
    page = WorkflowsPage(cards, await may_run(request))
    return render(request, "actors/workflows.html", {"page": page})


@require_http_methods(["GET", "POST"])
async def workflow(request: HttpRequest, name: str) -> HttpResponse:
    """Show one workflow; POST starts one run or several, and goes to their traces.

    `?again=` fills the form with the input of the run whose correlation id it is.
    """
    found = services.current().workflows.get(name)
    if found is None:
        raise Http404("there is no such workflow")
    if request.method == "POST":
        return await _run(request, found)
    again = request.GET.get("again")
    given = Given() if again is None else await input_of(request, found, again)
    form = _form_class(found)(initial=given.values)
    return await _show(request, found, form, TimesForm(prefix=name), note=given.note)


async def _run(request: HttpRequest, found: Workflow) -> HttpResponse:
    if not await may_run(request):
        raise PermissionDenied("running workflows needs the permission actors.run_workflows")
    form = _form_class(found)(request.POST)
    # Whoever posts no number asks for one run.
    times = TimesForm({f"{found.name}-times": "1"} | request.POST.dict(), prefix=found.name)
    if not (form.is_valid() and times.is_valid()):
        return await _show(request, found, form, times)
    wanted: int = times.cleaned_data["times"]
    # Several runs are a trace each.
    request_trace = trace_of(request) if wanted == 1 else None
    runs: list[Started] = []
    begun_ns = time.time_ns()
    status = 422
    try:
        payload = msgspec.to_builtins(msgspec.convert(form.cleaned_data, found.input_type))
        for _ in range(wanted):
            runs.append(
                await services.current().runtime.start(found, payload, request_trace=request_trace)
            )
    except msgspec.ValidationError as error:
        problem = f"The input does not fit: {error}. {_started(runs, wanted)}"
    except ActorError as error:
        problem = f"{error}. {_started(runs, wanted)}"
    except QueueUnavailable:
        status = 503
        problem = (
            f"The queue does not answer. {_started(runs, wanted)} What has run can be read as"
            " before, and what waits in the queue goes on when it is back. Try again when the"
            " System page says that it answers; should its answer alone have been lost, one more"
            " run is among the traces."
        )
    except StorageError as error:
        status = 503
        problem = (
            f"The store or queue does not answer ({type(error).__name__})."
            f" {_started(runs, wanted)} One more may have been, without an answer; look at the"
            " traces before you try again."
        )
    else:
        return _landed(request, found, runs, begun_ns)
    return await _show(request, found, form, times, problem=problem, status=status)


def _started(runs: list[Started], wanted: int) -> str:
    return f"{len(runs)} of {wanted} runs were started." if runs else "Nothing was started."


def _landed(
    request: HttpRequest, found: Workflow, runs: list[Started], begun_ns: int
) -> HttpResponse:
    if len(runs) > 1:
        traced = sum(run.trace_id is not None for run in runs)
        not_traced = "" if traced == len(runs) else f" {len(runs) - traced} of them are not traced."
        messages.info(request, f"{len(runs)} runs of {found.title} were started.{not_traced}")
        asked = urlencode({"type": found.actor_type, "since": "1h"})
        return redirect(f"{reverse('tracing:traces')}?{asked}&{query_of(traced, begun_ns)}")
    (run,) = runs
    if run.trace_id is not None:
        return redirect(f"{reverse('tracing:trace', args=[run.trace_id])}?new=1")
    messages.info(request, f"{run.actor_id} was started. This run is not traced.")
    return redirect("actors:workflows")


async def _show(
    request: HttpRequest,
    found: Workflow,
    form: forms.Form,
    times: TimesForm,
    *,
    note: str = "",
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    card = await _card(found, form, times, note, problem)
    page = WorkflowsPage([card], await may_run(request))
    if form.errors or times.errors:
        status = 422
    return render(request, "actors/workflow.html", {"page": page}, status=status)


async def _card(
    found: Workflow, form: forms.Form, times: TimesForm, note: str = "", problem: str = ""
) -> WorkflowCard:
    try:
        ids = await services.current().inspector.suspended(found.actor_type, limit=WAITING + 1)
    except StorageError:
        # The form is of use without them.
        ids = []
    waiting = [WaitingRun(id, reverse("actors:actor", args=id.split("/", 1))) for id in ids]
    return WorkflowCard(
        found, form, waiting[:WAITING], len(waiting) > WAITING, times, note, problem
    )


def _form_class(found: Workflow) -> type[forms.Form]:
    return form_class(found.input_type, prefix=found.name)
