"""tickdeck's recorder as a proxy that is measured: ``python recorder.py OUTPUT SERVICE_PORT``.

It prints its port, and then a JSON object for each word on its standard input: ``usage`` is what the
process has cost so far, ``stop`` seals and is the recorder's report (with ``--profile`` and where
the time of its own thread went).
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import sys

from player import functions
from tickdeck.recorder.notices import Listening, Notice
from tickdeck.recorder.run import Options, Recorder
from tickdeck.recording import take_turns
from usage import usage


def _tell(notice: Notice) -> None:
    if isinstance(notice, Listening):
        print(notice.feed.rpartition(":")[2], flush=True)


async def _record(wish: argparse.Namespace) -> None:
    service = f"127.0.0.1:{wish.service}"
    options = Options(
        wish.output, listen_port=0, upstream_http=f"http://{service}", upstream_ws=f"ws://{service}"
    )
    recorder = Recorder(options, notify=_tell)
    profile = cProfile.Profile()
    if wish.profile:
        profile.enable()
    running = asyncio.ensure_future(recorder.run())
    read = asyncio.get_running_loop().run_in_executor
    while (await read(None, sys.stdin.readline)).strip() not in ("", "stop"):
        print(json.dumps(usage()), flush=True)
    recorder.request_stop()
    report = await running
    profile.disable()
    told = {**report.values(), **usage(), "functions": functions(profile) if wish.profile else []}
    print(json.dumps(told), flush=True)


def main() -> None:
    """Record until standard input ends or says ``stop``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("output")
    parser.add_argument("service", type=int)
    parser.add_argument("--profile", action="store_true")
    take_turns()
    asyncio.run(_record(parser.parse_args()))


if __name__ == "__main__":
    main()
