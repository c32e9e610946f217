"""Boathouse, the sample product: a small booking service for boat clubs that tells its health and version."""

import http.server
import importlib.util
import json
import os
import pathlib

RELEASE = pathlib.Path(__file__).resolve().parent.parent
VERSION = (RELEASE / "VERSION").read_text().strip()
DATA = pathlib.Path(os.environ["LIFTLOCK_BASE"]) / "data"


def health() -> tuple[int, dict[str, str]]:
    """HTTP status and body: 200 when every part of this release is ready."""
    if importlib.util.find_spec("reports"):
        import reports

        if trouble := reports.trouble(DATA):
            return 500, {"version": VERSION, "status": "failing", "reason": trouble}
    return 200, {"version": VERSION, "status": "ok"}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = health() if self.path == "/health" else (404, {"reason": "not found"})
        content = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
