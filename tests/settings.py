"""Settings for tests: a data folder of their own, static files without a manifest."""

import os
import tempfile

_folder = tempfile.TemporaryDirectory(prefix="loom-tests-")
os.mkdir(os.path.join(_folder.name, "static"))
for name in [name for name in os.environ if name.startswith(("LOOM_", "COSMOS_"))]:
    if name != "LOOM_FORBID_SKIPS":
        del os.environ[name]
os.environ["LOOM_DATA_DIR"] = _folder.name
os.environ["LOOM_DEBUG"] = "1"
os.environ.pop("HOST", None)
os.environ.pop("PORT", None)

from loomweb.settings import *  # noqa: E402, F403

DEBUG = False
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
