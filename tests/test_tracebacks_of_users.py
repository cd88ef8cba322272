"""A user's failing test shows the line of theirs that failed and our sentence, and none of our own frames."""

import re

import pytest

import tickdeck

pytest_plugins = ["pytester"]

WRONG = {
    "a wait": '@pytest.mark.cassette("a.cassette")\ndef test_it(market):\n    market.wait_finished(timeout=0)\n',
    "an awaited wait": (
        '@pytest.mark.cassette("a.cassette")\nasync def test_it(market):\n    await market.wait_finished(timeout=0)\n'
    ),
    "a claim": '@pytest.mark.cassette("a.cassette")\ndef test_it(market):\n    market.assert_subscribed("T.A")\n',
    "an option": 'def test_it():\n    MockServer("cassettes/a.cassette", speed="fast")\n',
    "a file": 'def test_it():\n    with MockServer("nowhere.cassette"):\n        pass\n',
    "a step": '@pytest.mark.cassette("a.cassette")\ndef test_it(market):\n    market.step()\n',
}


@pytest.fixture
def folder(pytester: pytest.Pytester) -> pytest.Pytester:
    (pytester.path / "cassettes").mkdir()
    tickdeck.tape().send({"ev": "T", "sym": "A", "p": 1}).write(pytester.path / "cassettes" / "a.cassette")
    return pytester


@pytest.mark.parametrize("what", WRONG)
def test_no_frame_of_ours_is_shown(folder: pytest.Pytester, what: str) -> None:
    folder.makepyfile(f"import pytest\nfrom tickdeck import MockServer\n{WRONG[what]}")
    done = folder.runpytest_subprocess("-p", "no:randomly", "-p", "no:recording", "--asyncio-mode=auto")
    done.assert_outcomes(failed=1)
    shown = done.stdout.str()
    places = re.findall(r"^(\S+\.py):\d+: ", shown, re.MULTILINE)
    assert places
    assert [place for place in places if not place.startswith("test_")] == []


def test_what_is_wrong_before_a_test_is_said_once(folder: pytest.Pytester) -> None:
    folder.makepyfile(
        'import pytest\n@pytest.mark.cassette("nowhere.cassette")\ndef test_it(market):\n    pass\n'
    )
    done = folder.runpytest_subprocess("-p", "no:randomly", "-p", "no:recording")
    done.assert_outcomes(errors=1)
    report = done.stdout.str().partition("short test summary info")[0]
    assert report.count("there is no cassette") == 1
