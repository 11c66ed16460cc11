#pragma once

#include <boost/unordered/unordered_flat_map.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace millrace::embedded {

/// Which live job holds a unique key of a queue. The entry lives and dies with the job.
class unique_index final {
public:
  /// The holder's id; 0 for none.
  [[nodiscard]] std::uint64_t holder(std::uint32_t queue, std::string_view key) const {
    const auto at = holders_.find(name_of(queue, key));
    return at == holders_.end() ? 0 : at->second;
  }

  /// False when another holds it.
  bool take(std::uint32_t queue, std::string_view key, std::uint64_t id) {
    const auto [at, fresh] = holders_.try_emplace(name_of(queue, key), id);
    if (fresh) names_.emplace(id, &at->first);
    return fresh;
  }

  void release(std::uint64_t id) {
    const auto at = names_.find(id);
    if (at == names_.end()) return;
    holders_.erase(*at->second);
    names_.erase(at);
  }

private:
  [[nodiscard]] static std::string name_of(std::uint32_t queue, std::string_view key) {
    std::string name(reinterpret_cast<const char*>(&queue), sizeof queue);
    return name.append(key);
  }

  std::unordered_map<std::string, std::uint64_t> holders_;
  // Points at the keys above, which stay where they are.
  boost::unordered_flat_map<std::uint64_t, const std::string*> names_;
};

}  // namespace millrace::embedded
