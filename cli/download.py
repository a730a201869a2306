"""`mcbench download`: the videos that a list names become scenes."""

from __future__ import annotations

from pathlib import Path

import click

from mcbench.cli.common import SOME_FAILED, Output, common_options, table
from mcbench.dataset.fetch import DEFAULT_FORMAT, OK, FetchSettings, VideoRecord
from mcbench.dataset.video import FrameSelection
from mcbench.pipelines.download import ClipOutcome, DownloadSettings, download
from mcbench.workspace.catalog import rebuild_catalog
from mcbench.workspace.workspace import Workspace


@click.command("download")
@click.argument("source", metavar="LIST", type=click.Path(path_type=Path))
@click.argument("workspace", type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(1), help="Only the first N clips of the list.")
@click.option("--jobs", type=click.IntRange(1, 16), default=2, show_default=True, help="Videos fetched at a time.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True,
              help="Use each N-th frame of a whole video.")  # fmt: skip
@click.option("--max-frames", type=click.IntRange(0), default=FrameSelection.max_frames, show_default=True,
              help="Thin whole videos evenly to N frames; 0: no limit.")  # fmt: skip
@click.option("--format", "format_", default=DEFAULT_FORMAT, show_default=True, help="yt-dlp's format selection.")
@click.option("--retries", type=click.IntRange(0), default=FetchSettings.retries, show_default=True,
              help="Further attempts after a temporary failure.")  # fmt: skip
@click.option("--backoff", type=click.FloatRange(0), default=FetchSettings.backoff_s, show_default=True,
              metavar="SECONDS",
              help="Wait before the first further attempt; doubled each time.")  # fmt: skip
@click.option("--rate-limit", metavar="RATE", help="Bytes a second and video, e.g. 500K or 4M.")
@click.option("--cookies", type=click.Path(path_type=Path), metavar="FILE", help="Cookies in Netscape format.")
@click.option("--cookies-from-browser", metavar="BROWSER", help="As yt-dlp takes it: BROWSER[+KEYRING][:PROFILE].")
@click.option("--retry-failed", is_flag=True, help="Try again what failed for good (removed, private, …), too.")
@click.option("--salvage", is_flag=True, help="Use what decodes of damaged videos.")
@common_options
def command(
    output: Output,
    source: Path,
    workspace: Path,
    limit: int | None,
    jobs: int,
    every: int,
    max_frames: int,
    format_: str,
    retries: int,
    backoff: float,
    rate_limit: str | None,
    cookies: Path | None,
    cookies_from_browser: str | None,
    retry_failed: bool,
    salvage: bool,
) -> int:
    """Fetch the videos that LIST names and add them to WORKSPACE, which is made if need be.

    LIST is a Mannequin Challenge folder (train/, validation/, test/), one of its files, or a text file with an
    address (http, https, file) or a path a line, relative to the list; # starts a comment.
    Videos are kept once in WORKSPACE/downloads, each with a record of its origin. Run again to resume: what is there
    is left alone, what failed for a while is tried again.

    \b
    Examples:
      mcbench download MannequinChallenge/test ws --limit 20
      mcbench download urls.txt ws --rate-limit 2M --cookies-from-browser firefox
      mcbench download clips.txt ws --json
    """
    fetch = FetchSettings(
        format=format_,
        retries=retries,
        backoff_s=backoff,
        rate_limit=rate_limit,
        cookies=cookies,
        cookies_from_browser=cookies_from_browser,
        retry_failed=retry_failed,
        salvage=salvage,
    )
    settings = DownloadSettings(limit, jobs, FrameSelection(every=every, max_frames=max_frames), fetch)
    with output.progress("videos") as advance:

        def report(record: VideoRecord, clips: list[ClipOutcome], total: int) -> None:
            advance(1)
            if record.status != OK:
                output.problem(f"{record.address}: {record.reason}: {record.message}")
            for clip in clips:
                for note in clip.notes:
                    output.note(f"{clip.clip}: {note}")
                if clip.status == "failed" and record.status == OK:
                    output.problem(f"{clip.clip}: {clip.reason}: {clip.message}")

        result = download(source, workspace, settings, report)
    for clip in result.clips:
        if clip.video is None:
            output.problem(f"{clip.reason}: {clip.message}")
    rebuild_catalog(Workspace.open(workspace))
    coverage = result.coverage()
    rows = [
        [what, c["total"], c["ok"], c["failed"], ", ".join(f"{n} {reason}" for reason, n in c["by_reason"].items())]
        for what, c in coverage.items()
    ]
    output.result(
        {"workspace": str(workspace), **result.to_json()},
        table(None, "", "total", "ok", "missing", "why", rows=rows),
    )
    return 0 if result.complete else SOME_FAILED
