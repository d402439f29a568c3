"""A service that lets in whoever has an access token of auth-ticket.

Python 3.9 or newer, and `pip install "PyJWT[crypto]>=2.15"`:

    ISSUER=https://login.example.com AUDIENCE=orders PORT=8081 python3 service.py
"""

import json
import os
import re
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

LEEWAY_S = 60  # that two clocks may differ
MAX_LIFE_S = 86_400  # auth-ticket gives no token a longer life
MAX_AGE_S = 300  # of the server's keys, as its Cache-Control says
PAUSE_S = 5  # between two questions to the server, whatever kids are made up

FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]{85}[AQgw]", re.ASCII)  # a signature has 64 bytes

ISSUER, AUDIENCE = os.environ["ISSUER"], os.environ["AUDIENCE"]


class Keys(jwt.PyJWKClient):
    """PyJWT's client, which goes on with the keys that it knows while the server is away."""

    known = None

    def fetch_data(self):
        try:
            self.known = super().fetch_data()
        except (jwt.PyJWTError, ValueError) as error:
            if self.known is None:
                raise
            print("the keys stay as they are:", error, file=sys.stderr)
        return self.known


def claims_of(token, keys):
    """Who the token is about, if it is one for us and good now."""
    if not FORM.fullmatch(token):  # PyJWT lets padding pass
        raise jwt.InvalidTokenError("not base64url")
    header = jwt.get_unverified_header(token)
    if header.get("typ") != "at+jwt" or "crit" in header:
        raise jwt.InvalidTokenError("not the header of an access token")
    claims = jwt.decode(
        token,
        keys.get_signing_key(header["kid"]),  # a PyJWK, which takes its own algorithm alone
        algorithms=["ES256", "EdDSA"],
        issuer=ISSUER,
        audience=AUDIENCE,
        leeway=LEEWAY_S,
        options={"require": ["iss", "aud", "sub", "exp", "iat"]},
    )
    # PyJWT takes "1900000000" for a time, and any time for an end.
    if any(type(claims[name]) not in (int, float) for name in {"exp", "iat", "nbf"} & claims.keys()):
        raise jwt.InvalidTokenError("a time that is no number")
    if not claims["sub"] or claims["exp"] - claims["iat"] > MAX_LIFE_S:
        raise jwt.InvalidTokenError("of nobody, or good for too long")
    return claims


class Service(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self):
        if self.path != "/me":
            return self.answer(404, {"error": "not_found"})
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return self.answer(401, {"error": "no token"}, "Bearer")
        try:
            claims = claims_of(token, self.server.keys)
        except Exception as error:  # whatever a text makes a library raise: it is no token
            self.log_error("refused: %s", type(error).__name__)
            return self.answer(401, {"error": "invalid_token"}, 'Bearer error="invalid_token"')
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


def main():
    with urllib.request.urlopen(f"{ISSUER}/.well-known/oauth-authorization-server", timeout=5) as response:
        server = json.load(response)
    if server["issuer"] != ISSUER:
        sys.exit(f"ISSUER has to be {server['issuer']}")
    service = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Service)
    service.keys = Keys(server["jwks_uri"], lifespan=MAX_AGE_S, cooldown_duration=PAUSE_S, timeout=2)
    service.keys.get_jwk_set()
    print(f"listening on http://127.0.0.1:{service.server_port}", flush=True)
    service.serve_forever()


if __name__ == "__main__":
    main()
