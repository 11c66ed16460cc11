#include "process_job.hpp"

#include "extract_text.hpp"
#include "media_facts.hpp"
#include "summarize.hpp"
#include "term_graph.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace pipeline {
namespace {

namespace json = boost::json;

double rounded(double value) { return std::round(value * 1000.0) / 1000.0; }

outcome<json::object> process_document(const std::filesystem::path& file,
                                       const report_progress& report) {
  report(0.1, "reading the text");
  const outcome<document_text> text = extract_text(file);
  if (!text) return std::unexpected(text.error());
  report(0.6, "summarising");
  const summary short_form = summarize(text->text);
  json::array terms;
  for (const auto& [term, count] : short_form.terms) terms.push_back(json::array{term, count});
  json::object facts{{"type", text->type},
                     {"words", short_form.words},
                     {"sentences", short_form.sentences},
                     {"summary", short_form.text},
                     {"terms", std::move(terms)}};
  if (text->pages > 0) facts["pages"] = text->pages;
  return facts;
}

outcome<json::object> process_audio(const std::filesystem::path& file,
                                    const report_progress& report) {
  report(0.1, "measuring every sample");
  const outcome<audio_facts> audio = read_audio(file);
  if (!audio) return std::unexpected(audio.error());
  return json::object{{"format", audio->format},
                      {"seconds", rounded(audio->seconds)},
                      {"channels", audio->channels},
                      {"sample_rate", audio->sample_rate},
                      {"peak_dbfs", rounded(audio->peak_dbfs)},
                      {"rms_dbfs", rounded(audio->rms_dbfs)}};
}

outcome<json::object> process_video(const std::filesystem::path& file,
                                    const report_progress& report) {
  report(0.1, "reading the container");
  const outcome<video_facts> video = read_video(file);
  if (!video) return std::unexpected(video.error());
  return json::object{{"container", video->container},
                      {"codec", video->codec},
                      {"seconds", rounded(video->seconds)},
                      {"width", video->width},
                      {"height", video->height},
                      {"frames_per_second", rounded(video->frames_per_second)}};
}

// `documents` is an array of arrays of [term, count]; anything else in it is passed over.
std::vector<std::vector<std::string>> terms_of(const json::value& documents) {
  std::vector<std::vector<std::string>> out;
  if (!documents.is_array()) return out;
  for (const json::value& document : documents.get_array()) {
    std::vector<std::string>& terms = out.emplace_back();
    if (!document.is_array()) continue;
    for (const json::value& pair : document.get_array()) {
      const json::array* term = pair.if_array();
      if (term != nullptr && !term->empty() && term->front().is_string()) {
        terms.emplace_back(term->front().get_string());
      }
    }
  }
  return out;
}

outcome<json::object> relate_terms(const json::value& documents, const report_progress& report) {
  report(0.1, "counting which terms stand together");
  const std::vector<std::vector<std::string>> terms = terms_of(documents);
  const term_graph graph = build_term_graph(terms);
  json::array nodes;
  for (const term_graph::node& node : graph.nodes) {
    nodes.push_back({{"term", node.term}, {"documents", node.documents}, {"degree", node.degree}});
  }
  json::array edges;
  for (const term_graph::edge& edge : graph.edges) {
    edges.push_back(json::array{edge.from, edge.to, edge.documents});
  }
  return json::object{
      {"documents", terms.size()}, {"nodes", std::move(nodes)}, {"edges", std::move(edges)}};
}

const json::value* member(const json::object& object, std::string_view name) {
  return object.if_contains(name);
}

}  // namespace

outcome<json::object> process_job(const json::object& job, const report_progress& report) {
  const json::value* queue = member(job, "queue");
  const json::value* data = member(job, "data");
  if (queue == nullptr || !queue->is_string() || data == nullptr || !data->is_object()) {
    return unreadable("the job has no queue or no data object");
  }
  const std::string_view name = queue->get_string();
  if (name == "graph") {
    const json::value* documents = member(data->get_object(), "documents");
    if (documents == nullptr) return unreadable("the data has no member 'documents'");
    return relate_terms(*documents, report);
  }
  const json::value* path = member(data->get_object(), "path");
  if (path == nullptr || !path->is_string()) return unreadable("the data has no member 'path'");
  const std::filesystem::path file{std::string{path->get_string()}};
  if (name == "audio") return process_audio(file, report);
  if (name == "video") return process_video(file, report);
  return process_document(file, report);
}

}  // namespace pipeline
