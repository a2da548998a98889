"""Import of PyYAML only as far as krmfn uses it: errors, tokens, events, nodes, and libyaml's parser.

The rest of the package (a reader, a resolver and constructors in Python, with their tables of regular expressions) takes
as long to import as everything else in a short run. It is loaded when somebody asks for a name of it.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType, SimpleNamespace

_PARTS = ("error", "tokens", "events", "nodes")
_ERRORS = {
    "scanner": "ScannerError",
    "parser": "ParserError",
    "composer": "ComposerError",
    "constructor": "ConstructorError",
}
"""What libyaml's binding raises, by the module whose import is spared; all are marked errors."""
_WRITERS = {"emitter": "EmitterError", "serializer": "SerializerError", "representer": "RepresenterError"}


class _Package(ModuleType):
    """The package `yaml` with some of its names; any other name loads the whole of it into this very module."""

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__("yaml")
        self.__spec__, self.__file__, self.__loader__ = spec, spec.origin, spec.loader
        self.__path__, self.__package__ = list(spec.submodule_search_locations or ()), "yaml"

    def __getattr__(self, name: str) -> object:
        self.__class__ = ModuleType  # type: ignore[assignment] # whatever is missing from now on is missing
        if self.__spec__ is not None and self.__spec__.loader is not None:
            self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def load() -> None:
    """Make `import yaml` mean the part that is used. Does nothing when PyYAML is loaded already, or is not installed."""
    spec = None if "yaml" in sys.modules else PathFinder.find_spec("yaml")
    if spec is None or spec.loader is None:
        return
    package = sys.modules["yaml"] = _Package(spec)
    for part in _PARTS:
        module = __import__(f"yaml.{part}", fromlist=[part])
        vars(package).update({name: value for name, value in vars(module).items() if name[0] != "_"})
    from yaml.error import MarkedYAMLError, YAMLError

    spared = {name: type(kind, (MarkedYAMLError,), {}) for name, kind in _ERRORS.items()}
    spared |= {name: type(kind, (YAMLError,), {}) for name, kind in _WRITERS.items()}
    spared["reader"] = _reader_error(YAMLError)
    for name, kind in spared.items():
        vars(package)[name] = SimpleNamespace(**{kind.__name__: kind})
    __import__("yaml._yaml")  # keeps the classes; the modules are the real ones for whoever asks from now on
    for name in spared:
        del vars(package)[name]


def _reader_error(base: type[Exception]) -> type[Exception]:
    """Return the class of the error about a text whose bytes libyaml cannot decode."""

    def __init__(self: Exception, *facts: object) -> None:  # noqa: N807 - the class shows it under this name
        Exception.__init__(self, *facts)
        vars(self).update(zip(("name", "position", "character", "encoding", "reason"), facts, strict=True))

    return type("ReaderError", (base,), {"__init__": __init__, "__str__": lambda self: str(self.reason)})
