"""Where secrets come from: variables of the environment, never flags, for flags show in `ps`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from tickdeck.cassette.errors import UsageError

KEY_NAMES: Final = ("MASSIVE_API_KEY", "POLYGON_API_KEY", "APCA_API_KEY_ID")
SECRET_NAMES: Final = (*KEY_NAMES, "APCA_API_SECRET_KEY")
"""What these hold is a secret, whether it is used or not."""


def value_of(name: str, *, flag: str) -> str:
    """What a variable holds that a flag named; `UsageError` if there is none."""
    value = os.environ.get(name)
    if not value:
        raise UsageError(f"{flag} {name}: there is no such variable in the environment")
    return value


def known_secrets(names: Iterable[str]) -> tuple[str, ...]:
    """The values of the variables that `--secret-env` named, and of those that always hold secrets."""
    named = (value_of(name, flag="--secret-env") for name in names)
    usual = (os.environ[name] for name in SECRET_NAMES if os.environ.get(name))
    return tuple(dict.fromkeys((*named, *usual)))


def api_key() -> str:
    """The first key there is; `UsageError` if there is none."""
    key = next((os.environ[name] for name in KEY_NAMES if os.environ.get(name)), None)
    if key is None:
        raise UsageError(f"a client needs an API key; put it into one of {', '.join(KEY_NAMES)}")
    return key
