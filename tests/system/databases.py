"""GeoIP databases, by MaxMind's own writer (mmdb.pl says what a line is)."""

import subprocess
from pathlib import Path


def write_database(path: Path, kind: str, lines: str, **options: int) -> str:
    """Writes it beside its place and then puts it there in one step, as a careful updater does; returns the path."""
    script = Path(__file__).with_name("mmdb.pl")
    new = path.with_name(path.name + ".new")
    subprocess.run(["perl", script, new, kind, *(f"{key}={value}" for key, value in options.items())],
                   input=lines, text=True, check=True)
    new.rename(path)
    return str(path)
