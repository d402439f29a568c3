"""A service that speaks WebSocket, or a client of it.

`service` prints its port. It tells each client the headers that it came with, then repeats what the client says.
`client DOOR [NAME VALUE]...` prints what became of an upgrade at a gateway's Unix socket or port, as JSON.
"""

import json
import socket
import sys

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve


def tell(connection):
    connection.send(json.dumps(list(connection.request.headers.raw_items())))
    for message in connection:
        connection.send(message)


def service():
    with serve(tell, "127.0.0.1", 0, max_size=None) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()


def client(door, *headers):
    options = {"additional_headers": list(zip(headers[::2], headers[1::2])), "proxy": None, "max_size": None}
    if door.startswith("/"):
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(door)
    else:
        stream = socket.create_connection(("127.0.0.1", int(door)))
    try:
        connection = connect("ws://api.example.com/socket?room=1", sock=stream, **options)
    except InvalidStatus as refused:
        answer = refused.response
        return {"status": answer.status_code, "body": answer.body.decode()}
    with connection:
        told = json.loads(connection.recv())
        for message in ("one", b"\x00" * (1 << 20), "two"):
            connection.send(message)
            assert connection.recv() == message
    return {"status": 101, "headers": told, "close": connection.protocol.close_code}


if sys.argv[1] == "service":
    service()
else:
    print(json.dumps(client(*sys.argv[2:])))
