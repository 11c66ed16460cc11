#include "file_kind.hpp"

#include <fmt/format.h>
#include <magic.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <memory>

namespace pipeline {
namespace {

using magic_handle = std::unique_ptr<magic_set, decltype(&magic_close)>;

// Loading the rules takes milliseconds; a processor does it once.
outcome<magic_t> rules() {
  static const magic_handle handle = [] {
    magic_handle opened{magic_open(MAGIC_MIME_TYPE | MAGIC_ERROR), &magic_close};
    if (opened && magic_load(opened.get(), nullptr) != 0) opened.reset();
    return opened;
  }();
  if (!handle) {
    return not_yet("the rules of libmagic cannot be loaded (package libmagic-mgc)",
                   std::chrono::seconds{5});
  }
  return handle.get();
}

std::string lower_extension(const std::filesystem::path& file) {
  std::string extension = file.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

}  // namespace

outcome<std::string> media_type(const std::filesystem::path& file) {
  const outcome<magic_t> magic = rules();
  if (!magic) return std::unexpected(magic.error());
  const char* type = magic_file(*magic, file.c_str());
  if (type == nullptr) {
    return unreadable(fmt::format("its type cannot be told: {}", magic_error(*magic)));
  }
  return std::string{type};
}

outcome<std::string> media_type_of_bytes(std::string_view bytes) {
  const outcome<magic_t> magic = rules();
  if (!magic) return std::unexpected(magic.error());
  const char* type = magic_buffer(*magic, bytes.data(), bytes.size());
  if (type == nullptr) {
    return unreadable(fmt::format("its type cannot be told: {}", magic_error(*magic)));
  }
  return std::string{type};
}

std::string_view queue_for(const std::filesystem::path& file) {
  static constexpr std::array audio{".wav", ".flac", ".ogg", ".aiff", ".au", ".mp3", ".opus"};
  static constexpr std::array video{".avi", ".mp4", ".mkv", ".mov", ".webm", ".mpg", ".mpeg"};
  const std::string extension = lower_extension(file);
  if (std::ranges::find(audio, extension) != audio.end()) return "audio";
  if (std::ranges::find(video, extension) != video.end()) return "video";
  return "document";
}

outcome<void> check_file(const std::filesystem::path& file) {
  std::error_code failed;
  std::filesystem::path part = file;
  part += ".part";
  if (std::filesystem::exists(part, failed)) {
    return not_yet("its upload has not finished", std::chrono::seconds{1});
  }
  const std::filesystem::file_status status = std::filesystem::status(file, failed);
  if (!std::filesystem::exists(status)) return unreadable("there is no such file");
  if (!std::filesystem::is_regular_file(status)) return unreadable("it is not a regular file");
  const std::uintmax_t bytes = std::filesystem::file_size(file, failed);
  if (failed) return unreadable(fmt::format("its size cannot be read: {}", failed.message()));
  if (bytes == 0) return unreadable("it is empty");
  if (bytes > file_bytes_max) {
    return unreadable(
        fmt::format("it has {} bytes, more than the {} that are looked at", bytes, file_bytes_max));
  }
  return {};
}

outcome<std::string> read_file(const std::filesystem::path& file) {
  if (const outcome<void> fit = check_file(file); !fit) return std::unexpected(fit.error());
  std::ifstream in{file, std::ios::binary};
  std::string bytes{std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
  if (!in && !in.eof()) return unreadable("it cannot be read (permission?)");
  if (bytes.empty()) return unreadable("it cannot be read (permission?)");
  return bytes;
}

}  // namespace pipeline
