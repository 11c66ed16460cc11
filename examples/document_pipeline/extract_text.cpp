#include "extract_text.hpp"

#include "file_kind.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <gumbo.h>
#include <poppler-document.h>
#include <poppler-global.h>
#include <poppler-page.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <string_view>
#include <vector>

namespace pipeline {
namespace {

bool skipped_element(GumboTag tag) {
  return tag == GUMBO_TAG_SCRIPT || tag == GUMBO_TAG_STYLE || tag == GUMBO_TAG_NOSCRIPT ||
         tag == GUMBO_TAG_HEAD || tag == GUMBO_TAG_NAV;
}

bool breaks_line(GumboTag tag) {
  switch (tag) {
    case GUMBO_TAG_P:
    case GUMBO_TAG_DIV:
    case GUMBO_TAG_BR:
    case GUMBO_TAG_LI:
    case GUMBO_TAG_TR:
    case GUMBO_TAG_H1:
    case GUMBO_TAG_H2:
    case GUMBO_TAG_H3:
    case GUMBO_TAG_H4:
    case GUMBO_TAG_PRE: return true;
    default: return false;
  }
}

constexpr std::size_t html_depth_max = 5000;

bool starts_element_that_stays_open(std::string_view from) {
  static constexpr std::array closed_by_themselves{
      "br", "p>", "p ",  "li",   "img",  "hr",    "td",   "tr",   "dt",
      "dd", "th", "col", "meta", "link", "input", "area", "base", "option"};
  if (from.empty() || std::isalpha(static_cast<unsigned char>(from.front())) == 0) return false;
  return std::ranges::none_of(closed_by_themselves, [&](std::string_view name) {
    return from.size() >= name.size() &&
           std::ranges::equal(from.substr(0, name.size()), name, [](char a, char b) {
             return std::tolower(static_cast<unsigned char>(a)) == b;
           });
  });
}

// Gumbo frees its tree by recursion: elements nested deeper than any real page would use up the
// stack, so they are counted before it sees them.
bool nested_too_deep(std::string_view html) {
  std::size_t depth = 0;
  for (std::size_t at = html.find('<'); at != std::string_view::npos; at = html.find('<', at + 1)) {
    const std::string_view rest = html.substr(at + 1);
    if (rest.starts_with('/')) {
      if (depth > 0) --depth;
    } else if (starts_element_that_stays_open(rest) && ++depth > html_depth_max) {
      return true;
    }
  }
  return false;
}

// With a stack of its own: a page nested a hundred thousand deep must not use up ours.
std::string text_of_html(std::string_view html) {
  const std::unique_ptr<GumboOutput, void (*)(GumboOutput*)> parsed{
      gumbo_parse_with_options(&kGumboDefaultOptions, html.data(), html.size()),
      [](GumboOutput* output) { gumbo_destroy_output(&kGumboDefaultOptions, output); }};
  std::string text;
  std::vector<const GumboNode*> waiting{parsed->root};
  while (!waiting.empty() && text.size() < text_bytes_max) {
    const GumboNode* node = waiting.back();
    waiting.pop_back();
    if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_WHITESPACE) {
      text += node->v.text.text;
    } else if (node->type == GUMBO_NODE_ELEMENT && !skipped_element(node->v.element.tag)) {
      if (breaks_line(node->v.element.tag)) text += "\n\n";
      const GumboVector& children = node->v.element.children;
      for (unsigned i = children.length; i > 0; --i) {
        waiting.push_back(static_cast<const GumboNode*>(children.data[i - 1]));
      }
    }
  }
  return text;
}

outcome<document_text> text_of_pdf(std::string_view bytes) {
  poppler::set_debug_error_function([](const std::string&, void*) {}, nullptr);
  const std::unique_ptr<poppler::document> document{
      poppler::document::load_from_raw_data(bytes.data(), static_cast<int>(bytes.size()))};
  if (!document) return unreadable("the PDF is broken: it has no readable structure");
  if (document->is_locked()) return unreadable("the PDF is encrypted and needs a password");
  document_text out{.type = "application/pdf", .text = {}, .pages = document->pages()};
  for (int i = 0; i < document->pages() && out.text.size() < text_bytes_max; ++i) {
    const std::unique_ptr<poppler::page> page{document->create_page(i)};
    if (!page) return unreadable(fmt::format("page {} of the PDF is broken", i + 1));
    const poppler::byte_array utf8 = page->text().to_utf8();
    out.text.append(utf8.begin(), utf8.end());
    out.text += "\n\n";
  }
  return out;
}

outcome<std::string> inflate(std::string_view bytes) {
  const std::unique_ptr<archive, decltype(&archive_read_free)> reader{archive_read_new(),
                                                                      &archive_read_free};
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_format_raw(reader.get());
  archive_entry* entry = nullptr;
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK ||
      archive_read_next_header(reader.get(), &entry) != ARCHIVE_OK) {
    return unreadable(
        fmt::format("the gzip file is broken: {}", archive_error_string(reader.get())));
  }
  std::string out;
  std::array<char, 65536> chunk{};
  while (out.size() < text_bytes_max) {
    const la_ssize_t got = archive_read_data(reader.get(), chunk.data(), chunk.size());
    if (got == 0) break;
    if (got < 0) {
      return unreadable(
          fmt::format("the gzip file is broken: {}", archive_error_string(reader.get())));
    }
    out.append(chunk.data(), static_cast<std::size_t>(got));
  }
  if (out.empty()) return unreadable("the gzip file holds nothing");
  return out;
}

