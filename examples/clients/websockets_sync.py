"""A bot on `websockets`, with threads."""

import json
import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

_, _http, ws, key, channels = sys.argv
with connect(f"{ws}/stocks", max_queue=None) as socket:
    socket.send(json.dumps({"action": "auth", "params": key}))
    try:
        while True:
            for event in json.loads(socket.recv()):
                if event["ev"] != "status":
                    print(json.dumps(event, sort_keys=True))
                elif event["status"] == "auth_success":
                    socket.send(json.dumps({"action": "subscribe", "params": channels}))
                elif event["status"] == "auth_failed":
                    print("refused", event["message"])
    except ConnectionClosed as closed:
        print("end", closed.rcvd.code if closed.rcvd else "lost")
