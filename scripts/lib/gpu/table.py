"""Prints the results of load.py.

table.py FILE…          prints a line for each file
table.py --compare DIR  prints all results of a measure-gpu run, and the ratio of bocr to the best result of the generator
"""

import json
import sys
from pathlib import Path

HEAD = f"{'client':16} {'pages':>6} {'seconds':>8} {'pages/s':>8} {'tokens/s':>9} {'running':>8} {'waiting':>8}"


def line(path):
    row = json.loads(path.read_text())
    return (
        f"{path.stem:16} {row['stopped']:6.0f} {row['seconds']:8.1f} {row['pages_per_second']:8.3f} "
        f"{row['generated_per_second']:9.0f} {row['running_mean']:8.1f} {row['waiting_mean']:8.1f}"
    )


def main():
    if sys.argv[1] != "--compare":
        for name in sys.argv[1:]:
            print(line(Path(name)), flush=True)
        return
    folder = Path(sys.argv[2])
    rows = sorted(folder.glob("generator-*.json"), key=lambda path: int(path.stem.split("-")[1]))
    print(HEAD)
    for path in [*rows, folder / "bocr.json"]:
        print(line(path))
    if rows:
        rate = {path.stem: json.loads(path.read_text())["pages_per_second"] for path in rows}
        best = max(rate, key=rate.get)
        bocr = json.loads((folder / "bocr.json").read_text())["pages_per_second"]
        print(f"bocr reaches {bocr / rate[best]:.3f} of the best result of the generator ({best})")


if __name__ == "__main__":
    main()
