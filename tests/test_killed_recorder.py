"""A recorder is killed while it appends as fast as it can; what it said to be kept is read back."""

import subprocess
import sys
from pathlib import Path

import pytest

from tickdeck.cassette.files import open_cassette, recover, verify_file

RECORDER = """
import sys
from itertools import count
from tickdeck.cassette.files import Recording
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
