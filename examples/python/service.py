"""A service that lets in whoever has an access token of auth-ticket.

Python 3.9 or newer, and `pip install "PyJWT[crypto]>=2.15"`:

    ISSUER=https://login.example.com AUDIENCE=orders APPID=wx0123456789abcdef PORT=8081 python3 service.py
"""

import json
import os
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

LEEWAY_S = 60  # that two clocks may differ
MAX_LIFE_S = 86_400  # auth-ticket gives no token a longer life
MAX_AGE_S = 300  # of the server's keys, as its Cache-Control says
PAUSE_S = 5  # between two questions to the server, whatever kids are made up
TIMEOUT_S = 2

FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]{85}[AQgw]", re.ASCII)  # a signature has 64 bytes


class Refused(Exception):
    """Why a token is refused, in words for the log and the client."""


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Nobody sends this service elsewhere."""

    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(NoRedirects)


def get_json(url):
    with OPENER.open(url, timeout=TIMEOUT_S) as response:
        return json.load(response)


class Keys:
    """The server's public keys: kept for their max-age, and for longer while the server is away.

    A key that is known never waits: old keys are fetched again behind the request. A key that is not known waits for one
    fetch, with all others who wait, and then there is none for a while.
    """

    def __init__(self, uri):
        self.uri, self.lock, self.fetching = uri, threading.Lock(), None
        self.asked_at = time.monotonic()
        self.known, self.fresh_until = self.fetch(), self.asked_at + MAX_AGE_S

    def find(self, kid):
        with self.lock:
            key = self.known.get(kid)
            is_old = time.monotonic() >= self.fresh_until
            fetching = self.refresh() if key is None or is_old else None
        if key is None and fetching:
            fetching.wait(TIMEOUT_S + 1)
            key = self.known.get(kid)
        return key

    def refresh(self):
        """The fetch that runs, or a new one; None if it is too early for another. The lock is held."""
        if self.fetching is None and time.monotonic() - self.asked_at >= PAUSE_S:
            self.asked_at, self.fetching = time.monotonic(), threading.Event()
            threading.Thread(target=self.take, daemon=True).start()
        return self.fetching

    def take(self):
        try:
            known, error = self.fetch(), None
        except (OSError, ValueError, jwt.PyJWTError) as caught:
            known, error = None, caught
        with self.lock:
            if known is None:
                print("the keys stay as they are:", reason(error), file=sys.stderr)
            else:
                self.known, self.fresh_until = known, time.monotonic() + MAX_AGE_S
            self.fetching.set()
            self.fetching = None

    def fetch(self):
        return {key.key_id: key for key in jwt.PyJWKSet.from_dict(get_json(self.uri)).keys}


def reason(error):
    """An error in words."""
    cause = getattr(error, "reason", error)
    return "nobody answers there" if isinstance(cause, ConnectionRefusedError) else str(cause) or type(cause).__name__


class AccessTokens:
    """Checks tokens for one service."""

    def __init__(self, issuer, audience, appids, keys):
        self.issuer, self.audience, self.appids, self.keys = issuer, audience, appids, keys

    def claims_of(self, token):
        """Who the token is about, if it is one for us and good now."""
        if not FORM.fullmatch(token):  # PyJWT lets padding pass
            raise Refused("not a JWT of an auth-ticket server")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise Refused("not a JWT: its header is no JSON object") from None
        if header.get("typ") != "at+jwt" or "crit" in header:
            raise Refused("not an access token: typ has to be at+jwt, without crit")
        kid = header.get("kid")
        key = self.keys.find(kid) if isinstance(kid, str) else None
        if key is None:
            raise Refused("the server has no key of this kid")
        claims = self.checked(token, key)
        # PyJWT takes "1900000000" for a time, and any time for an end.
        if any(type(claims[name]) not in (int, float) for name in {"exp", "iat", "nbf"} & claims.keys()):
            raise Refused("without a time: exp and iat have to be numbers")
        if not isinstance(claims["sub"], str) or not claims["sub"]:
            raise Refused("about nobody: sub is missing")
        if claims["exp"] - claims["iat"] > MAX_LIFE_S:
            raise Refused("good for longer than a day")
        # Several apps can have tokens for one audience; their users are different people.
        if claims.get("appid") not in self.appids:
            raise Refused("of a user of another app")
        return claims

    def checked(self, token, key):
        try:
            return jwt.decode(
                token,
                key,  # a PyJWK, which takes its own algorithm alone
                algorithms=["ES256", "EdDSA"],
                issuer=self.issuer,
                audience=self.audience,
                leeway=LEEWAY_S,
                options={"require": ["iss", "aud", "sub", "exp", "iat"]},
            )
        except jwt.ExpiredSignatureError:
            ended = jwt.decode(token, options={"verify_signature": False})["exp"]
            raise Refused(f"expired {time.time() - float(ended):.0f} s ago") from None
        except jwt.ImmatureSignatureError:
            raise Refused("not good yet: compare the clocks of this machine and the server's") from None
        except jwt.InvalidAudienceError:
            raise Refused(f"for another audience than {self.audience}") from None
        except jwt.InvalidIssuerError:
            raise Refused(f"of another issuer than {self.issuer}") from None
        except jwt.InvalidSignatureError:
            raise Refused("not signed by the server: the signature is wrong") from None
        except Exception as error:  # whatever a text makes a library raise: it is no token
            raise Refused(f"not an access token: {type(error).__name__}") from None


class Service(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self):
        if self.path != "/me":
            return self.answer(404, {"error": "not_found"})
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return self.answer(401, {"error": "no token"}, "Bearer")
        try:
            claims = self.server.tokens.claims_of(token)
        except Refused as refused:
            self.log_error("refused: %s", refused)
            body = {"error": "invalid_token", "error_description": str(refused)}
            return self.answer(401, body, 'Bearer error="invalid_token"')
        names = ("sub", "appid", "platform", "openid", "unionid", "login_id")
        self.answer(200, {name: claims[name] for name in names if name in claims})

    def answer(self, status, body, challenge=None):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(text)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def setting(name, what):
    return os.environ.get(name) or sys.exit(f"error: {name} is not set; it is {what}")


def connect(issuer, audience, appids):
    """Access tokens of a server whose keys are there."""
    if not re.match(r"https?://[^/]", issuer):
        sys.exit(f"error: ISSUER is no URL: {issuer}")
    try:
        server = get_json(f"{issuer}/.well-known/oauth-authorization-server")
        if server["issuer"] != issuer:
            sys.exit(f"error: ISSUER has to be {server['issuer']}, as the server there calls itself")
        keys = Keys(server["jwks_uri"])
    except (OSError, ValueError, LookupError, TypeError, jwt.PyJWTError) as error:
        sys.exit(f"error: cannot get the keys of {issuer}: {reason(error)}")
    return AccessTokens(issuer, audience, appids.split(","), keys)


def main():
    tokens = connect(
        setting("ISSUER", "the server's public_url, such as https://login.example.com"),
        setting("AUDIENCE", "what this service is called in jwt.audiences"),
        setting("APPID", "the app whose users may come in; several with commas between"),
    )
    port = setting("PORT", "where this service listens, on loopback")
    try:
        service = Server(("127.0.0.1", int(port)), Service)
    except (OSError, ValueError, OverflowError) as error:
        sys.exit(f"error: cannot listen on port {port}: {error}")
    service.tokens = tokens
    print(f"listening on http://127.0.0.1:{service.server_port}", flush=True)
    service.serve_forever()


if __name__ == "__main__":
    main()
