"""A web server on this machine that serves files and misbehaves as told."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Resource:
    """What is served under one path.

    Attributes
    ----------
    body : the content. kind : its Content-Type.
    status : with anything but 200, `body` is the error page; `failures` requests get it (None: all), the rest 200.
    headers : further headers of the error.
    cut_after : bytes of the file after which a connection that would pass them is cut; `cuts` of them (None: all).
    """

    body: bytes = b""
    kind: str = "video/mp4"
    status: int = 200
    failures: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    cuts: int | None = 1


@dataclass
class Request:
    """A request that came in: its path, the first byte it asked for, and when."""

    path: str
    first_byte: int | None


class VideoServer:
    """Serves `resources` by path; `requests` keeps what was asked for."""

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def add(self, path: str, resource: Resource) -> str:
        """Serve a resource; returns its address."""
        self.resources[path] = resource
        return f"{self.address}{path}"

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    @contextmanager
    def running(self) -> Iterator[VideoServer]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
                first = int(asked[1]) if asked else None
                server.requests.append(Request(self.path, first))
                resource = server.resources.get(self.path, Resource(b"nothing here", "text/plain", 404))
                if resource.status != 200 and server.takes(resource, "failures"):
                    self.answer(resource.status, resource, resource.body, resource.headers)
                    return
                start = first or 0
                body = resource.body[start:]
                ranged = {"Content-Range": f"bytes {start}-{len(resource.body) - 1}/{len(resource.body)}"}
                cut = resource.cut_after
                if cut is not None and start <= cut < len(resource.body) and server.takes(resource, "cuts"):
                    self.answer(206 if asked else 200, resource, body, ranged if asked else {}, cut - start)
                    self.wfile.flush()
                    self.connection.shutdown(2)
                else:
                    self.answer(206 if asked else 200, resource, body, ranged if asked else {})

            def answer(
                self, status: int, resource: Resource, body: bytes, headers: dict[str, str], send: int | None = None
            ) -> None:
                self.send_response(status)
                self.send_header("Content-Type", resource.kind)
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body if send is None else body[:send])

        return Handler

    def takes(self, resource: Resource, counter: str) -> bool:
        """Whether a limited misbehaviour is still due; uses one up."""
        with self._lock:
            left = getattr(resource, counter)
            if left is None:
                return True
            if left > 0:
                setattr(resource, counter, left - 1)
            return left > 0
