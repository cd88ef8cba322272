"""What a process has cost so far, as it sees it itself."""

from __future__ import annotations

import resource
from pathlib import Path


def usage() -> dict[str, float]:
    """Seconds of processor time (kernel included), and resident memory in KiB now and at its highest."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_s": spent.ru_utime + spent.ru_stime,
        "memory_kib": _kib("/proc/self/smaps_rollup", "Pss:") or spent.ru_maxrss,
        "highest_kib": _kib("/proc/self/status", "VmHWM:") or spent.ru_maxrss,
    }


def _kib(path: str, name: str) -> int | None:
    source = Path(path)
    if not source.exists():
        return None
    rows = (line.split() for line in source.read_text().splitlines())
    return next((int(row[1]) for row in rows if row[0] == name), None)