// Older documents are Latin-1: every byte is a character there, so this cannot fail.
std::string latin1_to_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xC0U | (byte >> 6U));
      out += static_cast<char>(0x80U | (byte & 0x3FU));
    }
  }
  return out;
}

bool looks_like_utf8(std::string_view text) {
  std::size_t follow = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (follow > 0) {
      if ((byte & 0xC0U) != 0x80U) return false;
      --follow;
    } else if (byte >= 0x80) {
      if ((byte & 0xE0U) == 0xC0U) follow = 1;
      else if ((byte & 0xF0U) == 0xE0U) follow = 2;
      else if ((byte & 0xF8U) == 0xF0U) follow = 3;
      else return false;
    }
  }
  return follow == 0;
}

outcome<document_text> text_of_bytes(std::string bytes, const std::string& type, int depth) {
  if (type == "application/pdf") return text_of_pdf(bytes);
  if (type == "application/gzip") {
    if (depth > 0) return unreadable("a gzip file within a gzip file");
    outcome<std::string> inner = inflate(bytes);
    if (!inner) return std::unexpected(inner.error());
    const outcome<std::string> inner_type = media_type_of_bytes(*inner);
    if (!inner_type) return std::unexpected(inner_type.error());
    return text_of_bytes(std::move(*inner), *inner_type, depth + 1);
  }
  const bool textual = type.starts_with("text/") || type == "application/json" ||
                       type == "application/javascript" || type == "message/rfc822" ||
                       type == "application/x-wine-extension-ini";
  if (!textual) return unreadable(fmt::format("no processor for {}", type));
  if (!looks_like_utf8(bytes)) bytes = latin1_to_utf8(bytes);
  if (bytes.size() > text_bytes_max) bytes.resize(text_bytes_max);
  if (type == "text/html" && nested_too_deep(bytes)) {
    return unreadable(fmt::format("its elements are nested deeper than {}", html_depth_max));
  }
  if (type == "text/html") return document_text{type, text_of_html(bytes), 0};
  return document_text{type, std::move(bytes), 0};
}

}  // namespace

outcome<document_text> extract_text(const std::filesystem::path& file) {
  outcome<std::string> bytes = read_file(file);
  if (!bytes) return std::unexpected(bytes.error());
  const outcome<std::string> type = media_type_of_bytes(*bytes);
  if (!type) return std::unexpected(type.error());
  outcome<document_text> text = text_of_bytes(std::move(*bytes), *type, 0);
  if (text && text->text.find_first_not_of(" \t\r\n\f") == std::string::npos) {
    return unreadable("it holds no text");
  }
  return text;
}

}  // namespace pipeline
