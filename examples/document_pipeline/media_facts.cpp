#include "media_facts.hpp"

#include "file_kind.hpp"

#include <MediaInfo/MediaInfo.h>
#include <fmt/format.h>
#include <sndfile.hh>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <vector>

namespace pipeline {
namespace {

double to_dbfs(double amplitude) {
  return amplitude <= 1e-6 ? -120.0 : 20.0 * std::log10(amplitude);
}

// MediaInfo speaks wide strings; what we ask for is ASCII.
std::string narrow(const MediaInfoLib::String& wide) {
  std::string out;
  for (const wchar_t c : wide) out += c < 0x80 ? static_cast<char>(c) : '?';
  return out;
}

double number(const std::string& text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

outcome<audio_facts> read_audio(const std::filesystem::path& file) {
  if (const outcome<void> fit = check_file(file); !fit) return std::unexpected(fit.error());
  SndfileHandle sound{file.string()};
  if (sound.error() != SF_ERR_NO_ERROR || sound.channels() < 1) {
    return unreadable(fmt::format("no readable sound file: {}", sound.strError()));
  }
  std::vector<float> block(static_cast<std::size_t>(sound.channels()) * 16384);
  double peak = 0;
  double squares = 0;
  std::size_t samples = 0;
  while (true) {
    const sf_count_t got = sound.read(block.data(), static_cast<sf_count_t>(block.size()));
    if (got <= 0) break;
    for (sf_count_t i = 0; i < got; ++i) {
      const double sample = block[static_cast<std::size_t>(i)];
      peak = std::max(peak, std::abs(sample));
      squares += sample * sample;
    }
    samples += static_cast<std::size_t>(got);
  }
  if (samples == 0) return unreadable("the sound file holds no samples");
  SF_FORMAT_INFO info{
      .format = sound.format() & SF_FORMAT_TYPEMASK, .name = nullptr, .extension = nullptr};
  sf_command(nullptr, SFC_GET_FORMAT_INFO, &info, sizeof info);
  const double frames = static_cast<double>(samples) / sound.channels();
  return audio_facts{.format = info.name == nullptr ? "unknown" : info.name,
                     .seconds = frames / sound.samplerate(),
                     .channels = sound.channels(),
                     .sample_rate = sound.samplerate(),
                     .peak_dbfs = to_dbfs(peak),
                     .rms_dbfs = to_dbfs(std::sqrt(squares / static_cast<double>(samples)))};
}

outcome<video_facts> read_video(const std::filesystem::path& file) {
  if (const outcome<void> fit = check_file(file); !fit) return std::unexpected(fit.error());
  MediaInfoLib::MediaInfo media;
  if (media.Open(file.wstring()) == 0) return unreadable("the file cannot be opened");
  const auto read = [&](MediaInfoLib::stream_t stream, const wchar_t* what) {
    return narrow(media.Get(stream, 0, what));
  };
  if (media.Count_Get(MediaInfoLib::Stream_Video) == 0) {
    const std::string container = read(MediaInfoLib::Stream_General, L"Format");
    return unreadable(container.empty() ? "no video container is recognised in it"
                                        : fmt::format("the {} file holds no video", container));
  }
  using MediaInfoLib::Stream_General;
  using MediaInfoLib::Stream_Video;
  return video_facts{.container = read(Stream_General, L"Format"),
                     .codec = read(Stream_Video, L"Format"),
                     .seconds = number(read(Stream_General, L"Duration")) / 1000.0,
                     .width = static_cast<int>(number(read(Stream_Video, L"Width"))),
                     .height = static_cast<int>(number(read(Stream_Video, L"Height"))),
                     .frames_per_second = number(read(Stream_Video, L"FrameRate"))};
}

}  // namespace pipeline
