"""The control over HTTP: routes under ``/__tickdeck/`` (thin; `tickdeck.mockserver.controls` does the work)."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from tickdeck.mockserver.controls import Controls

CONTROL: Final = "/__tickdeck/"


class ControlDesk:
    """Answers requests to the control."""

    def __init__(self, controls: Controls, *, token: str | None) -> None:
        self._controls = controls
        self._token = token

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response."""
        return web.json_response({"error": f"no such control: {request.path}"}, status=404)
