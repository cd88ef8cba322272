"""The smallest aiohttp app: what any server of that library pays before it listens."""

import asyncio

from aiohttp import web


async def _main() -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print("listening", flush=True)
    await asyncio.Event().wait()


asyncio.run(_main())
