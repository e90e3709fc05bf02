"""How static files are named: by what is in them, scripts that import each other included."""

from __future__ import annotations

from whitenoise.storage import (  # type: ignore[import-untyped]
    CompressedManifestStaticFilesStorage,
)

_FROM = r"""(?P<matched>import(?P<names>[^'"]*?)from\s*["'](?P<url>\./[^"']+)["']\s*;)"""


class ModuleStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Puts hashed names into the imports of our scripts, so that browsers may keep all for ever.

    Otherwise a browser could put a new script together with an old one that it imports. Django can
    do so too, but for all scripts alike, and takes comments in vendored ones for imports.
    """

    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        ("js/*.js", ((_FROM, 'import%(names)sfrom "%(url)s";'),)),
    )
