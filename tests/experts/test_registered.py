"""The detectors that the documents name are registered: the entry points of setup.cfg lead to them."""

from __future__ import annotations

import configparser
from importlib.metadata import EntryPoint
from pathlib import Path

from mcbench.experts.base import GROUP


def test_documented_detectors_are_registered() -> None:
    config = configparser.ConfigParser()
    config.read(Path(__file__).parents[2] / "setup.cfg")
    lines = config["options.entry_points"][GROUP].strip().splitlines()
    entries = [EntryPoint(*(part.strip() for part in line.split("=")), group=GROUP) for line in lines]
    assert {entry.name for entry in entries} == {"blazepose", "rtmpose"}
    for entry in entries:
        assert entry.load().name == entry.name
