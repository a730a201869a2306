"""Why a video could not be fetched: yt-dlp's exceptions and messages brought to a few typed reasons."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from yt_dlp.networking.exceptions import HTTPError, TransportError
from yt_dlp.utils import ContentTooShortError, GeoRestrictedError, UnsupportedError, UserNotLive

#: When it makes sense to try again: in a moment, at the next run, or only when a person has changed something.
NOW, NEXT_RUN, NEVER = "now", "next_run", "never"

#: Reasons by when to try again.
RETRY = {
    "network": NOW,
    "rate_limited": NOW,
    "interrupted": NEXT_RUN,
    "not_yet_available": NEXT_RUN,
    "disk_full": NEXT_RUN,
    "extractor_broken": NEXT_RUN,
    "bot_check": NEXT_RUN,
    "forbidden": NEXT_RUN,
    "removed": NEVER,
    "private": NEVER,
    "login_required": NEVER,
    "age_restricted": NEVER,
    "geo_blocked": NEVER,
    "drm_protected": NEVER,
    "format_unavailable": NEVER,
    "playlist": NEVER,
    "not_video": NEVER,
    "corrupt": NEVER,
}

_STATUS = {
    401: "login_required",
    403: "forbidden",
    404: "removed",
    410: "removed",
    407: "network",
    408: "network",
    425: "network",
    429: "rate_limited",
    451: "geo_blocked",
}

# Extractors put a site's own words into their errors. The first pattern that is found decides, so the more
# particular ones come first: "Video unavailable. The uploader has not made this video available in your country".
_WORDS = (
    ("rate_limited", r"rate-limited|too many requests|http error 429"),
    ("bot_check", r"not a bot|captcha|unusual traffic|anti-bot|are (?:you )?(?:a )?human|cloudflare"),
    ("age_restricted", r"confirm your age|age[- ]restricted|age[- ]limit|age verification|inappropriate for some"),
    ("geo_blocked", r"in your (?:country|region|location)|from your (?:country|region|location)|geo[- ]?restrict"),
    ("drm_protected", r"\bdrm\b"),
    ("private", r"\bprivate\b|you do not have access|requires permission"),
    ("not_yet_available", r"premieres? (?:in|will)|will begin|is scheduled|not (?:yet )?started|processing|not live"),
    ("removed", r"been removed|removed by|no longer available|terminated|deleted|does not exist|not found|expired"
                r"|video unavailable|video is unavailable|is not available|isn't available|http error 4(?:04|10)"),
    ("login_required", r"members?[- ]only|join this channel|sign in|log ?in|registered users|subscri|premium|\bpaid\b"
                       r"|requires payment|password|cookies"),
    ("format_unavailable", r"requested format is not available"),
    ("not_video", r"unsupported url|not a valid url|no video|there is no video|no media found|no formats"),
    ("corrupt", r"did not get any data"),
    ("network", r"timed? ?out|connection|unable to connect|name resolution|unreachable|http error 5\d\d|ssl|incomplete"
                r"|bytes read|temporary failure|remote end closed|giving up after"),
)  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """Why fetching failed: `reason` is a key of `RETRY`; `retry_after_s` what the server asked to wait, if at all."""

    reason: str
    message: str
    retry_after_s: float | None = None

    @property
    def retry(self) -> str:
        return RETRY[self.reason]


def classify(error: BaseException) -> Failure:
    """The failure that an exception from yt-dlp means."""
    causes = list(_chain(error))
    message = clean_message(str(error))
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return Failure("disk_full", message)
        if isinstance(cause, GeoRestrictedError):
            return Failure("geo_blocked", message)
        if isinstance(cause, UserNotLive):
            return Failure("not_yet_available", message)
        if isinstance(cause, UnsupportedError):
            return Failure("not_video", "no video was found at this address")
    if "file:// URLs are disabled" in message:
        return Failure("not_video", "it names files of this machine, which a web page must not")
    for cause in causes:
        if isinstance(cause, HTTPError):
            return _of_status(cause, message)
    for reason, pattern in _WORDS:
        if re.search(pattern, message, re.IGNORECASE):
            return Failure(reason, message)
    if any(isinstance(c, (TransportError, ContentTooShortError, TimeoutError, ConnectionError)) for c in causes):
        return Failure("network", message)
    return Failure("extractor_broken", message)


def clean_message(text: str) -> str:
    """yt-dlp's message in one line, without colours, prefixes, causes and the request for bug reports."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = re.sub(r";?\s*please report this issue on .*", "", text, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" \(caused by .*\)$", "", text)  # says the same once more
    return re.sub(r"^(?:ERROR: )*(?:\[[\w:.-]+\] (?:[\w-]+: )?)?", "", text) or "unknown error"


def retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: a number of seconds or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    value = value.strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _of_status(error: HTTPError, message: str) -> Failure:
    wait = retry_after(error.response.headers.get("Retry-After"))
    if error.status >= 500:
        return Failure("network", message, wait)
    if error.status == 403 and re.search(r"anti-bot|cloudflare|captcha", message, re.IGNORECASE):
        return Failure("bot_check", message, wait)
    return Failure(_STATUS.get(error.status, "extractor_broken"), message, wait)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and all that it was made from: yt-dlp keeps causes in several places."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        info = getattr(current, "exc_info", None)
        inner = info[1] if isinstance(info, tuple) and len(info) > 1 else None
        cause = getattr(current, "cause", None)
        waiting += [inner, cause if isinstance(cause, BaseException) else None, current.__cause__, current.__context__]
