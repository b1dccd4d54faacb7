"""The server of the page: this machine only, unless asked otherwise; it reads and never writes."""

import logging
import socket
from contextlib import suppress
from pathlib import Path

from dash import Dash
from flask import Flask, Response, request
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from stackelgrid.analysis.view.callbacks import register
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.analysis.view.layout import page

PORT = 8050
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
EVERYWHERE = frozenset({"0.0.0.0", "::"})
# everything comes from this server; plotly.js and Dash make code and styles of their own
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; worker-src 'self' blob:; "
    "font-src 'self' data:; frame-ancestors 'none'"
)


def application(run: LiveRun, host: str = "127.0.0.1") -> Dash:
    """Return the application that shows a run to whoever reaches `host`."""
    app = Dash(
        __name__,
        title=f"{run.run.name} · stackelgrid",
        update_title="",
        serve_locally=True,
        assets_folder=str(Path(__file__).parent / "assets"),
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        add_log_handler=False,
    )
    app.layout = lambda: page(run)
    register(app, run)
    _guard(app.server, host)
    return app


def _guard(server: Flask, host: str) -> None:
    """Answer only to the names the server was bound to: a foreign page cannot rebind its own."""

    @server.before_request
    def check_host() -> Response | None:
        asked = _host_name(request.host)
        if host in EVERYWHERE or asked in _LOOPBACK or asked == host.lower():
            return None
        text = f"{asked}: is no name of this server; {host} is accepted\n"
        return Response(text, 403, mimetype="text/plain")

    @server.after_request
    def headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


def _host_name(text: str) -> str:
    """Name of a Host header without its port."""
    if text.startswith("["):
        return text[1 : text.find("]")].lower()
    return text.rsplit(":", 1)[0].lower() if text.count(":") == 1 else text.lower()


class _Handler(WSGIRequestHandler):
    """One connection of a browser, known to the server for as long as it lasts."""

    server: "PageServer"

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)
        if self.server.closing:  # accepted before, but not yet known when all were ended
            self.server.end(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()


class PageServer(ThreadedWSGIServer):
    """A thread a connection; all of them have ended when the server is closed.

    Browsers keep connections open. Threads that still wait for them when the interpreter ends make
    libraries complain.
    """

    daemon_threads = False

    def __init__(self, host: str, port: int, app: Flask, fd: int) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(host, port, app, handler=_Handler, fd=fd)
        self.closing = False  # not before: the socket of its own that it does not need is closed

    def server_close(self) -> None:
        """End the connections and wait for their threads."""
        self.closing = True
        for connection in list(self.connections):
            self.end(connection)
        super().server_close()

    def end(self, connection: socket.socket) -> None:
        """End a connection; its thread then sees the end of what it reads."""
        with suppress(OSError):  # it has ended by itself
            connection.shutdown(socket.SHUT_RDWR)


def bind(app: Dash, host: str, port: int | None) -> PageServer:
    """Return a server that listens: at the port asked for, or at PORT or a free one.

    Raises OSError where host or port cannot be had.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # one line a request helps nobody
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, PORT if port is None else port), family=family)
    except OSError:
        if port is not None:
            raise
        listener = socket.create_server((host, 0), family=family)
    number = listener.getsockname()[1]
    with listener:  # the server works on a duplicate
        return PageServer(host, number, app.server, listener.fileno())


def address(host: str, port: int) -> str:
    """Address of the page in a browser of this machine."""
    shown = "localhost" if host in EVERYWHERE else host
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"
