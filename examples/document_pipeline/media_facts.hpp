#pragma once

#include "outcome.hpp"

#include <filesystem>
#include <string>

namespace pipeline {

struct audio_facts {
  std::string format;
  double seconds{0};
  int channels{0};
  int sample_rate{0};
  /// Loudest sample and root mean square, in dB below full scale; -120 for silence.
  double peak_dbfs{0};
  double rms_dbfs{0};
};

/// Duration and level of a sound file, every sample read.
[[nodiscard]] outcome<audio_facts> read_audio(const std::filesystem::path& file);

struct video_facts {
  std::string container;
  std::string codec;
  double seconds{0};
  int width{0};
  int height{0};
  double frames_per_second{0};
};

/// What the container of a video file says of it; no frame is decoded.
[[nodiscard]] outcome<video_facts> read_video(const std::filesystem::path& file);

}  // namespace pipeline
