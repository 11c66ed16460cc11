#include "group_writer.hpp"

namespace millrace::embedded {
namespace {

error not_kept() {
  return {errc::unsupported, "unsupported", "The embedded engine does not keep this.", "",
          std::nullopt};
}

}  // namespace

group_writer::refused group_writer::check(const engine::pass_fence&, plan&) { return not_kept(); }
group_writer::refused group_writer::check(const engine::put_group&, plan&) { return not_kept(); }
group_writer::refused group_writer::check(const engine::delete_group&, plan&) { return not_kept(); }
group_writer::refused group_writer::check(const engine::read_group&, plan&) { return not_kept(); }
group_writer::refused group_writer::check(const engine::settle_deliveries&, plan&) {
  return not_kept();
}
engine::outcome group_writer::apply(engine::pass_fence&, const plan&) {
  return engine::fence_passed{};
}
engine::outcome group_writer::apply(engine::put_group&, const plan&) {
  return engine::group_changed{};
}
engine::outcome group_writer::apply(engine::delete_group&, const plan&) {
  return engine::group_changed{};
}
engine::outcome group_writer::apply(engine::read_group&, const plan&) {
  return engine::group_read{};
}
engine::outcome group_writer::apply(engine::settle_deliveries&, const plan&) {
  return engine::deliveries_settled{};
}
result<engine::answer> group_writer::answer(const engine::list_lock_holders&) {
  return std::unexpected(not_kept());
}
result<engine::answer> group_writer::answer(const engine::list_groups&) {
  return std::unexpected(not_kept());
}
result<engine::answer> group_writer::answer(const engine::list_pending&) {
  return std::unexpected(not_kept());
}

}  // namespace millrace::embedded
