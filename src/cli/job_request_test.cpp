#include "job_request.hpp"

#include "captured.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::cli {
namespace {

result<std::string> body(std::vector<std::string> args, const std::string& input = {}) {
  args.insert(args.begin(), {"enqueue", "mail"});
  captured world;
  world.in.str(input);
  const parsed_command line = parsed(std::move(args));
  surroundings around = world.around();
  const context with{.in = line.in, .engine = world.engine, .around = around};
  return job_body(with, "JSON");
}

std::string wrong_field(std::vector<std::string> args) {
  const auto made = body(std::move(args));
  return made ? "none" : made.error().field;
}

TEST(JobBody, IsNullDataWhereNothingIsGiven) { EXPECT_EQ(body({}), R"({"data":null})"); }

// Numbers of any size and the order of members come through as they were typed.
TEST(JobBody, KeepsTheBytesOfTheData) {
  EXPECT_EQ(body({R"({"b":12345678901234567890, "a":1.10})"}),
            R"({"data":{"b":12345678901234567890, "a":1.10}})");
  EXPECT_EQ(body({"-"}, "[1,\n2]\n"), "{\"data\":[1,\n2]\n}");
}

TEST(JobBody, SaysWhatTheOptionsSay) {
  EXPECT_EQ(body({"1",     "--type",         "t",    "--priority",     "9",       "--delay",
                  "1m30s", "--unique",       "k",    "--unique-mode",  "replace", "--label",
                  "a=b=c", "--max-attempts", "2",    "--backoff-base", "0",       "--group",
                  "g",     "--durability",   "async"}),
            R"({"data":1,"type":"t","priority":9,"max_attempts":2,"delay":90,)"
            R"("backoff":{"base":0},"unique":{"key":"k","mode":"replace"},)"
            R"("labels":{"a":"b=c"},"group":"g","durability":"async"})");
  EXPECT_EQ(body({"--at", "2026-11-20T08:00:00+01:00"}),
            R"({"data":null,"run_at":"2026-11-20T07:00:00.000Z"})");
}

TEST(JobBody, EscapesWhatItPutsIntoJson) {
  EXPECT_EQ(body({"--type", "a\"b"}), R"({"data":null,"type":"a\"b"})");
}

TEST(JobBody, NamesTheOptionThatIsWrong) {
  EXPECT_EQ(wrong_field({"{"}), "JSON");
  EXPECT_EQ(wrong_field({"--priority", "11"}), "--priority");
  EXPECT_EQ(wrong_field({"--priority", "-1"}), "--priority");
  EXPECT_EQ(wrong_field({"--delay", "-5s"}), "--delay");
  EXPECT_EQ(wrong_field({"--at", "tomorrow"}), "--at");
  EXPECT_EQ(wrong_field({"--at", "2026-11-20T08:00:00Z", "--delay", "1s"}), "--at");
  EXPECT_EQ(wrong_field({"--label", "novalue"}), "--label");
  EXPECT_EQ(wrong_field({"--label", "=x"}), "--label");
  EXPECT_EQ(wrong_field({"--max-attempts", "0"}), "--max-attempts");
  EXPECT_EQ(wrong_field({"--unique-mode", "replace"}), "--unique-mode");
}

TEST(JobBody, SaysThatATextNeedsItsQuotes) {
  EXPECT_NE(body({"hello"}).error().detail.find(R"('"text"')"), std::string::npos);
}

}  // namespace
}  // namespace millrace::cli
