"""Wrong options of `mcbench download` are wrong usage: no video may count as gone because of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcbench.dataset.fetch import Fetcher, FetchSettings
from mcbench.errors import UsageError


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"format": "[[["}, "--format '\\[\\[\\['"),
        ({"rate_limit": "abc"}, "^invalid rate limit"),
        ({"backoff_s": float("nan")}, "--backoff"),
        ({"cookies": "not_cookies.txt"}, "cookies cannot be loaded"),
        ({"cookies": "absent.txt"}, "no such file"),
        ({"cookies_from_browser": "firefox:/nowhere"}, "cookies cannot be loaded"),
        ({"cookies": "not_cookies.txt", "cookies_from_browser": "firefox"}, "exclude each other"),
    ],
)
def test_wrong_options_are_told_before_anything_is_fetched(tmp_path: Path, wrong: dict[str, Any], says: str) -> None:
    (tmp_path / "not_cookies.txt").write_text("{}")
    if "cookies" in wrong:
        wrong = {**wrong, "cookies": tmp_path / wrong["cookies"]}
    with pytest.raises(UsageError, match=says):
        Fetcher(tmp_path, FetchSettings(**wrong))
