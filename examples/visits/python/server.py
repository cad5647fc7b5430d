#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts visits in /app/data/visits.txt. GET / counts, GET /visits shows, GET /healthz."""

import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATA = os.environ.get("DATA_DIR", "/app/data")
PORT = int(os.environ.get("PORT", "8000"))
FILE = os.path.join(DATA, "visits.txt")
lock = threading.Lock()


def read_count():
    try:
        with open(FILE, encoding="ascii") as f:
            return int(f.read())
    except (FileNotFoundError, ValueError):
        return 0


def count_visit():
    # One writer at a time; the file is replaced whole, so a crash leaves the old count or the new.
    with lock:
        count = read_count() + 1
        os.makedirs(DATA, exist_ok=True)
        with open(FILE + ".new", "w", encoding="ascii") as f:
            f.write(f"{count}\n")
            f.flush()
            os.fsync(f.fileno())
        os.replace(FILE + ".new", FILE)
        return count


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0]
        try:
            if path == "/":
                self.answer(200, f"Hello from {socket.gethostname()}: visit {count_visit()}\n")
            elif path == "/visits":
                self.answer(200, f"{read_count()}\n")
            elif path == "/healthz":
                self.answer(200, "ok\n")
            else:
                self.answer(404, "not found\n")
        except OSError as e:
            self.answer(500, f"{e}\n")

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form, *args):
        if getattr(self, "path", "") != "/healthz":
            print(self.address_string(), form % args, flush=True)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("", PORT), Handler)
    # As process 1 of a container nothing is stopped by a signal without a handler for it.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"listening on port {PORT}, counting in {FILE}", flush=True)
    server.serve_forever()
