"""The sample workflows: what each does, its form, and running it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

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
from actors.pages.forms import form_class
from actors.workflow import Workflow
from storage import StorageError
from tracing.middleware import trace_of

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
        problem: why a run could not be started.
    """

    workflow: Workflow
    form: forms.Form
    waiting: list[WaitingRun]
    more: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class WorkflowsPage:
    """What the template shows."""

    cards: list[WorkflowCard]
    may_run: bool
    nav: str = "workflows"


async def may_run(request: HttpRequest) -> bool:
    """Return whether whoever asks may start runs."""
    user = await request.auser()
    return await user.ahas_perm("actors.run_workflows")


@require_GET
async def workflows(request: HttpRequest) -> HttpResponse:
    """Show all workflows, each with its form."""
    cards = await asyncio.gather(
        *(
            _card(workflow, _form_class(workflow)())
            for workflow in services.current().workflows.values()
        )
    )
    page = WorkflowsPage(cards, await may_run(request))
    return render(request, "actors/workflows.html", {"page": page})


@require_http_methods(["GET", "POST"])
async def workflow(request: HttpRequest, name: str) -> HttpResponse:
    """Show one workflow; POST starts a run and goes to its trace."""
    found = services.current().workflows.get(name)
    if found is None:
        raise Http404("there is no such workflow")
    if request.method == "POST" and not await may_run(request):
        raise PermissionDenied("running workflows needs the permission actors.run_workflows")
    form = _form_class(found)(request.POST if request.method == "POST" else None)
    problem = ""
    if request.method == "POST" and form.is_valid():
        try:
            payload = msgspec.to_builtins(msgspec.convert(form.cleaned_data, found.input_type))
            started = await services.current().runtime.start(
                found, payload, request_trace=trace_of(request)
            )
        except msgspec.ValidationError as error:
            problem = f"The input does not fit: {error}. Nothing was started."
        except ActorError as error:
            problem = f"{error}. Nothing was started."
        except StorageError as error:
            problem = (
                f"The store or queue does not answer ({type(error).__name__}). The run may not"
                " have been started; look at the traces before you try again."
            )
        else:
            if started.trace_id is not None:
                trace = reverse("tracing:trace", args=[started.trace_id])
                return redirect(f"{trace}?new=1")
            messages.info(request, f"{started.actor_id} was started. This run is not traced.")
            return redirect("actors:workflows")
    page = WorkflowsPage([await _card(found, form, problem)], await may_run(request))
    status = 422 if problem or form.errors else 200
    return render(request, "actors/workflow.html", {"page": page}, status=status)


async def _card(found: Workflow, form: forms.Form, problem: str = "") -> WorkflowCard:
    try:
        ids = await services.current().inspector.suspended(found.actor_type, limit=WAITING + 1)
    except StorageError:
        # The form is of use without them.
        ids = []
    waiting = [WaitingRun(id, reverse("actors:actor", args=id.split("/", 1))) for id in ids]
    return WorkflowCard(found, form, waiting[:WAITING], len(waiting) > WAITING, problem)


def _form_class(found: Workflow) -> type[forms.Form]:
    return form_class(found.input_type, prefix=found.name)
