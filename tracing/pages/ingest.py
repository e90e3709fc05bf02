"""OTLP/HTTP: where other services send their spans, so that they appear in the same waterfall."""

from __future__ import annotations

import time
import zlib

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from tracing import services
from tracing.otlp.decode import InvalidOtlp, OtlpUnavailable, UnsupportedOtlp, answer, decode
from tracing.otlp.ingest import recent

MAX_BODY = 8 * 1024 * 1024
"""Bytes of a request once it is decompressed; exporters send batches of a few hundred KB."""


# Called by programs with a token of their own, never by a browser with somebody's session.
@csrf_exempt
@login_not_required
@require_POST
async def traces(request: HttpRequest) -> HttpResponse:
    """Take an ExportTraceServiceRequest, as protobuf or JSON, gzipped or not."""
    installed = services.current()
    if not installed.otlp.admits(request.headers.get("Authorization", "")):
        return _refused(401, "send the token of LOOM_OTLP_TOKEN as 'Authorization: Bearer …'")
    if installed.writer is None:
        return _refused(503, "tracing is off in this process")
    try:
        body = _unpacked(request)
    except OverflowError:
        return _refused(413, f"a request may hold up to {MAX_BODY:,} bytes")
    except (zlib.error, ValueError):
        return _refused(400, "the body is not compressed as its Content-Encoding says")
    kind = request.headers.get("Content-Type", "")
    try:
        decoded = recent(decode(body, kind), now_ns=time.time_ns())
        answered = answer(decoded, kind)
    except UnsupportedOtlp as error:
        return _refused(415, str(error))
    except InvalidOtlp as error:
        return _refused(400, str(error))
    except OtlpUnavailable as error:
        return _refused(501, str(error))
    if not installed.writer.has_room(len(decoded.events)):
        response = _refused(503, "the trace buffer is full; send it again")
        response["Retry-After"] = "5"
        return response
    for event in decoded.events:
        installed.writer.emit(event)
    return HttpResponse(answered, content_type=kind.partition(";")[0])


def _unpacked(request: HttpRequest) -> bytes:
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    # Read as a stream: the limit of Django's `body` is that of forms.
    sent = request.read(MAX_BODY + 1)
    if len(sent) > MAX_BODY:
        raise OverflowError
    if encoding == "identity":
        return sent
    if encoding != "gzip":
        raise ValueError("only gzip")
    # Bounded while it grows: a small body may unpack to any size.
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    body = unpacker.decompress(sent, MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise OverflowError
    if not unpacker.eof:
        raise ValueError("cut off")
    return body


def _refused(status: int, why: str) -> HttpResponse:
    return JsonResponse({"message": why}, status=status)
