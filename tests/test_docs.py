"""The documents say what is so: every setting has a row, and the README's actor runs."""

from __future__ import annotations

import re
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from loomweb.config import ConfigError, load_config
from loomweb.plugins import load_actors
from tests.cosmos_server import ROOT
from tests.processes import serving

README = (ROOT / "README.md").read_text()


def test_every_setting_has_its_row_and_every_row_its_setting() -> None:
    source = (ROOT / "loomweb" / "config.py").read_text()
    read = set(re.findall(r'"((?:LOOM_|COSMOS_)[A-Z_]+|HOST|PORT)"', source))
    rows = set(
        re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/configuration.md").read_text(), re.M)
    )
    assert read == rows


def test_links_between_the_documents_lead_somewhere() -> None:
    for file in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = file.read_text()
        pictures = re.findall(r'(?:src|srcset)="([^"]+)"', text)
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text) + pictures:
            assert (file.parent / target).exists(), f"{file.name} links to {target}"


def test_each_guarantee_names_a_test_that_exists() -> None:
    table = (ROOT / "docs/actors.md").read_text().partition("## What is guaranteed")[2]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    for row in rows:
        named = re.search(r"`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)` \|$", row)
        assert named is not None, f"no test in {row}"
        assert f"def {named[2]}(" in (ROOT / named[1]).read_text(), row
    assert len(rows) > 10


def examples(document: str) -> list[str]:
    return [str(code) for code in re.findall(r"```python\n(.*?)```", document, re.S)]


ACTOR, TEST = examples(README)


def run_tests(code: str) -> int:
    """Run the test functions of an example; return how many there are."""
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    tests = [value for name, value in namespace.items() if name.startswith("test_")]
    for test in tests:
        test()
    return len(tests)


def test_the_readmes_test_is_as_short_as_it_says_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len([line for line in TEST.splitlines() if line.strip()]) <= 15
    (tmp_path / "my_actors.py").write_text(ACTOR)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert run_tests(TEST) == 1
    finally:
        sys.modules.pop("my_actors", None)


def test_the_tests_of_the_page_on_testing_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = examples((ROOT / "docs" / "testing.md").read_text())
    assert [run_tests(code) for code in page] == [1, 1]


def test_the_example_of_the_page_on_actors_passes() -> None:
    (code,) = examples((ROOT / "docs" / "actors.md").read_text())
    assert run_tests(code) == 1


def test_the_readmes_actor_is_as_short_as_it_says_and_runs(tmp_path: Path) -> None:
    code = ACTOR
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    (tmp_path / "my_actors.py").write_text(code)
    settings = {"LOOM_ACTORS": "my_actors", "PYTHONPATH": str(tmp_path)}
    with serving(tmp_path / "data", **settings) as address:
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        page = opener.open(f"{address}workflows/pay/", timeout=10).read().decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token
        form = {"csrfmiddlewaretoken": token[1], "pay-account": "ada", "pay-cents": "700"}
        answer = opener.open(f"{address}workflows/pay/", urlencode(form).encode(), timeout=10)
        trace = answer.geturl().partition("?")[0]
        for _ in range(100):
            shown = opener.open(f"{trace}?new=1", timeout=10).read().decode()
            if "completed" in shown:
                break
            time.sleep(0.1)
        assert "<code>pay</code> completed" in shown
        assert "charge" in shown


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("raise ValueError('broken')", "cannot be imported: ValueError: broken"),
        ("x = 1", "defines no Actor"),
        (
            "import actors\n\n\nclass Order(actors.Actor): ...\n",
            "defines Order a second time",
        ),
    ],
)
def test_a_module_that_cannot_be_served_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, complaint: str
) -> None:
    name = f"actors_of_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=complaint):
        load_actors([name])
    with pytest.raises(ConfigError, match="cannot be imported"):
        load_actors(["no_such_module"])


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"PORT": "70000"}, "PORT is '70000'"),
        ({"LOOM_CONCURRENCY": "0"}, "LOOM_CONCURRENCY"),
        ({"LOOM_LEASE_SECONDS": "nan"}, "LOOM_LEASE_SECONDS"),
        ({"LOOM_STORE": "cosmos"}, "COSMOS_ENDPOINT"),
        ({"LOOM_STORE": "cosmos", "COSMOS_ENDPOINT": "name"}, "COSMOS_ENDPOINT"),
        ({"LOOM_STORE": "cosmos", "COSMOS_ENDPOINT": "http://far.example/"}, "must be https"),
        ({"LOOM_DEBUG": "yes"}, "LOOM_DEBUG is 'yes'; it takes one of 0, 1"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_takes(
    tmp_path: Path, environ: dict[str, str], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_config({"LOOM_DATA_DIR": str(tmp_path), **environ})


def test_a_login_is_asked_for_wherever_others_can_reach(tmp_path: Path) -> None:
    def asked(host: str) -> bool:
        return load_config({"LOOM_DATA_DIR": str(tmp_path), "HOST": host}).require_login

    assert not asked("127.0.0.1")
    assert not asked("localhost")
    assert asked("0.0.0.0")
    assert asked("192.168.1.5")
    assert asked("::")


def test_the_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    first = load_config({"LOOM_DATA_DIR": str(tmp_path)}).secret_key
    assert load_config({"LOOM_DATA_DIR": str(tmp_path)}).secret_key == first
    assert len(first) >= 50
    assert (tmp_path / "secret-key").stat().st_mode & 0o077 == 0
