"""REST on `aiohttp`: the pages of one query."""

import asyncio
import json
import sys

import aiohttp

_, http, _ws, key, path = sys.argv


async def main() -> None:
    address, status = f"{http}{path}", 0
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        while address:
            async with session.get(address) as answer:
                page, status = await answer.json(), answer.status
            if status != 200:
                print("refused", page["error"])
                break
            for row in page.get("results", ()):
                print(json.dumps(row, sort_keys=True))
            address = page.get("next_url", "")
    print("end", status)


asyncio.run(main())
