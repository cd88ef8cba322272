"""A recorder is killed while it appends as fast as it can; what it said to be kept is read back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tickdeck.cassette.files import open_cassette, recover, verify_file

RECORDER = """
import sys
from itertools import count
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import Frame, Header, Sender

class Door:
    redactions = {}
    def clean(self, record): return record
    def clean_header(self, header): return header

class Indexer:
    name, revision = "letters", 3
    def events(self, payload): return None
    def index(self, payloads): return None
    def holdings(self, sender, payload): return ()

recording = Recording.create(sys.argv[1], Header(0, "letters"), redactor=Door(), indexer=Indexer())
for batch in count():
    seqs = range(batch * 10, batch * 10 + 10)
    recording.append([Frame(seq, seq, 1, Sender.SERVER, 1, b"%d " % seq * 400) for seq in seqs])
    print(seqs[-1], flush=True)
"""


@pytest.mark.parametrize("batches", [1, 7, 60, 333])
def test_a_kill_at_any_moment_loses_nothing_that_was_kept(tmp_path: Path, letters, batches: int) -> None:
    path = tmp_path / "x.cassette"
    with subprocess.Popen([sys.executable, "-c", RECORDER, str(path)], stdout=subprocess.PIPE) as recorder:
        assert recorder.stdout is not None
        for _ in range(batches):
            assert recorder.stdout.readline()
        recorder.kill()
        said = recorder.stdout.read().split()
    kept = int(said[-1]) if said and len(said) > 1 else batches * 10 - 1
    with open_cassette(path, indexer=letters.indexer) as cassette:
        seqs = [record.seq for record in cassette.records()]
    assert seqs == list(range(len(seqs)))
    assert len(seqs) > kept
    assert verify_file(path, indexer=letters.indexer).ok
    report = recover(path, tmp_path / "y.cassette", indexer=letters.indexer)
    assert (report.lossless, report.records) == (True, len(seqs))


FORKED = '''
import os, random, signal, sys
from itertools import count
from pathlib import Path
from tickdeck.cassette import writer
from tickdeck.cassette.disk import Disk
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.files import open_cassettes, recover
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.places import expand
from tickdeck.cassette.records import Frame, Header, Sender, TrackOpened
from tickdeck.recorder.rotation import Limits, Rotation

class Door:
    redactions = {}
    def clean(self, record): return record
    def clean_header(self, header): return header

class Indexer:
    name, revision = "letters", 3
    def events(self, payload): return None
    def index(self, payloads): return None
    def holdings(self, sender, payload): return ()

class Deadly(Disk):
    """Kills its process before, or after, the n-th thing that it is asked to do."""
    def __init__(self, last): self.left = last
    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        if name not in ("create", "write", "sync", "link", "unlink", "sync_folder", "close"): return found
        def deadly(*args):
            self.left -= 1
            if self.left == 0: os.kill(os.getpid(), signal.SIGKILL)
            return found(*args)
        return deadly

def begin(path, disk):
    return Recording.create(path, Header(0, "letters"), redactor=Door(), indexer=Indexer(), opener=disk)

def record(folder, rotates, disk, pipe, batches):
    """Appends, and says the last sequence of each batch that it was told is kept; as a relay passes it on then."""
    output = folder / "x.cassette"
    sink = begin(output, disk)  if not rotates else Rotation(
        output, Limits(size=6000), begin=lambda path: begin(path, disk), removes=os.unlink, now_ns=0)
    seq = count()
    for _ in batches:
        frames = [Frame(next(seq), 0, 1, Sender.SERVER, 1, b"%d " % n * 40) for n in range(5)]
        sink.append(frames)
        os.write(pipe, b"%d\\n" % frames[-1].seq)
        if rotates and sink.is_full(0): sink.turn([TrackOpened(next(seq), 0, 1, "stocks")], 0)
    sink.seal()

def survivors(folder):
    """What is read back of what lies there, and that it can be saved."""
    try: paths = expand(folder / "x*.cassette")
    except UsageError: return []  # not even its header was written
    with open_cassettes(paths, indexer=Indexer()) as cassette:
        records = list(cassette.records())
    for path in paths:
        if not path.exists():
            saved = recover(path, folder / f"saved-{path.name}", indexer=Indexer())
            assert saved.lossless, saved
    return [record.seq for record in records]

def killed(folder, rotates, disk, batches, wait):
    folder.mkdir()
    out, into = os.pipe()
    if (child := os.fork()) == 0:
        try: record(folder, rotates, disk, into, batches)
        finally: os._exit(0)
    os.close(into)
    with open(out, "rb", buffering=0) as pipe:
        said = wait(pipe)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        said += pipe.read() or b""
    kept = int(said.split(b"\\n")[-2]) if b"\\n" in said else -1
    if not any(folder.iterdir()): seqs = []
    else: seqs = survivors(folder)
    assert seqs == list(range(len(seqs))), ("order", seqs)
    assert len(seqs) > kept, ("lost", kept, len(seqs))
    return kept
'''

AT_ANY_MOMENT = (
    FORKED
    + """
writer.CHUNK_TARGET = 3000
folder, number, rotates = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True"
chance = random.Random(number)
far = 0
for each in range(number):
    batches = chance.randrange(1, 120)
    def wait(pipe):
        said = b""
        while said.count(b"\\n") < batches: said += pipe.read(4096)
        for _ in range(chance.randrange(2000)): pass  # somewhere within a batch
        return said
    far = max(far, killed(folder / str(each), rotates, Disk(), count(), wait))
print(number, "kills, up to frame", far)
"""
)

AT_EVERY_STEP = (
    FORKED
    + """
writer.CHUNK_TARGET = 3000
folder, rotates = Path(sys.argv[1]), sys.argv[2] == "True"
def wait(pipe):
    said = b""
    while more := pipe.read(4096): said += more
    return said
each = 0
while True:
    each += 1
    disk = Deadly(each)
    place = folder / str(each)
    killed(place, rotates, disk, range(40), wait)
    if each > 60 and not any(".part" in path.name for path in place.iterdir()): break  # it came to its end
    assert each < 2000
print(each, "steps")
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("rotates", [False, True])
def test_a_kill_at_any_of_hundreds_of_moments_loses_nothing_and_tells_nothing_twice(
    tmp_path, rotates
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AT_ANY_MOMENT, str(tmp_path), "150", str(rotates)],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("150 kills")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("rotates", [False, True])
def test_a_kill_at_every_step_of_a_small_recording_loses_nothing(tmp_path, rotates) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AT_EVERY_STEP, str(tmp_path), str(rotates)],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 60
