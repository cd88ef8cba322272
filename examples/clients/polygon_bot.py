"""A bot on the vendor's `polygon-api-client`, as it was until 2025. Its client speaks by itself."""

import json
import sys

from polygon import WebSocketClient
from polygon.exceptions import AuthError
from websockets.exceptions import ConnectionClosed

_, _http, ws, key, channels = sys.argv


def hear(message: str | bytes) -> None:
    for event in json.loads(message):
        if event["ev"] != "status":
            print(json.dumps(event, sort_keys=True))


client = WebSocketClient(
    key,
    feed=ws.partition("://")[2],
    market="stocks",
    secure=ws.startswith("wss"),
    raw=True,
    max_reconnects=0,
    subscriptions=channels.split(","),
)
try:
    client.run(hear)
    print("end", 1000)
except AuthError as refused:
    print("refused", json.loads(str(refused))[0]["message"] if str(refused).startswith("[") else refused)
    print("end", "lost")
except ConnectionClosed as closed:
    print("end", closed.rcvd.code if closed.rcvd else "lost")
