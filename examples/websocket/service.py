"""A WebSocket service behind a gateway of deploy/gateways: a socket lives no longer than the ticket that opened it.

Python 3.9 or newer, and `pip install "websockets>=15"` (tested with 17):

    PORT=3000 python3 service.py
"""

import asyncio
import os
import time

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

TICKET_IS_OVER = 4401  # of the codes that are free for applications; clients renew the ticket and come back


async def talk(connection, openid):
    """Your part: here it repeats what the client says."""
    async for message in connection:
        await connection.send(f"{openid}: {message}")


async def serve_one(connection):
    # From the gateway, which lets no client send these.
    headers = connection.request.headers
    openid, expires_at = headers.get("X-Auth-Openid"), headers.get("X-Auth-Expires-At")
    if not openid or not expires_at:
        return await connection.close(1008, "not through the gateway")
    try:
        await asyncio.wait_for(talk(connection, openid), max(0, int(expires_at) - time.time()))
    except asyncio.TimeoutError:
        await connection.close(TICKET_IS_OVER, "renew the ticket, then open another socket")
    except ConnectionClosed:
        pass  # the client has gone


async def main():
    async with serve(serve_one, "127.0.0.1", int(os.environ["PORT"])) as server:
        print(f"listening on http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", flush=True)
        await server.serve_forever()


asyncio.run(main())
