#include "samples.hpp"

#include <fmt/format.h>
#include <sndfile.hh>
#include <zlib.h>

#include <cmath>
#include <cstdint>
#include <fstream>
#include <numbers>
#include <string_view>

namespace pipeline {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view report_lines[] = {
    "Harbour maintenance report, third quarter.",
    "The eastern lock gate was closed for nine days while its bearings were replaced.",
    "Barge traffic was led through the western channel during the repair.",
    "No barge waited longer than two hours, because the lock keepers announced each slot a day",
    "ahead and the harbour office kept the schedule of the western channel public.",
    "The new bearings carry sensors that report temperature and vibration every minute.",
    "The repair of the western gate is planned for spring, before the water rises.",
};

void write_file(const fs::path& file, std::string_view bytes) {
  std::ofstream out{file, std::ios::binary};
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// One page of text in Helvetica: a catalog, a page tree, a page, its content, a font, and the
// table that says where each begins (ISO 32000, 7.5).
std::string make_pdf() {
  std::string content = "BT /F1 12 Tf 72 720 Td 16 TL\n";
  for (const std::string_view line : report_lines) content += fmt::format("({}) Tj T*\n", line);
  content += "ET\n";
  const std::string objects[] = {
      "<< /Type /Catalog /Pages 2 0 R >>",
      "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
      "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
      "/Resources << /Font << /F1 5 0 R >> >> >>",
      fmt::format("<< /Length {} >>\nstream\n{}endstream", content.size(), content),
      "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
  };
  std::string pdf = "%PDF-1.4\n";
  std::string table;
  int number = 0;
  for (const std::string& object : objects) {
    table += fmt::format("{:010} 00000 n \n", pdf.size());
    pdf += fmt::format("{} 0 obj\n{}\nendobj\n", ++number, object);
  }
  const std::size_t table_at = pdf.size();
  pdf += fmt::format("xref\n0 {}\n0000000000 65535 f \n{}", number + 1, table);
  pdf += fmt::format("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{}\n%%EOF\n", number + 1,
                     table_at);
  return pdf;
}

void make_wav(const fs::path& file, double seconds, double hertz, double amplitude) {
  constexpr int rate = 22050;
  SndfileHandle out{file.string(), SFM_WRITE, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 1, rate};
  std::vector<float> samples(static_cast<std::size_t>(seconds * rate));
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double at = static_cast<double>(i) / rate;
    samples[i] = static_cast<float>(amplitude * std::sin(2 * std::numbers::pi * hertz * at));
  }
  out.write(samples.data(), static_cast<sf_count_t>(samples.size()));
}

void put16(std::string& out, std::uint32_t value) {
  out += static_cast<char>(value & 0xFFU);
  out += static_cast<char>((value >> 8U) & 0xFFU);
}

void put32(std::string& out, std::uint32_t value) {
  put16(out, value & 0xFFFFU);
  put16(out, value >> 16U);
}

std::string chunk(std::string_view name, std::string_view body) {
  std::string out{name};
  put32(out, static_cast<std::uint32_t>(body.size()));
  out += body;
  if (body.size() % 2 == 1) out += '\0';
  return out;
}

std::string list(std::string_view name, std::string_view body) {
  return chunk("LIST", std::string{name} + std::string{body});
}

// An AVI of uncompressed frames: a moving bar on grey (AVI RIFF, as Microsoft documents it).
std::string make_avi(std::uint32_t width, std::uint32_t height, std::uint32_t frames,
                     std::uint32_t frames_per_second) {
  const std::uint32_t frame_bytes = width * height * 3;
  std::string main_header;
  put32(main_header, 1'000'000 / frames_per_second);
  put32(main_header, frame_bytes * frames_per_second);
  for (const std::uint32_t field : {0U, 0x10U, frames, 0U, 1U, frame_bytes, width, height}) {
    put32(main_header, field);
  }
  main_header.append(16, '\0');
  std::string stream_header = "vidsDIB ";
  for (const std::uint32_t field : {0U, 0U, 0U, 1U, frames_per_second, 0U, frames, frame_bytes}) {
    put32(stream_header, field);
  }
  put32(stream_header, 0xFFFFFFFFU);
  put32(stream_header, 0);
  put32(stream_header, 0);
  put32(stream_header, width | (height << 16U));
  std::string format;
  for (const std::uint32_t field : {40U, width, height}) put32(format, field);
  put16(format, 1);
  put16(format, 24);
  for (const std::uint32_t field : {0U, frame_bytes, 0U, 0U, 0U, 0U}) put32(format, field);
  std::string movie;
  for (std::uint32_t i = 0; i < frames; ++i) {
    std::string pixels(frame_bytes, '\x60');
    for (std::uint32_t row = 0; row < height; ++row) {
      const std::size_t at = (row * width + (i * width / frames)) * 3;
      pixels.replace(at, 3, 3, '\xF0');
    }
    movie += chunk("00db", pixels);
  }
  const std::string headers =
      list("hdrl", chunk("avih", main_header) +
                       list("strl", chunk("strh", stream_header) + chunk("strf", format)));
  return chunk("RIFF", "AVI " + headers + list("movi", movie));
}

void write_gzip(const fs::path& file, std::string_view text) {
  const gzFile out = gzopen(file.c_str(), "wb");
  if (out == nullptr) return;
  gzwrite(out, text.data(), static_cast<unsigned>(text.size()));
  gzclose(out);
}

std::string report_text() {
  std::string text;
  for (const std::string_view line : report_lines) text += fmt::format("{}\n", line);
  return text;
}

std::string report_html() {
  std::string html = "<!doctype html><html><head><title>Harbour</title></head><body>";
  html += "<h1>Harbour maintenance</h1>";
  for (const std::string_view line : report_lines) html += fmt::format("<p>{}</p>", line);
  return html + "<script>never_read()</script></body></html>\n";
}

}  // namespace

