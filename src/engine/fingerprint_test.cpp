#include <millrace/engine/fingerprint.hpp>

#include <millrace/base/names.hpp>

#include <gtest/gtest.h>

#include <string>

namespace millrace::engine {
namespace {

struct normalised {
  std::string_view error;
  std::string_view fingerprint;
};

TEST(ErrorFingerprint, ReplacesWhatDiffersFromCaseToCase) {
  const normalised cases[] = {
      {"timed out after 30.5s", "timed out after #s"},
      {"user 42 not found", "user # not found"},
      {"HTTP 503: try again in 1,200 ms", "HTTP #: try again in # ms"},
      {"connect 127.0.0.1:8080 refused", "connect #:# refused"},
      {"segfault at 0x7ffdeadbeef", "segfault at #"},
      {"commit deadbeef01 is bad", "commit # is bad"},
      {"order 7d793037-a076-4a6e-9d4b-1f2c3d4e5f60 gone", "order # gone"},
      {"job mail~1hkqz5vt0c8 failed", "job mail~# failed"},
      {"open '/etc/x' failed", "open '…' failed"},
      {"key \"a b\" is missing", "key '…' is missing"},
      {"cannot read /tmp/a-1.txt: No such file", "cannot read path: No such file"},
      {"missing /var/lib/data.", "missing path."},
      {"(/usr/bin/x) exited 1", "(path) exited #"},
      {"cannot open C:\\Users\\me\\x.doc", "cannot open path"},
      {"GET https://example.org/a?b=1 failed", "GET url failed"},
      {"no such address: bob@example.org", "no such address: email"},
      {"550 <o.brien+bills-7@mx1.mail.example.org> unknown", "# <email> unknown"},
      {"ask mailto:ann_2@example.org.", "ask mailto:email."},
      {"both ann@a.org, bob@b.org failed", "both email, email failed"},
      {"left-pad@1.3.0 is gone", "left-pad@# is gone"},
      {"root@localhost denied", "root@localhost denied"},
      {"7d793037-a076-4a6e-9d4b-1f2c3d4e5f60@example.org", "email"},
      {"can't parse it, isn't JSON", "can't parse it, isn't JSON"},
      {"sha256 of utf8", "sha# of utf#"},
      {"read and/or write", "read and/or write"},
      {"  too   many\tspaces ", "too many spaces"},
      {"first line\nsecond 1 line", "first line"},
      {"\n\n after blank lines", "after blank lines"},
      {"", ""},
      {" \n ", ""},
      {"'unclosed quote", "'unclosed quote"},
      {"42", "#"},
  };
  for (const auto& [error, fingerprint] : cases) EXPECT_EQ(error_fingerprint(error), fingerprint);
}

TEST(ErrorFingerprint, TakesTheExceptionFromAPythonTraceback) {
  EXPECT_EQ(error_fingerprint("Traceback (most recent call last):\n  File \"a.py\", line 3\n"
                              "ValueError: row 17 is empty\n"),
            "ValueError: row # is empty");
}

TEST(ErrorFingerprint, IsShortAndStaysUtf8) {
  std::string umlauts;
  for (int i = 0; i < 500; ++i) umlauts += "ä";
  const std::string fingerprint = error_fingerprint("x" + umlauts);
  EXPECT_LE(fingerprint.size(), fingerprint_bytes_max);
  EXPECT_GT(fingerprint.size(), fingerprint_bytes_max - 4);
  EXPECT_TRUE(is_utf8(fingerprint));
  EXPECT_LE(error_fingerprint(std::string(100'000, '\'')).size(), fingerprint_bytes_max);
}

}  // namespace
}  // namespace millrace::engine
