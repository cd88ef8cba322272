"""A bot on `websockets`, with asyncio."""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

_, _http, ws, key, channels = sys.argv


async def main() -> None:
    async with connect(f"{ws}/stocks") as socket:
        await socket.send(json.dumps({"action": "auth", "params": key}))
        try:
            while True:
                for event in json.loads(await socket.recv()):
                    if event["ev"] != "status":
                        print(json.dumps(event, sort_keys=True))
                    elif event["status"] == "auth_success":
                        await socket.send(json.dumps({"action": "subscribe", "params": channels}))
                    elif event["status"] == "auth_failed":
                        print("refused", event["message"])
        except ConnectionClosed as closed:
            print("end", closed.rcvd.code if closed.rcvd else "lost")


asyncio.run(main())
