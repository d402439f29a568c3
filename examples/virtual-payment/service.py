"""A shop that sells virtual goods by wx.requestVirtualPayment, without a session_key anywhere.

Python 3.9 or newer, nothing else:

    LOGIN_URL=http://login:8080 SERVICE_ID=shop SERVICE_SECRET=... APPID=wx0123456789abcdef WX_SECRET=... \\
    OFFER_ID=1450... APP_KEY=... PAY_ENV=1 PORT=8082 python3 service.py
"""

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What is sold, and for how many fen: never what a client says.
PRODUCTS = {"sword": 300, "shield": 500}
TIMEOUT_S = 10


def setting(name, standard=None):
    return os.environ.get(name) or standard or sys.exit(f"error: {name} is not set")


LOGIN_URL = setting("LOGIN_URL")
SERVICE_ID, SERVICE_SECRET = setting("SERVICE_ID"), setting("SERVICE_SECRET")
APPID, WX_SECRET = setting("APPID"), setting("WX_SECRET")
OFFER_ID, APP_KEY = setting("OFFER_ID"), setting("APP_KEY")  # of the payment product; the key is that of PAY_ENV
PAY_ENV = int(setting("PAY_ENV", "0"))  # 1 is the sandbox
WECHAT_URL = setting("WECHAT_URL", "https://api.weixin.qq.com")


class Refused(Exception):
    """Why a client gets no order, with the status of the answer."""

    def __init__(self, status, error):
        super().__init__(error)
        self.status = status


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(NoRedirects)


def sign(key, message):
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def post(url, body, headers):
    """Status and JSON of the answer."""
    request = urllib.request.Request(url, body.encode(), headers, method="POST")
    try:
        with OPENER.open(request, timeout=TIMEOUT_S) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


def ask(path, content_type, body):
    """A route of the login server that is for services."""
    credentials = ":".join(urllib.parse.quote(text, safe="") for text in (SERVICE_ID, SERVICE_SECRET))
    basic = base64.b64encode(credentials.encode()).decode()
    return post(LOGIN_URL + path, body, {"Authorization": f"Basic {basic}", "Content-Type": content_type})


def openid_of(ticket):
    """The openid behind a ticket of this app."""
    form = urllib.parse.urlencode({"token": ticket})
    status, user = ask("/v1/introspect", "application/x-www-form-urlencoded", form)
    if status == 400 or status == 200 and (not user["active"] or user["appid"] != APPID):
        raise Refused(401, "invalid_ticket")
    if status != 200:
        raise RuntimeError(f"introspection: {user['error_description']}")
    return user["openid"]


def user_signature(ticket, data):
    """The signature with the session_key that is sealed in the ticket."""
    status, signed = ask("/v1/signature", "application/json", json.dumps({"ticket": ticket, "data": data}))
    if status == 200:
        return signed["signature"]
    # The client logs in again, and orders again.
    if signed["error"] in ("session_key_stale", "invalid_ticket", "ticket_expired", "ticket_revoked"):
        raise Refused(401, signed["error"])
    if status == 429:
        raise Refused(429, signed["error"])
    raise RuntimeError(f"signature: {signed['error']}, {signed['error_description']}")


def wechat(path, query, body):
    _, answer = post(f"{WECHAT_URL}{path}?{urllib.parse.urlencode(query)}", body, {"Content-Type": "application/json"})
    return answer


def access_token():
    # The same for everybody who asks: it takes nothing from the login server.
    body = json.dumps({"grant_type": "client_credential", "appid": APPID, "secret": WX_SECRET})
    answer = wechat("/cgi-bin/stable_token", {}, body)
    if "access_token" not in answer:
        raise RuntimeError(f"no access token: errcode {answer.get('errcode')}")
    return answer["access_token"]


ORDERS = {}  # a database, in a real shop


def order(ticket, product):
    """What the client passes on to wx.requestVirtualPayment."""
    openid = openid_of(ticket)
    if not isinstance(product, str) or product not in PRODUCTS:
        raise Refused(400, "unknown_product")
    out_trade_no = secrets.token_hex(12)
    sign_data = json.dumps(
        {
            "offerId": OFFER_ID,
            "buyQuantity": 1,
            "env": PAY_ENV,
            "currencyType": "CNY",
            "productId": product,
            "goodsPrice": PRODUCTS[product],
            "outTradeNo": out_trade_no,
            "attach": product,
        }
    )
    signature = user_signature(ticket, sign_data)
    pay_sig = sign(APP_KEY, f"requestVirtualPayment&{sign_data}")
    ORDERS[out_trade_no] = (openid, PRODUCTS[product])
    # As a text: the signatures are over these bytes, and the client must not write them anew.
    return {
        "outTradeNo": out_trade_no,
        "mode": "short_series_goods",
        "signData": sign_data,
        "paySig": pay_sig,
        "signature": signature,
    }


def settle(ticket, out_trade_no):
    """Whether an order is paid. What the client says of that counts for nothing."""
    openid = openid_of(ticket)
    owner, fee = ORDERS.get(out_trade_no, (None, 0))
    if owner != openid:
        raise Refused(404, "unknown_order")
    body = json.dumps({"openid": openid, "env": PAY_ENV, "order_id": out_trade_no})
    query = {"access_token": access_token(), "pay_sig": sign(APP_KEY, f"/xpay/query_order&{body}")}
    seen = wechat("/xpay/query_order", query, body).get("order", {})
    # 2 to 4: paid, being delivered, delivered.
    return {"paid": seen.get("status") in (2, 3, 4) and seen.get("paid_fee") == fee}


class Service(BaseHTTPRequestHandler):
    timeout = 10

    def do_POST(self):
        self.answer(self.order)

    def do_GET(self):
        self.answer(self.settle)

    def order(self):
        if self.path != "/orders":
            raise Refused(404, "not_found")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > 1024:
            raise Refused(413, "too_large")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError:
            raise Refused(400, "invalid_request") from None
        return order(self.headers.get("weixinauth", ""), body.get("product") if isinstance(body, dict) else None)

    def settle(self):
        found = re.fullmatch(r"/orders/(\w+)", self.path)
        if not found:
            raise Refused(404, "not_found")
        return settle(self.headers.get("weixinauth", ""), found[1])

    def answer(self, run):
        try:
            status, body = 200, run()
        except Refused as refused:
            status, body = refused.status, {"error": str(refused)}
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            self.log_error("failed: %s", error)
            status, body = 502, {"error": "try_again"}
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


if __name__ == "__main__":
    service = ThreadingHTTPServer(("127.0.0.1", int(setting("PORT"))), Service)
    print(f"listening on http://127.0.0.1:{service.server_port}", flush=True)
    service.serve_forever()
