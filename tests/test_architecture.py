"""What import contracts cannot see: which halves of a library a room uses."""

from __future__ import annotations

import ast
from importlib.resources import files

import pytest


def _names(package: str) -> set[str]:
    """Every name and attribute that the package's modules mention."""
    found: set[str] = set()
    for source in files(package).iterdir():
        if source.name.endswith(".py"):
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute):
                    found.add(node.attr)
                elif isinstance(node, ast.Name):
                    found.add(node.id)
                elif isinstance(node, ast.ImportFrom):
                    found.update(alias.name for alias in node.names)
    return found


def test_the_mock_server_has_no_client_so_a_replay_cannot_reach_the_network() -> None:
    clients = {
        "ClientSession",
        "TCPConnector",
        "ws_connect",
        "create_connection",
        "open_connection",
        "urlopen",
    }
    assert "WebSocketResponse" in _names("tickdeck.mockserver")
    assert not clients & _names("tickdeck.mockserver")


@pytest.mark.parametrize("package", ["tickdeck.cassette", "tickdeck.dialects", "tickdeck.mockserver"])
def test_loading_a_cassette_executes_nothing(package: str) -> None:
    assert not {"pickle", "marshal", "eval", "exec", "__import__"} & _names(package)
