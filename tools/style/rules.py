"""The rules. Each takes a Source and yields (line, what is wrong and how to mend it)."""

import ast
import json
import re
import subprocess

COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 700
FILE_BYTES_MAX = 512 * 1024

# Words that say nothing about what a thing does.
VAGUE = {"manager", "helper", "helpers", "util", "utils", "misc", "common", "stuff"}

# A library's types stay in the room that adapts it.
ADAPTED = [
    (re.compile(r"\bsqlite3\w*|<sqlite3\.h>"), "src/engine_embedded/", "SQLite"),
    (re.compile(r"\bPG(?:conn|result)\b|<libpq-fe\.h>"), "src/engine_postgres/", "libpq"),
]

UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b|\bnot impl" r"emented\b")
SKIPPED_TEST = re.compile(r"\b(?:GTEST_SK" r"IP|DISAB" r"LED_)")
# Ada is who the documents speak of.
MACHINE_PATH = re.compile(r"(?<![\w.~*-])/(?:work/|root/|home/(?!ada/))")
DOWNLOAD_ADDRESS = re.compile(
    r"\"resolved\": *\"http|"
    # tidy: allow download_address because this is the rule itself
    r"(?:localhost|127\.0\.0\.1)(?::\d+)?/\S*registry|registry\S*@?localhost")
DETACHED = re.compile(r"\basio::detached\b")
SLEEP = re.compile(r"\bsleep_(?:for|until)\b|\b(?:u|nano)sleep\(|::sleep\(")
TYPE_NAME = re.compile(r"\b(?:class|struct|enum class|namespace|concept) +(\w+)")
INCLUDE = re.compile(r"\s*#\s*include\s*<millrace/([^>]+)>")
NO_FUNCTION = re.compile(r" *(?://|namespace|struct|class|enum|union|extern|#|\}|@)")
FUNCTION_OPENS = re.compile(r"(?:\)|\bconst|\bnoexcept|\boverride|-> .*|\}) \{$")
STATEMENT_ENDS = re.compile(r"(?:[;{}:]|^|^ *//.*|^ *#.*)$")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def each_match(source, pattern, message):
    for number, line in enumerate(source.lines, 1):
        if pattern.search(line):
            yield number, message


