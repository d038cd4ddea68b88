#!/usr/bin/env python3
"""Runs sigbox and its peers over the same year of one-minute candles, in turns, and compares them.

    python3 bench/peers/run.py             # install what is not there, measure, print two tables
    python3 bench/peers/run.py --update    # and write docs/benchmarks.md

Needs cargo and Python 3.12 or 3.13, with which the Python peers run as well. Everything is kept below target/peers. A
peer that cannot be installed or does not run is a row with the reason. A missed target is no failure: this measures.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import string
import subprocess
import sys
import threading
import time
import venv
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = ROOT / "target" / "peers"
CANDLES = WORK / "year.parquet"
PAGE = ROOT / "docs" / "benchmarks.md"

# A run of a peer that takes longer than this is not repeated as often as the others, and one that takes longer than the
# limit has failed.
SLOW_SECONDS, SLOW_ROUNDS, LIMIT_SECONDS = 30, 3, 1800

# What an earlier measurement of this work found on another machine, for peers that cannot be installed here: candles a
# second in the run. They are scaled by what the plain loop makes of this machine.
RECORDED_PLAIN = 89.3e6
RECORDED = {"backtest-kit": 2.5e3, "nautilus-rust": 114.5e3}

# The terms of bench/year.toml, on candles from the file.
CONFIGURATION = """\
[candles.files]
BTCUSDT = "year.parquet"

[[strategies]]
name = "sma-cross"
plugin = "../../plugins/strategies/sma-cross"
symbols = ["BTCUSDT"]
interval = "{interval}m"
settings = {{ fast = 20, slow = 60, take-profit-percent = 1.0, stop-loss-percent = 0.5, minutes = 240 }}

[engine]
min-stoploss-distance-percent = 0.4
"""


class Absent(Exception):
    """Why a system cannot take part."""


@dataclass
class System:
    """A program that does the work, and what was measured of it."""

    key: str
    name: str
    version: str
    every: int  # minutes between two looks for an entry
    command: list[str]
    runs: list[dict] = field(default_factory=list)
    absent: str | None = None  # why there are no runs

    def median(self, what):
        return statistics.median(run[what] for run in self.runs) if self.runs else None

    @property
    def is_done(self):
        return len(self.runs) >= SLOW_ROUNDS and self.median("process_seconds") > SLOW_SECONDS


# --- making everything that runs ---


def call(command, **options):
    """Runs a command to its end; a failure is the last thing it said."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.lower().startswith("error")] or said or ["it said nothing"]
        raise Absent(f"`{pathlib.Path(command[0]).name} {command[1]} …` failed: {errors[0]}")
    return done.stdout.strip()


