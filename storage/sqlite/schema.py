"""A container's table, brought to what its spec says."""

from __future__ import annotations

import sqlite3

from storage.document import decode
from storage.spec import ContainerSpec
from storage.sqlite import translate


def prepare(connection: sqlite3.Connection, spec: ContainerSpec) -> None:
    """Create the table and its indexes, or add the columns and indexes that a newer spec names.

    A new column is filled from the documents that are there, once.
    """
    name = translate.table_name(spec)
    connection.execute(translate.table(spec))
    missing = _missing(connection, spec)
    for path in missing:
        connection.execute(f"ALTER TABLE {name} ADD COLUMN {translate.column(path)}")
    outdated = _indexes(connection, spec) - translate.index_names(spec)
    for index in sorted(outdated):
        connection.execute(f'DROP INDEX "{index}"')
    if missing:
        _fill(connection, spec)
    for statement in translate.schema(spec):
        connection.execute(statement)


def differences(connection: sqlite3.Connection, spec: ContainerSpec) -> list[str]:
    """Return what `prepare` would change."""
    if not list(connection.execute(f"PRAGMA table_info({translate.table_name(spec)})")):
        return [f"{spec.name}: there is no such table"]
    found = [f"{spec.name}: {path} has no column" for path in _missing(connection, spec)]
    have, want = _indexes(connection, spec), translate.index_names(spec)
    if have != want:
        found.append(
            f"{spec.name}: {len(want - have)} indexes are missing, {len(have - want)} outdated"
        )
    return found


def _missing(connection: sqlite3.Connection, spec: ContainerSpec) -> list[str]:
    rows = connection.execute(f"PRAGMA table_info({translate.table_name(spec)})")
    present = {row[1] for row in rows}
    return [path for path in spec.paths if translate.column(path).strip('"') not in present]


def _indexes(connection: sqlite3.Connection, spec: ContainerSpec) -> set[str]:
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL",
        (spec.name,),
    )
    return {row[0] for row in rows}


def _fill(connection: sqlite3.Connection, spec: ContainerSpec) -> None:
    name = translate.table_name(spec)
    columns = translate.Columns(spec)
    fields = ", ".join(f"{name} = ?" for name in columns.names)
    update = f"UPDATE {name} SET {fields} WHERE lsn = ?"  # noqa: S608
    after = 0
    while True:
        rows = connection.execute(
            f"SELECT lsn, body FROM {name} WHERE lsn > ? ORDER BY lsn LIMIT 500",  # noqa: S608
            (after,),
        ).fetchall()
        if not rows:
            return
        found = [(lsn, columns.of(decode(body))) for lsn, body in rows]
        connection.executemany(
            update, [(*map(values.get, columns.names), lsn) for lsn, values in found]
        )
        after = rows[-1][0]
