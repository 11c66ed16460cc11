"""What the rules look at: one text file of the repository, and the layers of the rooms."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

CPP_ENDINGS = {".hpp", ".cpp"}


@dataclass(frozen=True)
class Source:
    """A text file: its path within the repository, its text, and whether it may be executed."""

    path: str
    text: str
    executable: bool = False
    # Set for what only tests use: their sources, and private headers that nothing else includes.
    of_tests: bool = False

    @cached_property
    def lines(self):
        return self.text.split("\n")

    @cached_property
    def ending(self):
        return PurePosixPath(self.path).suffix

    @cached_property
    def stem(self):
        return PurePosixPath(self.path).stem

    @property
    def is_cpp(self):
        return self.ending in CPP_ENDINGS

    @property
    def is_test(self):
        return self.of_tests or self.stem.endswith("_test") or self.path.startswith("tests/")

    @property
    def is_public_header(self):
        return self.ending == ".hpp" and "/include/" in self.path

    @property
    def is_bash(self):
        return bool(re.match(r"#!.*\bbash\b", self.lines[0]))

    @property
    def is_python(self):
        return self.ending == ".py" or bool(re.match(r"#!.*\bpython3\b", self.lines[0]))


@dataclass
class Layers:
    """Which rooms a room may include from, as `layers.txt` says it."""

    allowed: dict = field(default_factory=dict)
    for_tests: dict = field(default_factory=dict)
    mistakes: list = field(default_factory=list)

    @staticmethod
    def parse(text):
        """Reads `room: room…` and `room tests: room…` lines. A room names only rooms above it."""
        layers = Layers()
        for number, line in enumerate(text.split("\n"), 1):
            line = line.partition("#")[0].strip()
            if not line:
                continue
            match = re.fullmatch(r"(\w+)( tests)?:((?: \w+)*)", line)
            if not match:
                layers.mistakes.append((number, f"cannot read '{line}'; write 'room: room room'"))
                continue
            room, tests, others = match[1], match[2], match[3].split()
            if tests:
                layers.for_tests[room] = set(others)
                continue
            for other in others:
                if other not in layers.allowed:
                    layers.mistakes.append(
                        (number, f"'{room}' names '{other}', which does not stand above it"))
            layers.allowed[room] = set(others)
        return layers

    def room_of(self, path):
        """The room a file belongs to; None outside src/.

        A room within a room is `engine_model` or just `model`, as its include root says.
        """
        parts = PurePosixPath(path).parts
        if parts[:1] != ("src",) or len(parts) < 3:
            return None
        within = ("_".join(parts[1:3]), parts[2])
        return next((room for room in within if room in self.allowed), parts[1])

    @staticmethod
    def room_of_include(include):
        """The room that `<millrace/…>` comes from."""
        return PurePosixPath(include).parts[0]

    def may_include(self, room, other, is_test):
        if other == room or other in self.allowed.get(room, ()):
            return True
        return is_test and other in self.for_tests.get(room, ())
