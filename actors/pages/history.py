"""An actor's history as a file: its journal and messages, for `replay` in a test."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from actors import services
from actors.pages.access import write_down
from actors.pages.asking import asked_actor, may_see_payloads
from storage import StorageError

logger = logging.getLogger(__name__)


@never_cache
@require_GET
async def history(request: HttpRequest, actor_type: str, key: str) -> HttpResponseBase:
    """Send the history, line by line as it is read; needs `tracing.view_payloads`."""
    actor_id = asked_actor(actor_type, key)
    if not await may_see_payloads(request):
        raise PermissionDenied
    current = services.current()
    try:
        if not (await current.inspector.look(actor_id)).state.version:
            raise Http404("nothing is journaled of this actor")
    except StorageError as error:
        return _unanswered(error)
    await write_down(request, actor_id, "downloaded the history of")
    response = StreamingHttpResponse(
        _sent(current.histories.export(actor_id), actor_id), content_type="application/jsonl"
    )
    response["Content-Disposition"] = 'attachment; filename="history.jsonl"'
    return response


async def _sent(lines: AsyncIterator[str], actor_id: str) -> AsyncIterator[str]:
    try:
        async for line in lines:
            yield line
    except StorageError as error:
        # The answer has begun; without its last line, whoever reads the file knows that it was cut.
        logger.warning("the history of %s was cut: %s", actor_id, type(error).__name__)


def _unanswered(error: StorageError) -> HttpResponse:
    return HttpResponse(
        f"The store does not answer ({type(error).__name__}).\n",
        status=503,
        content_type="text/plain",
    )