def layers(source, house):
    """A room includes only from rooms that layers.txt gives it."""
    room = house.layers.room_of(source.path)
    if room is None or not source.is_cpp:
        return
    if room not in house.layers.allowed:
        yield 1, f"room '{room}' is not in layers.txt; add it below the rooms it uses"
        return
    for number, line in enumerate(source.lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        other = house.layers.room_of_include(match[1])
        if not house.layers.may_include(room, other, source.is_test):
            yield number, (f"'{room}' may not use '{other}'; move what both need down, "
                           "or change layers.txt with a reason")


def layer_file(source, house):
    """layers.txt can be read, and goes one way."""
    if source.path == "layers.txt":
        yield from house.layers.mistakes


def columns(source, house):
    if not source.is_cpp:
        return
    for number, line in enumerate(source.lines, 1):
        if len(line) > COLUMNS_MAX:
            yield number, f"{len(line)} columns; at most {COLUMNS_MAX}"


def file_length(source, house):
    count = len(source.lines) - 1
    if source.is_cpp and count > FILE_LINES_MAX:
        yield count, f"{count} lines, at most {FILE_LINES_MAX}; does it hold two things?"


def function_length(source, house):
    """Goes by the indentation that clang-format gives: a body ends where its first column closes."""
    if not source.is_cpp:
        return
    start, head, statement, fresh = None, 0, "", True
    for number, line in enumerate(source.lines, 1):
        if start is not None:
            if line.startswith(" " * (len(statement) - len(statement.lstrip())) + "}"):
                if number - start >= FUNCTION_LINES_MAX:
                    yield start, (f"a function of {number - start + 1} lines; "
                                  f"at most {FUNCTION_LINES_MAX}")
                start = None
            continue
        if fresh:
            head, statement = number, line
        fresh = bool(STATEMENT_ENDS.search(line))
        outside = not statement.startswith("   ") and not NO_FUNCTION.match(statement)
        if outside and FUNCTION_OPENS.search(line):
            start = head


def white_space(source, house):
    for number, line in enumerate(source.lines, 1):
        if line != line.rstrip():
            yield number, "white space at the end of the line; remove it"
        if "\t" in line and source.stem != "Makefile":
            yield number, "a tab; use spaces"
    if source.text and not source.text.endswith("\n"):
        yield len(source.lines), "the last line does not end; add a line end"


def unfinished(source, house):
    yield from each_match(source, UNFINISHED, "an unfinished mark; finish it or take it out")


def skipped_test(source, house):
    if source.is_cpp:
        yield from each_match(source, SKIPPED_TEST, "a skipped test proves nothing; make it run")


def machine_path(source, house):
    yield from each_match(source, MACHINE_PATH, "a path of one machine; make it relative")


def download_address(source, house):
    yield from each_match(source, DOWNLOAD_ADDRESS,
                          "a download address of one machine; leave it out of the file")


def pragma_once(source, house):
    if source.ending == ".hpp" and source.lines[0] != "#pragma once":
        yield 1, "a header begins with '#pragma once'"


def vague_name(source, house):
    where = "name it for what it does"
    for word in sorted(VAGUE & set(source.stem.lower().split("_"))):
        if source.is_cpp or source.is_python:
            yield 1, f"'{word}' in a file name says nothing; {where}"
    if not source.is_cpp:
        return
    for number, line in enumerate(source.lines, 1):
        for name in TYPE_NAME.findall(line.partition("//")[0]):
            for word in sorted(VAGUE & set(name.lower().split("_"))):
                yield number, f"'{word}' in '{name}' says nothing; {where}"


def file_name(source, house):
    if source.is_cpp and not re.fullmatch(r"[a-z0-9_]+", source.stem):
        yield 1, "file names are snake_case"


def detached(source, house):
    owned = source.is_test or source.path.startswith(("src/http/", "bench/"))
    if source.is_cpp and not owned:
        yield from each_match(source, DETACHED,
                              "work that nobody owns; spawn it in a task_group")


def adapted_type(source, house):
    if source.ending != ".hpp":
        return
    for pattern, room, library in ADAPTED:
        if not source.path.startswith(room) or source.is_public_header:
            yield from each_match(source, pattern,
                                  f"a type of {library} in a header that others see; "
                                  f"keep it in the sources of {room}")


def sleeping_test(source, house):
    if source.is_cpp and source.is_test:
        yield from each_match(source, SLEEP, "a test that sleeps is slow or flaky; wait for the "
                                             "event, or move a manual clock")


def dead_file(source, house):
    """A source that no CMakeLists.txt names is never compiled."""
    if source.ending == ".cpp" and source.path not in house.built:
        yield 1, "no CMakeLists.txt lists this file; add it there or delete it"


def markdown(source, house):
    if source.ending != ".md":
        return
    titles, fenced = [], False
    for number, line in enumerate(source.lines, 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            if line.startswith("# "):
                titles.append(number)
            for target in LINK.findall(line):
                if "://" not in target and not target.startswith("mailto:"):
                    if not house.exists(source.path, target):
                        yield number, f"the link to '{target}' leads nowhere"
    if titles != [1]:
        yield 1, "a page begins with its one '# title'"
    if fenced:
        yield len(source.lines), "a code block is not closed"


def script(source, house):
    """Scripts parse, stop at the first error, and can be run."""
    if source.is_bash:
        check = subprocess.run(["bash", "-n"], input=source.text, capture_output=True, text=True)
        if check.returncode != 0:
            yield 1, f"bash cannot read it: {check.stderr.strip()}"
        if "set -euo pipefail" not in source.text:
            yield 1, "add 'set -euo pipefail': a script stops at its first error"
    if source.is_python:
        try:
            ast.parse(source.text)
        except SyntaxError as wrong:
            yield wrong.lineno or 1, f"python cannot read it: {wrong.msg}"
    if source.text.startswith("#!") and not source.executable:
        yield 1, "a script that cannot be run; chmod +x"


def json_file(source, house):
    if source.ending == ".json":
        try:
            json.loads(source.text)
        except ValueError as wrong:
            yield getattr(wrong, "lineno", 1), f"not JSON: {wrong}"


def file_size(source, house):
    size = len(source.text.encode())
    if size > FILE_BYTES_MAX:
        yield 1, f"{size // 1024} KiB, at most {FILE_BYTES_MAX // 1024}; make it at build time"


ALL = [layers, layer_file, columns, file_length, function_length, white_space, unfinished,
       skipped_test, machine_path, download_address, pragma_once, vague_name, file_name, detached,
       adapted_type, sleeping_test, dead_file, markdown, script, json_file, file_size]