sample_set make_samples(const fs::path& directory) {
  fs::create_directories(directory);
  const auto at = [&](std::string_view name) { return directory / name; };
  const std::string pdf = make_pdf();
  write_file(at("harbour_report.pdf"), pdf);
  write_file(at("harbour_report.html"), report_html());
  write_file(at("harbour_report.md"), "# Harbour\n\n" + report_text());
  write_gzip(at("harbour_report.txt.gz"), report_text());
  make_wav(at("tone_quiet.wav"), 1.5, 440, 0.05);
  make_wav(at("tone_loud.wav"), 2.0, 880, 0.9);
  make_wav(at("silence.wav"), 1.0, 440, 0);
  write_file(at("bar_small.avi"), make_avi(64, 48, 25, 25));
  write_file(at("bar_wide.avi"), make_avi(160, 90, 30, 15));

  // Broken on purpose.
  write_file(at("broken_truncated.pdf"), std::string_view{pdf}.substr(0, 40));
  write_file(at("broken_noise.wav"), "RIFF____WAVEnothing of a sound follows here");
  write_file(at("broken_text_as_video.mp4"), "This is a line of text and no video at all.\n");
  write_file(at("broken_empty.txt"), "");

  sample_set samples;
  samples.late = at("late_upload.txt");
  write_file(samples.late, report_text());
  write_file(at("late_upload.txt.part"), "");
  for (const char* name : {"harbour_report.pdf", "harbour_report.html", "harbour_report.md",
                           "harbour_report.txt.gz", "tone_quiet.wav", "tone_loud.wav",
                           "silence.wav", "bar_small.avi", "bar_wide.avi", "broken_truncated.pdf",
                           "broken_noise.wav", "broken_text_as_video.mp4", "broken_empty.txt"}) {
    samples.files.push_back(at(name));
  }
  samples.files.push_back(samples.late);
  return samples;
}

void finish_upload(const sample_set& samples) {
  fs::path part = samples.late;
  part += ".part";
  std::error_code ignored;
  fs::remove(part, ignored);
}

}  // namespace pipeline
