"""Files that break one rule each, and files that break none: what the rules are tested with."""

from style.source import Source

LAYERS = """
# Comments and empty lines are fine.
base:
engine: base
engine_model: engine base
queue: engine base
queue tests: engine_model
engine_embedded: engine base
http: queue engine base
"""
LAYERS_UPWARD = """
base: engine
engine: base
nonsense
"""
BUILT = ["src/base/clock.cpp", "src/queue/queue.cpp", "src/queue/queue_test.cpp",
         "src/http/accept.cpp"]
PATHS = ["docs/ARCHITECTURE.md", "README.md", "src/base/clock.cpp"]


def cpp(text, path="src/base/clock.cpp"):
    return Source(path, text)


def header(text, path="src/base/include/millrace/base/clock.hpp"):
    return Source(path, "#pragma once\n" + text)


LONG_FUNCTION = "void f() {\n" + "  g();\n" * 80 + "}\n"
LONG_WRAPPED = ("c::c(int a,\n     int b)\n    : a_(a) {\n" + "  g();\n" * 80 + "}\n")
WRAPPED = "int f(\n    int a) {\n" + "  g();\n" * 60 + "}\n\n"
LONG_METHOD = "class c {\n  int f() const {\n" + "    g();\n" * 80 + "  }\n};\n"

BROKEN = [
    ("layers", cpp("#include <millrace/engine/store.hpp>\n")),
    ("layers", header("#include <millrace/queue/queue.hpp>\n",
                      "src/engine/include/millrace/engine/store.hpp")),
    ("layers", header("int x;\n", "src/attic/include/millrace/attic/x.hpp")),
    ("layers", cpp("#include <millrace/engine_model/model.hpp>\n", "src/queue/queue.cpp")),
    ("columns", cpp("// " + "é" * 98 + "\n")),
    ("file_length", cpp("int a;\n" * 701)),
    ("function_length", cpp(LONG_FUNCTION)),
    ("function_length", cpp(LONG_METHOD)),
    ("function_length", cpp(LONG_WRAPPED)),
    ("white_space", cpp("int a; \n")),
    ("white_space", cpp("\tint a;\n")),
    ("white_space", cpp("int a;")),
    ("unfinished", cpp("// TO" "DO: later\n")),
    ("unfinished", Source("docs/x.md", "# Title\n\nThis is not impl" "emented.\n")),
    ("skipped_test", cpp("GTEST_SK" "IP();\n", "src/queue/queue_test.cpp")),
    ("machine_path", Source("docs/x.md", "# Title\n\nSee /home/me/x.\n")),
    ("machine_path", Source("tools/x", "cp /wo" "rk/main/x .\n")),
    ("download_address", Source("web/x.lock", "http://localhost:4873/npm-registry/x.tgz\n")),
    ("pragma_once", Source("src/base/x.hpp", "int x;\n")),
    ("vague_name", cpp("class lease_manager final {};\n")),
    ("vague_name", header("int x;\n", "src/base/include/millrace/base/string_utils.hpp")),
    ("file_name", header("int x;\n", "src/base/jobQueue.hpp")),
    ("detached", cpp("co_spawn(e, f(), asio::detached);\n")),
    ("adapted_type", header("struct sqlite3;\n", "src/queue/row.hpp")),
    ("adapted_type", header("#include <sqlite3.h>\n",
                            "src/engine_embedded/include/millrace/engine_embedded/x.hpp")),
    ("sleeping_test", cpp("std::this_thread::sleep_for(1s);\n", "src/queue/queue_test.cpp")),
    ("dead_file", cpp("int x;\n", "src/queue/forgotten.cpp")),
    ("markdown", Source("docs/x.md", "Text before\n# Title\n")),
    ("markdown", Source("docs/x.md", "# One\n\n# Two\n")),
    ("markdown", Source("docs/x.md", "# Title\n\n[gone](gone.md)\n")),
    ("markdown", Source("docs/x.md", "# Title\n\n```sh\ntrue\n")),
    ("script", Source("tools/x", "#!/usr/bin/env bash\nset -euo pipefail\nif\n", True)),
    ("script", Source("tools/x", "#!/usr/bin/env bash\ntrue\n", True)),
    ("script", Source("tools/x", "#!/usr/bin/env python3\ndef\n", True)),
    ("script", Source("tools/x", "#!/usr/bin/env python3\n1\n", False)),
    ("json_file", Source("x.json", "{,}\n")),
    ("file_size", Source("docs/x.txt", "x" * 100 + "\n" + "y\n" * 300_000)),
]

CLEAN = [
    cpp("int main() {\n" + "  g();\n" * 60 + "}\n"),
    # Many short functions of one class are not one long function.
    header("class c {\n" + "  int f() { return 1; }\n" * 90 + "};\n"),
    cpp(WRAPPED + WRAPPED),
    # Namespaces and classes may be long.
    cpp("namespace a {\n" + "int x;\n" * 90 + "}  // namespace a\n"),
    cpp("#include <millrace/engine_model/model.hpp>\n", "src/queue/queue_test.cpp"),
    cpp("#include <millrace/queue/queue.hpp>\n#include <millrace/base/clock.hpp>\n",
        "src/queue/queue.cpp"),
    cpp("co_spawn(e, serve(), asio::detached);\n", "src/http/accept.cpp"),
    header("struct sqlite3;\n", "src/engine_embedded/database.hpp"),
    # An allowance with a reason holds for its line and the next.
    cpp("// tidy: allow sleeping_test because the process under test has no clock to move\n"
        "std::this_thread::sleep_for(1s);\n", "src/queue/queue_test.cpp"),
    Source("docs/x.md", "# Title\n\n```sh\n# not a title\n```\n[there](ARCHITECTURE.md#top) "
                        "[home](../README.md) [web](https://example.org) [dir](../src/base)\n"),
    Source("Makefile", "all:\n\ttrue\n"),
    Source("tools/x", "#!/usr/bin/env bash\nset -euo pipefail\ntrue\n", True),
    Source("x.json", '{"a": 1}\n'),
]
