"""Three steps in a DBOS workflow, on SQLite: `python -m bench.peers.dbos_runs`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
from pathlib import Path

from dbos import DBOS, DBOSConfig

from bench.peers.load import drive


@DBOS.step()
async def add(number: int, to: int) -> dict[str, int]:
    return {"sum": number + to}


@DBOS.workflow()
async def run(number: int) -> int:
    total = number
    for step in range(3):
        total = (await add(total, step))["sum"]
    return total


async def measure(runs: int, concurrency: int) -> dict[str, float]:
    async def one(number: int) -> None:
        assert await run(number) == number + 3

    return await drive(one, runs, concurrency)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--wal", action="store_true")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--process", type=int)
    options = parser.parse_args()
    file = Path(options.folder) / "dbos.sqlite"
    if options.wal:
        # It stays with the file.
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": f"sqlite:///{file}",
        "log_level": "ERROR",
        "run_admin_server": False,
    }
    DBOS(config=config)
    DBOS.launch()
    figures = asyncio.run(measure(options.runs, options.concurrency))
    DBOS.destroy()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
