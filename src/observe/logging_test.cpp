#include <millrace/observe/logging.hpp>

#include <millrace/base/json.hpp>

#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include <limits>
#include <sstream>
#include <string>

namespace millrace::observe {
namespace {

struct recorded {
  manual_clock clock;
  std::ostringstream out;

  [[nodiscard]] log_options options(log_format format, log_level level = log_level::debug) {
    return {.format = format, .level = level, .to = &out, .clock = &clock};
  }
};

TEST(Logger, WritesTextForPeople) {
  recorded to;
  const logger log{to.options(log_format::text)};
  log.event(log_level::info, "job_completed",
            {{"job_id", "document~1"}, {"attempts", 2}, {"took_seconds", 0.25}, {"late", true}});
  EXPECT_EQ(to.out.str(),
            "2026-01-01T00:00:00.000Z info job_completed job_id=document~1 attempts=2 "
            "took_seconds=0.25 late=true\n");
}

TEST(Logger, QuotesWhatCouldBeMisread) {
  recorded to;
  const logger log{to.options(log_format::text)};
  log.event(log_level::error, "failed", {{"error", "no room\nlevel=info"}, {"field", ""}});
  EXPECT_EQ(to.out.str(),
            "2026-01-01T00:00:00.000Z error failed error=\"no room\\nlevel=info\" field=\"\"\n");
}

TEST(Logger, WritesOneJsonObjectALine) {
  recorded to;
  const logger log{to.options(log_format::json)};
  log.event(log_level::warning, "refused",
            {{"error", "a \"quote\"\r\n\x01"}, {"size", std::size_t{7}}, {"share", -0.5}});
  const std::string line = to.out.str();
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto parsed = parse_json(line);
  ASSERT_TRUE(parsed) << line;
  EXPECT_EQ(parsed->at("level"), "warning");
  EXPECT_EQ(parsed->at("event"), "refused");
  EXPECT_EQ(parsed->at("error"), "a \"quote\"\r\n\x01");
  EXPECT_EQ(parsed->at("size").to_number<int>(), 7);
  EXPECT_EQ(parsed->at("share").to_number<double>(), -0.5);
}

TEST(Logger, WritesValidJsonWhateverItIsGiven) {
  recorded to;
  const logger log{to.options(log_format::json)};
  log.event(log_level::info, "odd",
            {{"broken", "\xff\xfe"},
             {"cut", std::string(logger::value_bytes_max - 1, 'x') + "\xc3\xa9"},
             {"nan", std::numeric_limits<double>::quiet_NaN()}});
  const auto parsed = parse_json(to.out.str());
  ASSERT_TRUE(parsed) << to.out.str();
  EXPECT_EQ(parsed->at("broken"), "??");
  EXPECT_TRUE(parsed->at("nan").is_null());
}

TEST(Logger, LeavesOutWhatIsBelowItsLevel) {
  recorded to;
  const logger log{to.options(log_format::text, log_level::warning)};
  EXPECT_FALSE(log.wants(log_level::info));
  log.event(log_level::info, "quiet");
  EXPECT_EQ(to.out.str(), "");
  log.event(log_level::error, "loud");
  EXPECT_NE(to.out.str(), "");
  const logger silent{to.options(log_format::text, log_level::off)};
  to.out.str("");
  silent.event(log_level::error, "nothing");
  EXPECT_EQ(to.out.str(), "");
}

TEST(LogLevel, ReadsItsOwnNames) {
  for (const auto level :
       {log_level::debug, log_level::info, log_level::warning, log_level::error, log_level::off}) {
    EXPECT_EQ(parse_log_level(to_string(level)), level);
  }
  EXPECT_EQ(parse_log_level("warn"), log_level::warning);
  EXPECT_FALSE(parse_log_level("loud"));
  EXPECT_EQ(parse_log_format("json"), log_format::json);
  EXPECT_FALSE(parse_log_format("xml"));
}

}  // namespace
}  // namespace millrace::observe
