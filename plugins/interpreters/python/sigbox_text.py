"""Runs the text of a plugin: makes its files importable, and finds the class in its main file.

sigbox hands the files over by `sigbox:host/source`. There is no file system.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec
from importlib.util import module_from_spec
from types import CodeType, ModuleType

from sigbox import _guest
from wit_world.imports import source

_guest.OURS.append(__file__)


class _Text(InspectLoader):
    """A module of the plugin."""

    def __init__(self, path: str, text: str):
        self.path, self.text = path, text
        _guest.show_lines_of(path, text)

    def is_package(self, fullname: str) -> bool:
        return self.path.endswith("/__init__.py")

    def get_source(self, fullname: str) -> str:
        return self.text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.text, self.path, "exec", dont_inherit=True)

    def spec(self, name: str) -> ModuleSpec:
        spec = ModuleSpec(name, self, origin=self.path, is_package=self.is_package(name))
        spec.has_location = True
        return spec


class _Files(MetaPathFinder):
    """Finds the modules of the plugin, and says what is wrong with the rest."""

    def __init__(self, main: str, modules: Sequence[source.File]):
        self.paths = [main, *sorted(file.path for file in modules)]
        self.texts = {_module(file.path): _Text(file.path, file.text) for file in modules}
        self.folders = {name.rpartition(".")[0] for name in self.texts} - {""} - self.texts.keys()
        for name in [*self.folders]:
            while name := name.rpartition(".")[0]:
                if name not in self.texts:
                    self.folders.add(name)

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname in self.texts:
            return self.texts[fullname].spec(fullname)
        if fullname in self.folders:
            # A folder without __init__.py.
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [fullname.replace(".", "/")]
            return spec
        for finder in (BuiltinImporter, FrozenImporter):
            if (found := finder.find_spec(fullname)) is not None:
                return found
        top = fullname.partition(".")[0]
        if top in sys.stdlib_module_names:
            why = "this module of the standard library is not in the interpreter"
        else:
            why = f"it is not one of the plugin's files ({', '.join(self.paths)})"
            if top not in self.texts and top not in self.folders:
                why += ", and a package of pip must be built in: `python -m sigbox.build FILE`"
        raise ModuleNotFoundError(f"No module named {fullname!r}: {why}", name=fullname)


def load(base: type) -> type:
    """Runs the main file, and gives its one class that derives from `base`. Raises what the text raises."""
    main = source.main()
    files = _Files(main.path, source.modules())
    for name in files.texts:
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top == "sigbox":
            whose = "sigbox's" if top == "sigbox" else "of the standard library"
            raise ImportError(f"{files.texts[name].path}: a module of this name is {whose}; give the file another name")
    sys.meta_path[:] = [files]
    name = _module(main.path)
    module = module_from_spec(_Text(main.path, main.text).spec(name))
    if name not in sys.modules:
        sys.modules[name] = module
    assert module.__spec__ is not None and module.__spec__.loader is not None
    module.__spec__.loader.exec_module(module)
    return _guest.the_class(module, base)


def _module(path: str) -> str:
    """`signals/dip.py` is signals.dip, `signals/__init__.py` is signals."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def forget_the_disk() -> None:
    """At the end of a build: the folders that modules were imported from are not there later."""
    sys.path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
