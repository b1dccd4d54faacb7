"""The server of the page, on this machine only by default; it reads and never writes."""

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
# load only from this server; plotly.js and Dash generate code and styles at run time
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; worker-src 'self' blob:; "
    "font-src 'self' data:; frame-ancestors 'none'"
)


def application(run: LiveRun, host: str = "127.0.0.1") -> Dash:
    """Return the application that shows a run to clients that connect to `host`."""
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
    """Refuse requests for other host names, against DNS rebinding by foreign pages."""

    @server.before_request
    def check_host() -> Response | None:
        asked = _host_name(request.host)
        if host in EVERYWHERE or asked in _LOOPBACK or asked == host.lower():
            return None
        text = f"{asked}: is not a name of this server; {host} is accepted\n"
        return Response(text, 403, mimetype="text/plain")

    @server.after_request
    def headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


def _host_name(text: str) -> str:
    """Return the name in a Host header without its port."""
    if text.startswith("["):
        return text[1 : text.find("]")].lower()
    return text.rsplit(":", 1)[0].lower() if text.count(":") == 1 else text.lower()


class _Handler(WSGIRequestHandler):
    """A connection of a browser, registered with the server while it is open."""

    server: "PageServer"

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)
        if self.server.closing:  # accepted before, but not yet registered, when all were ended
            self.server.end(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()


class PageServer(ThreadedWSGIServer):
    """A server with one thread for each connection; closing it ends all threads.

    Browsers keep connections open, and threads that wait for them at the interpreter's end cause
    errors in libraries.
    """

    daemon_threads = False

    def __init__(self, host: str, port: int, app: Flask, fd: int) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(host, port, app, handler=_Handler, fd=fd)
        self.closing = False  # set after super().__init__, which closes an unused socket

    def server_close(self) -> None:
        """End the connections and wait for their threads."""
        self.closing = True
        for connection in list(self.connections):
            self.end(connection)
        super().server_close()

    def end(self, connection: socket.socket) -> None:
        """Shut down a connection; its thread then reads the end of the stream."""
        with suppress(OSError):  # it has ended by itself
            connection.shutdown(socket.SHUT_RDWR)


def bind(app: Dash, host: str, port: int | None) -> PageServer:
    """Return a listening server: at the given port, or by default at PORT or a free one.

    Raises OSError if host or port is not available.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no log line for each request
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
    """Return the address of the page for a browser on this machine."""
    shown = "localhost" if host in EVERYWHERE else host
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"
