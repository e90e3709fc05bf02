"""Static files are answered before Django; everything else is left to it."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from loomweb.static_serving import CHUNK, StaticFiles

LARGE = "ab" * (2 * CHUNK)
SHEET = b"a { color: red }\n" * 40


@pytest.fixture
def files(tmp_path: Path) -> StaticFiles:
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "a.css").write_bytes(SHEET)
    (tmp_path / "css" / "a.css.gz").write_bytes(gzip.compress(SHEET))
    (tmp_path / "large.js").write_text(LARGE)

    async def django(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    with override_settings(STATIC_ROOT=tmp_path, WHITENOISE_USE_FINDERS=False):
        return StaticFiles(django)


async def ask(
    files: StaticFiles, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    named = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    scope = {"type": "http", "path": path, "method": method, "headers": named}
    await files(scope, None, send)
    assert [message.get("more_body", False) for message in sent][-1] is False
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(message.get("body", b"") for message in sent[1:])


async def test_a_file_comes_with_its_headers_and_compressed_where_that_is_understood(
    files: StaticFiles,
) -> None:
    status, headers, body = await ask(files, "/static/css/a.css")
    assert (status, body) == (200, SHEET)
    assert headers["content-type"].startswith("text/css")
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    status, headers, body = await ask(files, "/static/css/a.css", accept_encoding="gzip, br")
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == SHEET


async def test_a_file_that_is_known_is_not_sent_again(files: StaticFiles) -> None:
    _, headers, _ = await ask(files, "/static/css/a.css")
    status, _, body = await ask(files, "/static/css/a.css", if_none_match=headers["etag"])
    assert (status, body) == (304, b"")


async def test_a_large_file_comes_in_pieces(files: StaticFiles) -> None:
    status, headers, body = await ask(files, "/static/large.js")
    assert (status, body) == (200, LARGE.encode())
    assert headers["content-length"] == str(len(LARGE))


async def test_only_reading_is_allowed(files: StaticFiles) -> None:
    status, _, body = await ask(files, "/static/css/a.css", "HEAD")
    assert (status, body) == (200, b"")
    assert (await ask(files, "/static/css/a.css", "POST"))[0] == 405


@pytest.mark.parametrize(
    "path", ["/", "/static/", "/static/none.css", "/static/../settings.py", "/static/css/../a.css"]
)
async def test_whatever_is_no_file_is_left_to_django(files: StaticFiles, path: str) -> None:
    assert (await ask(files, path))[::2] == (299, path.encode())
