#include "extract_text.hpp"
#include "file_kind.hpp"
#include "media_facts.hpp"
#include "process_job.hpp"
#include "samples.hpp"
#include "summarize.hpp"
#include "term_graph.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

namespace pipeline {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Samples : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "pipeline-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    set_ = make_samples(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::filesystem::path file(const char* name) const { return folder_ / name; }

  std::filesystem::path folder_;
  sample_set set_;
};

TEST_F(Samples, GiveTheSameTextFromEveryFormat) {
  for (const char* name : {"harbour_report.pdf", "harbour_report.html", "harbour_report.md",
                           "harbour_report.txt.gz"}) {
    const outcome<document_text> text = extract_text(file(name));
    ASSERT_TRUE(text) << name << ": " << text.error().reason;
    EXPECT_THAT(text->text, HasSubstr("eastern lock gate was closed for nine days")) << name;
    EXPECT_THAT(text->text, Not(HasSubstr("never_read"))) << name;
  }
  EXPECT_EQ(extract_text(file("harbour_report.pdf"))->pages, 1);
  EXPECT_EQ(extract_text(file("harbour_report.txt.gz"))->type, "text/plain");
}

TEST_F(Samples, MeasureSound) {
  const outcome<audio_facts> loud = read_audio(file("tone_loud.wav"));
  ASSERT_TRUE(loud) << loud.error().reason;
  EXPECT_NEAR(loud->seconds, 2.0, 0.001);
  EXPECT_NEAR(loud->peak_dbfs, -0.915, 0.01);
  // A sine's root mean square lies 3.01 dB below its peak.
  EXPECT_NEAR(loud->rms_dbfs, loud->peak_dbfs - 3.01, 0.02);
  EXPECT_EQ(read_audio(file("silence.wav"))->peak_dbfs, -120.0);
}

TEST_F(Samples, DescribeVideo) {
  const outcome<video_facts> video = read_video(file("bar_wide.avi"));
  ASSERT_TRUE(video) << video.error().reason;
  EXPECT_EQ(video->container, "AVI");
  EXPECT_EQ(video->width, 160);
  EXPECT_EQ(video->height, 90);
  EXPECT_NEAR(video->seconds, 2.0, 0.01);
  EXPECT_NEAR(video->frames_per_second, 15, 0.01);
}

TEST_F(Samples, FailForGoodWhenBroken) {
  for (const char* name : {"broken_truncated.pdf", "broken_empty.txt"}) {
    const outcome<document_text> text = extract_text(file(name));
    ASSERT_FALSE(text) << name;
    EXPECT_TRUE(text.error().permanent) << name;
    EXPECT_FALSE(text.error().reason.empty()) << name;
  }
  EXPECT_FALSE(read_audio(file("broken_noise.wav")));
  EXPECT_FALSE(read_video(file("broken_text_as_video.mp4")));
  EXPECT_FALSE(extract_text(folder_));
  EXPECT_FALSE(extract_text(file("no_such_file")));
}

TEST_F(Samples, WaitForAnUploadToFinish) {
  const outcome<document_text> early = extract_text(set_.late);
  ASSERT_FALSE(early);
  EXPECT_FALSE(early.error().permanent);
  EXPECT_TRUE(early.error().retry_in.has_value());
  finish_upload(set_);
  EXPECT_TRUE(extract_text(set_.late));
}

void write_nested(const std::filesystem::path& file, int depth) {
  std::ofstream out{file};
  out << "<!doctype html><html><body>";
  for (int i = 0; i < depth; ++i) out << "<div>";
  out << "bottom of the page";
}

TEST_F(Samples, RefuseHtmlThatIsNestedWithoutEnd) {
  write_nested(file("deep.html"), 3000);
  EXPECT_TRUE(extract_text(file("deep.html")));
  write_nested(file("endless.html"), 100'000);
  const outcome<document_text> text = extract_text(file("endless.html"));
  ASSERT_FALSE(text);
  EXPECT_THAT(text.error().reason, HasSubstr("nested deeper"));
}

TEST(Summary, PrefersSentencesWithFrequentTerms) {
  const summary out = summarize(
      "The mill stands by the river and its wheel turns all day long. "
      "Somebody once painted a door blue for no reason at all. "
      "The wheel of the mill drives two stones, and the river drives the wheel of the mill. "
      "A cat sleeps there most mornings when it is warm enough. "
      "When the river is low the wheel of the mill stands still and the stones rest.");
  EXPECT_EQ(out.sentences, 5U);
  EXPECT_THAT(out.text, HasSubstr("drives the wheel"));
  EXPECT_THAT(out.text, Not(HasSubstr("painted a door")));
  EXPECT_EQ(out.terms.front().first, "mill");
}

TEST(Summary, TakesAnyBytes) {
  EXPECT_EQ(summarize("").words, 0U);
  EXPECT_EQ(summarize("\xff\xfe 1 2 3 ...").sentences, 0U);
  EXPECT_LE(summarize(std::string(100'000, 'a')).text.size(), 403U);
}

TEST(TermGraph, CountsDocumentsThatHaveBoth) {
  const term_graph graph =
      build_term_graph({{"lock", "gate"}, {"lock", "gate", "barge"}, {"lock"}});
  ASSERT_FALSE(graph.edges.empty());
  EXPECT_EQ(graph.edges.front().from, "gate");
  EXPECT_EQ(graph.edges.front().to, "lock");
  EXPECT_EQ(graph.edges.front().documents, 2U);
  EXPECT_EQ(graph.nodes.front().term, "gate");
}

TEST(ProcessJob, RefusesAJobOfAnotherShape) {
  const auto silent = [](double, std::string_view) {};
  EXPECT_TRUE(process_job({}, silent).error().permanent);
  EXPECT_TRUE(process_job({{"queue", "document"}, {"data", "text"}}, silent).error().permanent);
  EXPECT_TRUE(
      process_job({{"queue", "graph"}, {"data", boost::json::object{}}}, silent).error().permanent);
}

}  // namespace
}  // namespace pipeline
