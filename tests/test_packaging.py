"""The wheel as a stranger gets it: in an environment of its own, beside a user's package called `recorder`."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = (
    "deck",
    "cassette",
    "dialects",
    "gateway",
    "recorder",
    "mockserver",
    "testing",
    "watch",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
HEAVY = ("aiohttp", "websockets", "rich", "asyncio")

BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"

SHOWN_TO_IMPORT = """
import contextlib, io, json, sys
from tickdeck.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    code = main(sys.argv[2:])
print(json.dumps([code, [name for name in json.loads(sys.argv[1]) if name in sys.modules]]))
"""

TWO_RECORDERS = """
import json
import recorder, tickdeck, tickdeck.recorder
from tickdeck import MockServer, TickdeckError, open_cassette
print(json.dumps([recorder.WHOSE, tickdeck.recorder.__name__, tickdeck.__version__, tickdeck.__file__]))
"""


def run(*arguments, cwd=None):
    done = subprocess.run(
        [str(each) for each in arguments], cwd=cwd, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    run(sys.executable, "-W", "ignore", "-c", BUILD, out, cwd=source)
    return next(out.glob("tickdeck-*.whl"))


@pytest.fixture(scope="module")
def stranger(wheel, tmp_path_factory):
    """The Python of a fresh environment: the wheel is installed there, its dependencies are borrowed."""
    home = tmp_path_factory.mktemp("stranger")
    venv.create(home, with_pip=False)
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    target = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    install(python, wheel)
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (target / "borrowed.pth").write_text("\n".join(sorted(borrowed)))
    return python


def install(python, wheel):
    """With whichever installer made this environment, and without a network."""
    if shutil.which("uv"):
        run("uv", "pip", "install", "--offline", "--no-deps", "--python", python, wheel)
    else:
        run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)


def test_the_wheel_takes_one_name_and_no_other(wheel):
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tickdeck"}


def test_the_wheel_holds_types_and_a_sample(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    rooms = ("", "cassette/", "dialects/", "recorder/", "mockserver/", "watch/")
    assert [room for room in rooms if f"tickdeck/{room}py.typed" not in names] == []
    assert any(name.startswith("tickdeck/samples/") and name.endswith(".cassette") for name in names)


def test_a_users_own_recorder_and_ours_live_side_by_side(stranger, tmp_path):
    (tmp_path / "recorder").mkdir()
    (tmp_path / "recorder" / "__init__.py").write_text('WHOSE = "the user\'s"\n')
    whose, ours, version, file = json.loads(run(stranger, "-c", TWO_RECORDERS, cwd=tmp_path))
    assert (whose, ours) == ("the user's", "tickdeck.recorder")
    assert version
    assert Path(file).is_relative_to(stranger.parents[1])


def test_the_console_script_and_the_module_are_the_same_command(stranger, tmp_path):
    script = stranger.with_name("tickdeck" + (".exe" if os.name == "nt" else ""))
    said = run(script, "--version", cwd=tmp_path)
    assert said.startswith("tickdeck ")
    assert run(stranger, "-m", "tickdeck", "--version", cwd=tmp_path) == said


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["info", "SAMPLE", "--json"], ["verify", "SAMPLE"]]
)
def test_what_only_looks_imports_nothing_heavy(stranger, tmp_path, arguments):
    sample = next((stranger.parents[1]).glob("**/tickdeck/samples/*.cassette"))
    given = [str(sample) if each == "SAMPLE" else each for each in arguments]
    code, loaded = json.loads(run(stranger, "-c", SHOWN_TO_IMPORT, json.dumps(HEAVY), *given, cwd=tmp_path))
    assert (code, loaded) == (0, [])
