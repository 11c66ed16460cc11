#pragma once

#include <millrace/base/clock.hpp>
#include <millrace/base/json.hpp>
#include <millrace/engine/job.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace millrace::embedded {

/// Fills a JSON object with what differs from its default.
class json_writer final {
public:
  template <class T>
  void add(std::string_view name, const T& value, const T& normal) {
    if (value != normal) out_[name] = to_value(value);
  }
  template <class T>
  void add(std::string_view name, const std::optional<T>& value) {
    if (value) out_[name] = to_value(*value);
  }
  /// Only what is the queue's own.
  template <class T>
  void add(std::string_view name, const engine::setting<T>& value) {
    if (value.own()) out_[name] = to_value(value.value());
  }
  void add_value(std::string_view name, json::value value) { out_[name] = std::move(value); }
  [[nodiscard]] bool empty() const noexcept { return out_.empty(); }
  [[nodiscard]] json::object take() { return std::move(out_); }

private:
  static json::value to_value(const std::string& text) { return json::value(text); }
  static json::value to_value(duration span) { return json::value(span.count()); }
  static json::value to_value(std::chrono::milliseconds span) { return json::value(span.count()); }
  static json::value to_value(timestamp at) { return json::value(to_micros(at)); }
  static json::value to_value(bool value) { return json::value(value); }
  template <class T>
    requires(std::is_integral_v<T> || std::is_enum_v<T>)
  static json::value to_value(T value) {
    return json::value(static_cast<std::int64_t>(value));
  }

  json::object out_;
};

/// Reads fields of a JSON object: what is absent stays as it is; anything of the wrong kind is
/// remembered as a failure, to be asked for once at the end.
class json_reader final {
public:
  explicit json_reader(const json::object& from) noexcept : from_(from) {}

  void take(std::string_view name, std::string& into) {
    const json::value* found = from_.if_contains(name);
    if (found == nullptr) return;
    if (const json::string* text = found->if_string()) {
      into.assign(text->data(), text->size());
    } else {
      failed_ = true;
    }
  }
  void take(std::string_view name, bool& into) {
    const json::value* found = from_.if_contains(name);
    if (found == nullptr) return;
    if (const bool* value = found->if_bool()) {
      into = *value;
    } else {
      failed_ = true;
    }
  }
  template <class T>
    requires(std::is_integral_v<T> || std::is_enum_v<T>)
  void take(std::string_view name, T& into) {
    if (const auto value = number(name)) into = static_cast<T>(*value);
  }
  template <class Rep, class Period>
  void take(std::string_view name, std::chrono::duration<Rep, Period>& into) {
    if (const auto value = number(name)) into = std::chrono::duration<Rep, Period>{*value};
  }
  void take(std::string_view name, timestamp& into) {
    if (const auto value = number(name)) into = from_micros(*value);
  }
  template <class T>
  void take(std::string_view name, std::optional<T>& into) {
    if (!from_.contains(name)) return;
    take(name, into.emplace());
  }
  template <class T>
  void take(std::string_view name, engine::setting<T>& into) {
    std::optional<T> own;
    take(name, own);
    if (own) into = *own;
  }
  [[nodiscard]] const json::object* object(std::string_view name) {
    const json::value* found = from_.if_contains(name);
    if (found == nullptr) return nullptr;
    if (!found->is_object()) failed_ = true;
    return found->if_object();
  }
  [[nodiscard]] const json::array* array(std::string_view name) {
    const json::value* found = from_.if_contains(name);
    if (found == nullptr) return nullptr;
    if (!found->is_array()) failed_ = true;
    return found->if_array();
  }
  void fail() noexcept { failed_ = true; }
  [[nodiscard]] bool failed() const noexcept { return failed_; }

private:
  std::optional<std::int64_t> number(std::string_view name) {
    const json::value* found = from_.if_contains(name);
    if (found == nullptr) return std::nullopt;
    if (found->is_int64()) return found->get_int64();
    if (found->is_uint64()) return static_cast<std::int64_t>(found->get_uint64());
    failed_ = true;
    return std::nullopt;
  }

  const json::object& from_;
  bool failed_{false};
};

}  // namespace millrace::embedded
