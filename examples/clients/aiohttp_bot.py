"""A bot on `aiohttp`."""

import asyncio
import json
import sys

import aiohttp

_, _http, ws, key, channels = sys.argv


async def main() -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{ws}/stocks") as socket:
        await socket.send_json({"action": "auth", "params": key})
        async for message in socket:
            for event in json.loads(message.data):
                if event["ev"] != "status":
                    print(json.dumps(event, sort_keys=True))
                elif event["status"] == "auth_success":
                    await socket.send_json({"action": "subscribe", "params": channels})
                elif event["status"] == "auth_failed":
                    print("refused", event["message"])
        print("end", "lost" if socket.close_code in (None, 1006) else socket.close_code)


asyncio.run(main())
