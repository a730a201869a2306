"""`catalog.sqlite`: an index over a workspace for those who like SQL; it can be rebuilt from the folders."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from mcbench.dataset.files import write_bytes
from mcbench.workspace.workspace import Workspace

_SCHEMA = """
CREATE TABLE scene (id TEXT PRIMARY KEY, name TEXT, origin TEXT);
CREATE TABLE stage (
    scene TEXT REFERENCES scene(id), stage TEXT, status TEXT, current INTEGER, reason TEXT, message TEXT,
    key TEXT, result_digest TEXT, duration_s REAL, started_at TEXT, PRIMARY KEY (scene, stage)
);
"""


def rebuild_catalog(workspace: Workspace) -> Path:
    """Write the catalog anew from the stage records; only driver processes call this. Returns its path."""
    path = workspace.root / "catalog.sqlite"
    connection = sqlite3.connect(":memory:")  # a file beside it would be shared with other commands that run now
    try:
        connection.executescript(_SCHEMA)
        for scene in workspace.scenes():
            source = scene.any_record("source")
            origin = source.provenance.get("origin") if source else None
            connection.execute("INSERT INTO scene VALUES (?, ?, ?)", (scene.id, scene.name, origin))
            for folder in sorted(p for p in scene.folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
                record = scene.any_record(folder.name)
                if record is not None:
                    connection.execute(
                        "INSERT INTO stage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        (
                            scene.id,
                            record.stage,
                            record.status,
                            int(scene.record(folder.name) is not None),
                            record.reason,
                            record.message,
                            record.key,
                            record.result_digest,
                            record.duration_s,
                            record.started_at,
                        ),
                    )
        connection.commit()
        write_bytes(path, connection.serialize())
    finally:
        connection.close()
    return path
