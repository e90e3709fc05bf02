"""Health checks for whatever restarts or routes to this process. They need no login."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from loomweb import wiring


@login_not_required
@never_cache
@require_safe
async def healthz(request: HttpRequest) -> HttpResponse:
    """Answer: the process is alive."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@never_cache
@require_safe
async def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the store and the queue answer, else 503. Details stay on the System page."""
    problems = await wiring.current().ready()
    if problems:
        return JsonResponse({"ready": False, "problems": len(problems)}, status=503)
    return JsonResponse({"ready": True})
