"""Finds, in the source, which types of event the product emits."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from tests.cosmos_server import ROOT

PACKAGES = ("storage", "actors", "tracing", "loomweb")
PASSED_ON = {
    "tracing/spanlog.py": "gives back what was told",
    "tracing/segment_v1.py": "reads back what was stored",
    "tracing/legacy.py": "reads back what was stored",
    "tracing/export.py": "reads back what was exported",
    "tracing/pages/ingest.py": "emits the events that tracing/otlp/decode.py made",
}
"""Modules that may hand on types which the source does not tell, and why."""


@dataclass(frozen=True)
class Site:
    """A place that emits an event.

    Attributes:
        types: of which types it may be, "*" standing for a part that the source does not tell;
            None where it tells nothing.
    """

    place: str
    types: frozenset[str] | None


def emitting_sites() -> list[Site]:
    """Return every place in the product that makes or emits an event."""
    sources = {
        path.relative_to(ROOT): path.read_text()
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }
    return [site for path in sources for site in sites_in(path, sources)]


def sites_in(path: Path, sources: Mapping[Path, str]) -> Iterator[Site]:
    """Yield the sites of one module: arguments of `.emit(…)`, `.note(…)`, `Event(…)`.

    A function of the module that passes a parameter of its own on is a site wherever it is called.
    Who looks up the code of a type, as in `CODES["lock:lost"]`, tells events of it by that.
    """
    module = _Module(ast.parse(sources[path]), _constants(tuple(sources.values())))
    for line, name in module.codes:
        yield Site(f"{path}:{line}", frozenset((name,)))
    emitters = [("emit", 0), ("note", 0), ("Event", 0)]
    for name, position in emitters:
        for call in module.calls_of(name):
            given = _argument(call, position)
            if given is not call and _called(given) == "Event":
                continue
            passed = module.parameter(call, given)
            if passed is None:
                types = module.texts(given, module.around(call))
                yield Site(f"{path}:{call.lineno}", frozenset(types) or None)
            elif passed not in emitters and passed[0] not in ("emit", "note"):
                emitters.append(passed)


_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Values = dict[str, list[ast.expr]]


@cache
def _constants(sources: tuple[str, ...]) -> _Values:
    """Return what modules give names to outside of functions."""
    return _assigned([node for source in sources for node in ast.parse(source).body])


class _Module:
    """A module's syntax tree, with what its names may stand for."""

    def __init__(self, tree: ast.Module, constants: _Values) -> None:
        nodes = list(ast.walk(tree))
        self._calls = [node for node in nodes if isinstance(node, ast.Call)]
        self.codes = [found for node in nodes for found in _looked_up(node)]
        self._around: dict[ast.AST, _Function] = {}
        self._local: dict[_Function, _Values] = {}
        for node in nodes:
            if isinstance(node, _Function):
                # Outer functions come first, so that the innermost one stays.
                self._around.update(dict.fromkeys(ast.walk(node), node))
                self._local[node] = _assigned(ast.walk(node))
        self._values = {**constants, **_assigned(nodes)}

    def calls_of(self, name: str) -> list[ast.Call]:
        return [call for call in self._calls if _called(call) == name]

    def around(self, node: ast.AST) -> _Function | None:
        return self._around.get(node)

    def parameter(self, call: ast.Call, given: ast.expr) -> tuple[str, int] | None:
        """Return the function around the call and which of its parameters `given` is, or None."""
        function = self.around(call)
        if function is None or not isinstance(given, ast.Name):
            return None
        names = [argument.arg for argument in function.args.args if argument.arg != "self"]
        return (function.name, names.index(given.id)) if given.id in names else None

    def texts(self, node: ast.expr, within: _Function | None, *, depth: int = 6) -> set[str]:
        """Return what the expression may be; empty where that cannot be told."""
        if not depth:
            return set()
        match node:
            case ast.Constant(value=str() as text):
                return {text}
            case ast.JoinedStr(values=parts):
                found = [self.texts(part, within, depth=depth - 1) or {"*"} for part in parts]
                return {"".join(each) for each in product(*found)}
            case ast.IfExp(body=one, orelse=other):
                found_in = [one, other]
            case ast.Dict(values=values):
                found_in = values
            case ast.FormattedValue(value=value) | ast.Subscript(value=value):
                found_in = [value]
            case ast.Name(id=name) | ast.Attribute(attr=name):
                # What a loop takes from elsewhere has the same name where it was put there.
                local = self._local[within].get(name) if within is not None else None
                found_in = local or self._values.get(name, [])
            case _:
                return set()
        return {text for one in found_in for text in self.texts(one, within, depth=depth - 1)}


def _assigned(nodes: Iterable[ast.AST]) -> _Values:
    values: _Values = {}

    def assign(target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, its in zip(target.elts, value.elts, strict=False):
                assign(one, its)
        elif isinstance(target, ast.Name):
            values.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Attribute):
            values.setdefault(target.attr, []).append(value)

    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                assign(target, node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            assign(node.target, node.value)
    return values


def _looked_up(node: ast.AST) -> Iterator[tuple[int, str]]:
    match node:
        case ast.Subscript(value=ast.Name(id="CODES"), slice=ast.Constant(value=str() as name)):
            yield node.lineno, name


def _called(node: ast.expr) -> str | None:
    """Return the name of the function or method that is called; "Event" only as a bare name."""
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Name):
        return node.func.id
    if isinstance(node.func, ast.Attribute) and node.func.attr != "Event":
        return node.func.attr
    return None


def _argument(call: ast.Call, position: int) -> ast.expr:
    """Return the argument that tells the type; without one the call itself, which does not."""
    given: list[ast.expr] = []
    for argument in call.args:
        unpacked = argument.value if isinstance(argument, ast.Starred) else None
        given += unpacked.elts if isinstance(unpacked, ast.Tuple) else [argument]
    if len(given) > position:
        return given[position]
    named = {"type", "event_type", "event"}
    return next((word.value for word in call.keywords if word.arg in named), call)
