"""Builds a component from a plugin's file: `python -m sigbox.build dip.py -o dip.wasm`.

Only a plugin that needs packages of pip must be built. sigbox runs the text of any other one as it is. The packages that
are installed beside this one are found, if they are pure Python. Needs `componentize-py` (the extra `build` of this package).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_ENTRY = """\
import importlib

import sigbox._library_{world}
from sigbox._guest_{world} import built

{export} = built(importlib.import_module({module!r}))
"""


def main() -> int:
    """Exit codes: 0 built, 1 it could not be built, 2 the command line is wrong."""
    parser = argparse.ArgumentParser(prog="python -m sigbox.build", description="Build a component from a plugin's file.")
    parser.add_argument("file", type=Path, help="the file with the strategy or the backend; its folder is searched for modules")
    parser.add_argument("-o", "--output", type=Path, help="the component [default: the file with .wasm]")
    parser.add_argument("--world", choices=("strategy", "backend"), help="[default: backend if the file imports sigbox.persistence]")
    parser.add_argument("--wit", type=Path, help="the contract [default: what `sigbox wit export` writes]")
    given = parser.parse_args()
    file: Path = given.file.resolve()
    if file.suffix != ".py" or not file.is_file():
        parser.error(f"{given.file} is no Python file")
    text = file.read_text(encoding="utf-8")
    world = given.world or ("backend" if "sigbox.persistence" in text else "strategy")
    output = (given.output or file.with_suffix(".wasm")).resolve()
    tool = Path(sys.executable).with_name("componentize-py")
    command = str(tool) if tool.exists() else shutil.which("componentize-py")
    if command is None:
        print("componentize-py is not installed: it is the extra "build" of this package", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        wit = given.wit
        if wit is None:
            wit = Path(folder, "wit")
            try:
                subprocess.run(["sigbox", "wit", "export", str(wit)], check=True, stdout=subprocess.DEVNULL)
            except FileNotFoundError:
                print("sigbox is not on PATH; --wit FOLDER says where the contract is", file=sys.stderr)
                return 1
            except subprocess.CalledProcessError:
                return 1
        export = "Strategy" if world == "strategy" else "Store"
        entry = _ENTRY.format(world=world, export=export, module=file.stem)
        Path(folder, "sigbox_plugin_entry.py").write_text(entry, encoding="utf-8")
        # componentize-py leaves a __pycache__ beside each module. This one may be where nobody may write.
        shutil.copytree(Path(__file__).parent, Path(folder, "sigbox"), ignore=shutil.ignore_patterns("__pycache__"))
        paths = [folder, str(file.parent)]
        environment = {"VIRTUAL_ENV": sys.prefix} if sys.prefix != sys.base_prefix else {}
        done = subprocess.run(
            [command, "-q", "-d", str(wit), "-w", world, "componentize", "sigbox_plugin_entry"]
            + [argument for path in paths for argument in ("-p", path)]
            + ["-o", str(output)],
            env={**os.environ, **environment},
        )
    return 0 if done.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
