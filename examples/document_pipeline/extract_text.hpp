#pragma once

#include "outcome.hpp"

#include <filesystem>
#include <string>

namespace pipeline {

struct document_text {
  /// `text/plain`, `text/html`, …: of what was inside where the file was compressed.
  std::string type;
  /// UTF-8, plain.
  std::string text;
  /// Pages of a PDF, else 0.
  int pages{0};
};

/// Largest text taken out of one document, also from a compressed one: a small file cannot be blown
/// up beyond it.
inline constexpr std::size_t text_bytes_max = std::size_t{16} << 20U;

/// The text of a plain, Markdown, HTML, PDF or gzip-compressed document.
/// Fails permanently for encrypted, broken and binary files, and says which.
[[nodiscard]] outcome<document_text> extract_text(const std::filesystem::path& file);

}  // namespace pipeline
