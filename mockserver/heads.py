"""What moves a tape: a clock, the clients' reading, or a hand.

Each head says where the tape stands and how much of a market's tape may be sent. A
paced head is a formula of the clock. A free one (``max``) stands nowhere: every socket
is at a cursor of its own. A driven one (``step``, ``lockstep``) stands until it is
moved: by frames, in the total order that the sequence gives all markets, or by a
stretch of time.
"""

from __future__ import annotations

from typing import TypeAlias, assert_never

from tickdeck.mockserver.playhead import Mode, Playhead, Speed
from tickdeck.mockserver.tape import Tape


class FreeHead:
    """Every socket as fast as it reads; while ``paused`` each stays where it is."""

    def __init__(self) -> None:
        self.paused = False

    def pause(self, now_ns: int) -> None:
        """Stand still."""
        self.paused = True

    def resume(self, now_ns: int) -> None:
        """Go on."""
        self.paused = False


class PacedHead:
    """A playhead that a clock moves."""

    def __init__(self, playhead: Playhead) -> None:
        self.playhead = playhead
        self.pause = playhead.pause
        self.resume = playhead.resume
        self.move_to = playhead.seek
        self.position = playhead.position

    @property
    def paused(self) -> bool:
        """Whether it stands."""
        return self.playhead.paused

    def due(self, tape: Tape, now_ns: int) -> int:
        """The sequence before which everything on this tape may be sent."""
        return tape.seq_behind(self.playhead.position(now_ns))

    def release(self, seq: int, position_ns: int, now_ns: int) -> None:
        """Let a frame, and all up to its position, go."""
        self.move_to(max(position_ns, self.position(now_ns)), now_ns)


class DrivenHead:
    """A head that stands until it is moved; ``paused`` counts for lockstep alone.

    ``floor_ns`` is the last position of which everything has been let go.
    """

    def __init__(self, position_ns: int, *, floor_ns: int) -> None:
        self.paused = False
        self._position_ns = position_ns
        self._floor_ns = floor_ns
        self._released = 0

    def position(self, now_ns: int) -> int:
        """Where it stands, whatever the clock says."""
        return self._position_ns

    def due(self, tape: Tape, now_ns: int) -> int:
        """The sequence before which everything on this tape may be sent."""
        return max(self._released, tape.seq_behind(self._floor_ns))

    def release(self, seq: int, position_ns: int, now_ns: int) -> None:
        """Let a frame, and all before it, go."""
        self._released = max(self._released, seq + 1)
        self._position_ns = max(self._position_ns, position_ns)

    def move_to(self, position_ns: int, now_ns: int) -> None:
        """Let everything up to a position go."""
        self._floor_ns = self._position_ns = max(self._position_ns, position_ns)

    def pause(self, now_ns: int) -> None:
        """Release nothing by itself."""
        self.paused = True

    def resume(self, now_ns: int) -> None:
        """Go on by itself."""
        self.paused = False


Head: TypeAlias = FreeHead | PacedHead | DrivenHead


def head_at(position_ns: int, speed: Speed, *, now_ns: int, sent: bool) -> Head:
    """A head for a speed. ``sent``: the frames that lie right at the position are out already."""
    match speed.mode:
        case Mode.PACED:
            return PacedHead(Playhead(speed.factor, now_ns=now_ns, position_ns=position_ns))
        case Mode.MAX:
            return FreeHead()
        case Mode.STEP | Mode.LOCKSTEP:
            return DrivenHead(position_ns, floor_ns=position_ns if sent else position_ns - 1)
        case _:
            assert_never(speed.mode)
