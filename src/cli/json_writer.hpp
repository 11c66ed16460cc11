#pragma once

#include <millrace/base/clock.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::cli {

/// Puts a JSON object together, member by member; what is empty is left out.
class json_writer final {
public:
  void text(std::string_view name, const std::optional<std::string>& value);
  void integer(std::string_view name, const std::optional<std::int64_t>& value);
  void seconds(std::string_view name, const std::optional<duration>& value);
  void flag(std::string_view name, bool value);
  /// `json_text` as it is.
  void raw(std::string_view name, std::string_view json_text);

  [[nodiscard]] bool empty() const noexcept { return out_.size() == 1; }
  [[nodiscard]] std::string finish() &&;

private:
  void begin(std::string_view name);
  std::string out_{"{"};
};

}  // namespace millrace::cli
