"""Answers for session ids in Redis what auth-ticket answers for tickets, while both are in use: docs/MIGRATION.md.

Python 3.9 or newer, nothing else: python3 old-sessions.py 8090
"""

import json
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REDIS = ("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 6379)  # here
KEY = "session:%s"  # here: under which key a session stands
APPID = "wx0123456789abcdef"  # here: the app whose sessions these are


def session(key):
    """The session and the seconds that are left of it, or nothing."""
    with socket.create_connection(REDIS, timeout=2) as redis, redis.makefile("rb") as replies:
        for command in ("GET", "TTL"):
            words = [command.encode(), key.encode()]
            redis.sendall(b"*2\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        length = replies.readline()
        if not length.startswith(b"$"):
            raise OSError(f"Redis says {length!r}")
        text = replies.read(int(length[1:]) + 2) if length != b"$-1\r\n" else None
        return text and json.loads(text), int(replies.readline()[1:])


class Check(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        ids = self.headers.get_all("weixinauth", [])
        try:
            found, left_s = session(KEY % ids[0]) if len(ids) == 1 else (None, 0)
        except OSError as error:
            self.log_error("%s", error)
            return self.answer(503, {}, {"error": "overloaded"})
        if not found:
            refusal = {"error": "invalid_ticket", "error_description": "the session is over; log in again"}
            return self.answer(401, {"WWW-Authenticate": "Bearer"}, refusal)
        # here: what a session is made of. Without an end, Redis says -1.
        ends = str(int(time.time()) + left_s) if left_s >= 0 else ""
        user = {"appid": APPID, "platform": "weapp", "openid": found["openid"], "unionid": found.get("unionid"), "expires-at": ends}
        self.answer(200, {f"X-Auth-{name}": value or "" for name, value in user.items()}, {})

    def answer(self, status, headers, body):
        text = json.dumps(body).encode() if body else b""
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *line):
        """Only errors: session ids are in no log."""

    def log_error(self, *line):
        print(line[0] % line[1:], file=sys.stderr)


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Check)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
