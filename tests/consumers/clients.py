"""PyJWT's PyJWKClient and Authlib against a running server: ISSUER, and of one service TICKET and SECRET."""

import os

import jwt
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, JsonWebToken
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url

ISSUER, TICKET, SECRET = os.environ["ISSUER"], os.environ["TICKET"], os.environ["SECRET"]
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"

# Authlib: metadata of RFC 8414. Its validation wants https of every URL and has no switch for loopback, so it sees them
# as they are behind a proxy that does TLS.
found = requests.get(get_well_known_url(ISSUER, external=True), timeout=10)
found.raise_for_status()
metadata = found.json()
as_published = {
    name: value.replace("http://", "https://", 1) if isinstance(value, str) else value for name, value in metadata.items()
}
AuthorizationServerMetadata(as_published).validate()
assert metadata["issuer"] == ISSUER

for method in metadata["token_endpoint_auth_methods_supported"]:
    if method == "none":
        continue
    session = OAuth2Session("orders", SECRET, token_endpoint_auth_method=method)
    token = session.fetch_token(
        metadata["token_endpoint"],
        grant_type=EXCHANGE,
        subject_token=TICKET,
        subject_token_type="urn:auth-ticket:params:oauth:token-type:auth-ticket",
        audience="orders",
    )
    assert token["token_type"] == "Bearer" and 290 < token["expires_in"] <= 300, token.keys()
    access_token = token["access_token"]

    # PyJWT, as its documentation shows it.
    key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(access_token)
    required = {"require": ["iss", "aud", "sub", "exp", "iat", "jti"]}
    by_pyjwt = jwt.decode(access_token, key, audience="orders", issuer=ISSUER, options=required)

    # Authlib's own JWT.
    keys = JsonWebKey.import_key_set(requests.get(metadata["jwks_uri"], timeout=10).json())
    options = {name: {"essential": True} for name in ("sub", "exp", "iat", "jti")}
    options |= {"iss": {"essential": True, "value": ISSUER}, "aud": {"essential": True, "value": "orders"}}
    by_authlib = JsonWebToken(["ES256", "EdDSA"]).decode(access_token, keys, claims_options=options)
    by_authlib.validate()
    assert by_authlib == by_pyjwt

    endpoint = metadata["introspection_endpoint"]
    told = session.introspect_token(endpoint, token=TICKET, token_type_hint="access_token").json()
    assert told["active"] is True and told["sub"] == by_pyjwt["sub"], told
    told = session.introspect_token(endpoint, token=access_token).json()
    assert told == by_pyjwt | {"active": True, "token_type": "Bearer"}, told

print("all good")
