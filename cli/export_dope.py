"""`mcbench export-dope`: a network as an ONNX graph."""

from __future__ import annotations

from pathlib import Path

import click

from mcbench.cli.common import Output, common_options
from mcbench.dope.checkpoint import load_network
from mcbench.dope.engines import export_onnx
from mcbench.errors import UsageError


@click.command("export-dope")
@click.argument("weights", type=click.Path(path_type=Path))
@click.argument("graph", type=click.Path(path_type=Path))
@common_options
def command(output: Output, weights: Path, graph: Path) -> int:
    """Write the network of the file WEIGHTS as the ONNX graph GRAPH, and its configuration beside it (.json).

    \b
    Example:
      mcbench export-dope dope/model.pt dope/model.onnx
    """
    if graph.suffix != ".onnx":
        raise UsageError("a graph's name ends in .onnx", path=graph)
    for path in (graph, graph.with_suffix(".json")):
        if path.is_dir():
            raise UsageError("is a folder", path=path)
    export_onnx(load_network(weights), graph)
    output.result({"graph": str(graph), "bytes": graph.stat().st_size}, f"{graph}")
    return 0
