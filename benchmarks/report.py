"""How every benchmark ends: a table for people and one JSON object on the last line."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")  # Linux names the processor only there
    for line in info.read_text().splitlines() if info.is_file() else []:
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load_at_start": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def resident_mb(pid: int) -> float:
    """Resident memory of a process, in MiB; of Linux."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1024 * 1024)


def print_report(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    figures: Mapping[str, object],
) -> None:
    """Prints the table, then the figures with the machine as one line of JSON."""
    print_table(title, columns, rows)
    print(json.dumps({"benchmark": title, **figures, "machine": machine()}))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table alone, for a benchmark that has more than one."""
    table = Table(title=title)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(width=110).print(table)


def median_ms(work: Callable[[], object], *, num_runs: int, num_warm: int = 3) -> float:
    """Median wall time of one call, in milliseconds."""
    for _ in range(num_warm):
        work()
    times = []
    for _ in range(num_runs):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)
