"""A real HTTP server for tests of web hooks, in threads of its own, that does to each request what it is told to."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """`what`: answer (with `status` and `headers`), hang (take the request and never answer), close (take it and close
    the connection), endless (an answer whose body never ends)."""

    what: str = "answer"
    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`headers`: names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


class HookReceiver:
    """A context manager; it listens on 127.0.0.1 from its making on. `script`: what becomes of the first requests, one
    each; the others are answered with 204. `requests` has all of them, also those that were not answered."""

    def __init__(self, *script: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self._script = list(script)
        self._over = threading.Event()
        self._server = _server(self)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def port(self) -> int:
        port: int = self._server.server_address[1]
        return port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def events(self) -> list[dict[str, Any]]:
        """The body of every request so far."""
        return [request.json() for request in list(self.requests)]

    def _next(self, request: Request) -> Behaviour:
        self.requests.append(request)
        return self._script.pop(0) if self._script else Behaviour()


def _server(receiver: HookReceiver) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.request.settimeout(5)  # a connection that is kept and not used must not keep its thread for ever
            receiver.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            behaviour = receiver._next(Request(path=self.path, headers=headers, body=body))
            match behaviour.what:
                case "hang":
                    receiver._over.wait()
                    self.close_connection = True
                case "close":
                    self.close_connection = True
                case "endless":
                    self._babble()
                case _:
                    self.send_response(behaviour.status)
                    for name, value in {"Content-Length": "0", **behaviour.headers}.items():
                        if not (name == "Content-Length" and behaviour.status == 204):
                            self.send_header(name, value)
                    self.end_headers()

        def _babble(self) -> None:
            self.close_connection = True
            self.send_response(200)
            self.end_headers()
            try:
                while not receiver._over.is_set():
                    self.wfile.write(b"bla " * 1_024)
            except OSError:
                return

        def log_message(self, format: str, *args: object) -> None:
            """Not on stderr."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that goes away, or does not like the certificate, is what is being tested."""

    return Server(("127.0.0.1", 0), Handler)