def step(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def make_ours():
    """The command, the native strategy, the candles and the configurations."""
    step("building sigbox")
    call(["cargo", "build", "--profile", "dist", "--bins", "--example", "native", "--example", "candles"], cwd=ROOT)
    for every in (1, 5):
        (WORK / f"every-{every}.toml").write_text(CONFIGURATION.format(interval=every))
    release = ROOT / "target" / "dist"
    call([release / "examples" / "candles", ROOT / "bench" / "year.toml", CANDLES])
    # Builds the plugin and fills the cache of compiled code: measured runs find it warm.
    call([release / "sigbox", "backtest", "--config", WORK / "every-1.toml", "--events", WORK / "events.jsonl"])
    return release


def build(folder, toolchain=None, flags="", arguments=()):
    """The program of a crate below this folder, built for this processor."""
    step(f"building {folder}")
    target = WORK / folder
    environment = os.environ | {"CARGO_TARGET_DIR": str(target), "RUSTFLAGS": f"-C target-cpu=native {flags}"}
    cargo = ["cargo", *([f"+{toolchain}"] if toolchain else []), "build", "--release", "--locked", *arguments]
    call(cargo, cwd=HERE / folder, env=environment)
    return target / "release" / folder


def build_nautilus():
    """nautilus_trader's crates ask for Rust 1.99.1, for one feature that a nightly has had since 1.97."""
    for toolchain in ("stable", "nightly"):
        try:
            said = call(["rustc", f"+{toolchain}", "--version"])
        except (Absent, FileNotFoundError):
            continue
        version = tuple(int(part) for part in re.match(r"rustc (\d+)\.(\d+)\.(\d+)", said).groups())
        if version >= (1, 99, 1):
            return build("nautilus", toolchain)
        if "nightly" in said and version >= (1, 97, 0):
            return build("nautilus", toolchain, "-Zcrate-attr=feature(int_format_into)", ["--ignore-rust-version"])
    raise Absent("needs Rust 1.99.1 (`rustup update stable`) or a nightly from 1.97 on")


def install(peer, *requirements):
    """The Python of an environment of its own, with these packages."""
    folder = WORK / peer
    python, stamp = folder / "bin" / "python", folder / "requirements.txt"
    wanted = "\n".join((platform.python_version(), *requirements))
    if not (stamp.exists() and stamp.read_text() == wanted):
        step(f"installing {peer}")
        venv.create(folder, clear=True, with_pip=True)
        call([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])
        stamp.write_text(wanted)
    return python


def systems(only):
    """Everything there is, in the order of the table; made ready, if it is among what was asked for."""
    found = []

    def add(key, name, version, every, make, *arguments):
        system = System(key, name, version, every, [])
        found.append(system)
        if only and not any(part in key for part in only):
            system.absent = "not asked for"
            return
        try:
            system.command = [str(part) for part in (*make(), *arguments)]
        except Absent as reason:
            system.absent = str(reason)

    def once(make, *arguments):
        """Makes something when it is first needed, and fails the same way when it is needed again."""
        kept = []

        def get():
            if not kept:
                try:
                    kept.append(make(*arguments))
                except Absent as reason:
                    kept.append(reason)
            if isinstance(kept[0], Absent):
                raise kept[0]
            return kept[0]

        return get

    def python(name, peer):
        return lambda: [peer(), HERE / "python" / f"{name}_peer.py"]

    release = make_ours()
    rust = call(["rustc", "--version"], cwd=ROOT).split()[1]
    sigbox = call([release / "sigbox", "--version"]).split()[1]
    plain = once(build, "plain")
    tables = ("pandas==3.1.1", "pyarrow==26.0.1", "numpy==2.5.5")
    vectorbt = once(install, "vectorbt", "vectorbt[rust]==1.2.0", "numba==0.68.1", *tables)
    raptorbt = once(install, "raptorbt", "raptorbt==0.13.4", *tables)
    backtesting = once(install, "backtesting", "backtesting==0.6.6", *tables)
    backtrader = once(install, "backtrader", "backtrader==1.9.78.123", *tables)
    # Its wranglers cannot take the read-only columns of pandas 3.
    nautilus = once(install, "nautilus-python", "nautilus_trader==1.231.0", "pandas==2.3.3", *tables[1:])

    for every in (1, 5):
        add(f"plain-{every}", "plain Rust loop, the limit", f"rustc {rust}", every, lambda: [plain()], CANDLES, every)
        add(f"native-{every}", "**sigbox**, strategy compiled in", sigbox, every,
            lambda: [release / "examples" / "native"], CANDLES, f"{every}m")
        command = [release / "sigbox", "backtest", "--json", "--config", WORK / f"every-{every}.toml"]
        add(f"sandbox-{every}", "**sigbox**, sandboxed component", sigbox, every, lambda: command, "--no-events")
        add(f"events-{every}", "**sigbox**, the same, every event written", sigbox, every,
            lambda: command, "--events", WORK / "events.jsonl")
        add(f"vectorbt-{every}", "vectorbt, Rust kernels, no 4 h exit", "1.2.0", every,
            python("vectorbt", vectorbt), CANDLES, every)
        add(f"vectorbt-numba-{every}", "vectorbt, numba", "1.2.0", every,
            python("vectorbt", vectorbt), CANDLES, every, "timed-exit")
        add(f"raptorbt-{every}", "raptorbt, arrays, long only, ends at crosses too", "0.13.4", every,
            python("raptorbt", raptorbt), CANDLES, every)
    add("raptorbt-class", "raptorbt, a Python class, long only", "0.13.4", 1, python("raptorbt", raptorbt), CANDLES, 1, "class")
    add("nautilus-rust", "nautilus_trader, Rust crates", "0.67.0", 1, lambda: [build_nautilus()], CANDLES, 1)
    add("backtesting", "backtesting.py", "0.6.6", 1, python("backtesting", backtesting), CANDLES, 1)
    add("nautilus-python", "nautilus_trader, Python", "1.231.0", 1, python("nautilus", nautilus), CANDLES, 1)
    add("backtrader", "backtrader", "1.9.78.123", 1, python("backtrader", backtrader), CANDLES, 1)
    add("backtest-kit", "backtest-kit", "18.7.0", 1, make_backtest_kit)
    return sorted(found, key=lambda system: system.every)


def make_backtest_kit():
    raise Absent("npm has not all that it depends on (di-singleton, functools-kit 5)")


# --- measuring ---


def end_of(file):
    """The end of what was written to a file: some systems log more than is good to have in memory."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - (1 << 20)))
    return file.read().decode(errors="replace")


def measure(system):
    """Runs a system once, in a process of its own."""
    with open(WORK / "stdout", "wb+") as out, open(WORK / "stderr", "wb+") as errors:
        started = time.perf_counter()
        child = subprocess.Popen(system.command, stdout=out, stderr=errors, cwd=WORK)
        limit = threading.Timer(LIMIT_SECONDS, child.kill)
        limit.start()
        # Unlike `wait`, this says what this very child used. It is never less than the most this program itself ever had
        # in memory, some 20 MB.
        _, status, used = os.wait4(child.pid, 0)
        process_seconds = time.perf_counter() - started
        limit.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        said, complaints = end_of(out), end_of(errors)
    if child.returncode:
        lines = complaints.strip().splitlines() or ["it said nothing"]
        raise Absent(f"it failed (exit code {child.returncode}): {lines[-1].strip()}")
    run = {
        "process_seconds": process_seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss * 1024 / 1e6,
    }
    if system.key.startswith(("sandbox", "events")):
        result = json.loads(said)
        return run | {"seconds": result["runSeconds"], "trades": result["total"]["trades"]}
    result = json.loads(said.strip().splitlines()[-1])
    return run | {"seconds": result["seconds"], "trades": result["trades"], "candles": result["candles"]}


def measure_all(found, rounds):
    for number in range(1, rounds + 1):
        for system in found:
            if system.absent or system.is_done:
                continue
            try:
                run = measure(system)
            except Absent as reason:
                system.absent, system.runs = str(reason), []
                step(f"round {number}: {system.key}: {reason}")
                continue
            system.runs.append(run)
            step(f"round {number}: {system.key}, every {system.every} min: {run['seconds']:.4f} s in the run, "
                 f"{run['process_seconds']:.2f} s in all")


# --- what it amounts to ---


@dataclass
class Row:
    """One line of the result table. A system that was not measured has a rate from a record, or nothing."""

    key: str
    name: str
    version: str
    every: int
    rate: float | None = None  # candles a second in the run
    seconds: float | None = None
    process_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_mb: float | None = None
    trades: int | None = None
    runs: int = 0
    note: str = ""


def rows(found):
    candles = next(run["candles"] for system in found for run in system.runs if "candles" in run)
    plain = next(system for system in found if system.key == "plain-1")
    scale = candles / plain.median("seconds") / RECORDED_PLAIN if plain.runs else None
    made = []
    for system in found:
        row = Row(system.key, system.name, system.version, system.every, runs=len(system.runs))
        if system.runs:
            row.seconds, row.process_seconds = system.median("seconds"), system.median("process_seconds")
            row.cpu_seconds, row.peak_mb = system.median("cpu_seconds"), system.median("peak_mb")
            row.trades = system.runs[-1]["trades"]
            row.rate = candles / row.seconds
        elif system.key in RECORDED and scale:
            row.rate = RECORDED[system.key] * scale
            row.note = f"recorded, times {scale:.2f}; not run: {system.absent}"
        else:
            row.note = f"not run: {system.absent}"
        made.append(row)
    return candles, made


def targets(made):
    """What was asked for, as (target, needed, found, met)."""
    row = {each.key: each for each in made}

    def rate(key):
        return row[key].rate

    def at_least(text, ours, factor, theirs):
        if None in (rate(ours), rate(theirs)):
            return text, "–", "–", None
        needed = factor * rate(theirs)
        return text, f"{count(needed)}/s", f"{count(rate(ours))}/s", rate(ours) >= needed

    # With its events, as users have it, though no peer writes any.
    whole = row["events-1"]
    peers = [each for each in made if not each.key.startswith(("plain", "native", "sandbox", "events"))]
    measured = [each for each in peers if each.runs]
    quickest = min(measured, key=lambda each: each.process_seconds, default=None)
    listed = [
        at_least("compiled in: 1/8 of the plain loop", "native-1", 1 / 8, "plain-1"),
        at_least("sandboxed, every minute: 1/70 of the plain loop", "sandbox-1", 1 / 70, "plain-1"),
        at_least("sandboxed, every five minutes: 1/18 of the plain loop", "sandbox-5", 1 / 18, "plain-5"),
        at_least("sandboxed, every minute: 400 times backtest-kit", "sandbox-1", 400, "backtest-kit"),
        at_least("sandboxed, every minute: 20 times backtesting.py", "sandbox-1", 20, "backtesting"),
        at_least("sandboxed, every minute: 8 times nautilus_trader's Rust crates", "sandbox-1", 8, "nautilus-rust"),
        at_least("sandboxed, every minute: twice vectorbt's Rust kernels", "sandbox-1", 2, "vectorbt-1"),
        at_least("sandboxed, every minute: raptorbt's arrays", "sandbox-1", 1, "raptorbt-1"),
        at_least("sandboxed, every minute: 0.6 of the strategy compiled in", "sandbox-1", 0.6, "native-1"),
        at_least("sandboxed, every five minutes: three times vectorbt's Rust kernels", "sandbox-5", 3, "vectorbt-5"),
        at_least("with every event written, every minute: vectorbt's Rust kernels", "events-1", 1, "vectorbt-1"),
    ]
    if whole.runs:
        seconds = whole.process_seconds
        listed.append(("whole process, every minute, events written", "1.00 s", f"{seconds:.2f} s", seconds < 1))
        if quickest:
            text = f"whole process, every minute, events written: faster than every peer ({quickest.name})"
            listed.append((text, f"{quickest.process_seconds:.2f} s", f"{seconds:.2f} s",
                           seconds < quickest.process_seconds))
        listed.append(("peak memory, every minute, events written", "120 MB", f"{whole.peak_mb:.0f} MB", whole.peak_mb < 120))
    return listed


def count(number):
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def raised(number):
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def table(head, lines):
    texts = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in texts)


def results_table(made):
    ours = {row.every: row.rate for row in made if row.key.startswith("sandbox")}

    def shown(value, form):
        return "–" if value is None else form.format(value)

    lines, notes = [], []
    for row in made:
        mark = ""
        if row.note:
            notes.append(f"{row.name}: {row.note}.")
            mark = raised(len(notes))
        ratio = ours[row.every] / row.rate if row.rate and ours.get(row.every) else None
        lines.append([
            row.name + mark,
            row.version,
            f"{row.every} min",
            "–" if row.rate is None else count(row.rate),
            shown(row.seconds, "{:.3g}"),
            shown(row.process_seconds, "{:.2f}"),
            shown(row.cpu_seconds, "{:.2f}"),
            shown(row.peak_mb, "{:.0f}"),
            shown(row.trades, "{:,}"),
            "" if row.key.startswith("sandbox") else shown(ratio, "{:.3g}"),
        ])
    head = ["system", "version", "looks every", "candles/s in the run", "run, s", "process, s", "CPU, s", "peak, MB",
            "trades", "sandboxed sigbox to it"]
    text = table(head, lines)
    return text + "".join(f"\n\n{raised(number)} {note}" for number, note in enumerate(notes, 1))


def targets_table(listed):
    word = {True: "met", False: "**missed**", None: "not measured"}
    return table(["target", "needed", "found", ""], [[*texts, word[met]] for *texts, met in listed])


def commit():
    git = ["git", "-C", ROOT]
    try:
        changed = call([*git, "status", "--porcelain", "--", ":!docs/benchmarks.md"])
        return call([*git, "rev-parse", "--short", "HEAD"]) + (" and changes that are not committed" if changed else "")
    except (Absent, FileNotFoundError):
        return "unknown"


def circumstances(rounds, candles, load):
    processor = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = re.findall(r"model name\s*:\s*(.*)", cpuinfo.read_text())
        processor = names[0] if names else processor
    return {
        "date": f"{datetime.datetime.now(datetime.UTC):%-d %B %Y}",
        "commit": commit(),
        "machine": f"{processor}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "candles": f"{candles:,}",
        "rounds": str(rounds),
        "load": f"{load[0]:.1f} at the start, {load[1]:.1f} at the end",
    }


def main():
    parser = argparse.ArgumentParser(description="Runs sigbox and its peers over the same year of candles, in turns.")
    parser.add_argument("--rounds", type=int, default=5, metavar="N",
                        help=f"runs of each (default: 5; {SLOW_ROUNDS} of what takes over {SLOW_SECONDS} s)")
    parser.add_argument("--only", nargs="+", metavar="PART", help="only systems with one of these in their key")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write every run and every number there too")
    parser.add_argument("--update", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    # With another Python, pip finds none of the Python peers, and only says so after a long build.
    if sys.version_info[:2] not in ((3, 12), (3, 13)):
        sys.exit(f"this needs Python 3.12 or 3.13, because its peers do; this is {platform.python_version()}")

    WORK.mkdir(parents=True, exist_ok=True)
    try:
        found = systems(options.only)
    except Absent as reason:
        sys.exit(f"sigbox itself cannot be measured: {reason}")
    load = [os.getloadavg()[0]]
    measure_all(found, options.rounds)
    load.append(os.getloadavg()[0])

    candles, made = rows(found)
    listed = targets(made)
    facts = circumstances(options.rounds, candles, load)
    results, judged = results_table(made), targets_table(listed)
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    print(f"\n{results}\n\n{judged}")
    if options.json:
        document = {
            "circumstances": facts,
            "rows": [vars(row) for row in made],
            "targets": [dict(zip(("target", "needed", "found", "met"), each)) for each in listed],
            "runs": {system.key: system.runs for system in found},
        }
        options.json.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    if options.update:
        page = string.Template((HERE / "page.md").read_text())
        PAGE.write_text(page.substitute(facts, results=results, targets=judged))
        step(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
