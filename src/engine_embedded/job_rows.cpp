#include "job_rows.hpp"

#include "spec_json.hpp"
#include "sql.hpp"

#include <sqlite3.h>

#include <utility>

namespace millrace::embedded {

using engine::job_status;

job_rows::job_rows(database& in)
    : in_(in),
      insert_(in, sql::insert_job),
      read_(in, sql::read_job),
      write_state_(in, sql::write_state),
      insert_completed_(in, sql::insert_completed),
      renew_(in, sql::renew_job),
      drop_unique_(in, sql::drop_unique),
      delete_job_(in, sql::delete_job),
      delete_state_(in, sql::delete_state),
      delete_log_(in, sql::delete_log),
      insert_log_(in, sql::insert_log),
      trim_log_(in, sql::trim_log),
      read_log_(in, sql::read_log),
      any_log_(in, sql::any_log),
      ids_below_(in, sql::list_ids_below) {}

void job_rows::insert(const engine::job& what, std::int64_t queue_row) {
  const engine::job_spec& spec = what.spec;
  const std::string labels = labels_to_json(spec.labels);
  const std::string options = options_to_json(spec);
  insert_.put(what.id.stamp).put(queue_row).put(int{spec.priority}).put(spec.max_attempts);
  insert_.put(what.created_at);
  if (what.run_at == what.created_at) {
    insert_.put_null();
  } else {
    insert_.put(what.run_at);
  }
  if (what.level == engine::durability::durable) {
    insert_.put_null();
  } else {
    insert_.put(static_cast<int>(what.level));
  }
  insert_.put_filled(spec.group);
  if (spec.unique) {
    insert_.put(spec.unique->key).put(static_cast<int>(spec.unique->mode));
  } else {
    insert_.put_null().put_null();
  }
  insert_.put_filled(spec.type).put_filled(spec.correlation_id);
  insert_.put_filled(labels).put_filled(options).put(spec.data);
  insert_.run();
}

std::optional<stored_job> job_rows::read(std::uint64_t id) {
  read_.put(id);
  const reset_after reset(read_);
  if (!read_.row()) return std::nullopt;
  result<stored_job> out = decode(id);
  if (!out) {
    in_.note(SQLITE_CORRUPT);
    return std::nullopt;
  }
  return std::move(*out);
}

result<stored_job> job_rows::decode(std::uint64_t id) {
  stored_job out;
  engine::job& what = out.what;
  engine::job_spec& spec = what.spec;
  what.id.stamp = id;
  out.queue_row = read_.integer(1);
  spec.priority = static_cast<std::uint8_t>(read_.integer(2));
  spec.max_attempts = static_cast<std::uint32_t>(read_.integer(3));
  what.created_at = from_micros(read_.integer(4));
  const std::optional<timestamp> first_run_at = read_.moment(5);
  what.run_at = first_run_at.value_or(what.created_at);
  if (!read_.is_null(6)) what.level = static_cast<engine::durability>(read_.integer(6));
  spec.group = read_.text(7);
  if (!read_.is_null(8)) {
    spec.unique = engine::unique_spec{.key = std::string(read_.text(8)),
                                      .mode = static_cast<engine::unique_mode>(read_.integer(9))};
  }
  spec.type = read_.text(10);
  spec.correlation_id = read_.text(11);
  result<std::vector<engine::label>> labels = labels_from_json(read_.text(12));
  if (!labels) return std::unexpected(std::move(labels.error()));
  spec.labels = std::move(*labels);
  if (result<void> read = read_options(read_.text(13), spec); !read) {
    return std::unexpected(std::move(read.error()));
  }
  spec.data = read_.text(14);

  what.status = first_run_at ? job_status::scheduled : job_status::queued;
  what.version = id;
  out.has_state = !read_.is_null(15);
  if (!out.has_state) return out;
  what.status = static_cast<job_status>(read_.integer(15));
  what.attempts = static_cast<std::uint32_t>(read_.integer(16));
  what.token = read_.natural(17);
  what.version = read_.natural(18);
  what.run_at = read_.moment(19).value_or(what.run_at);
  if (!read_.is_null(20)) out.ready = read_.natural(20);
  if (!read_.is_null(21)) spec.priority = static_cast<std::uint8_t>(read_.integer(21));
  what.cancel_requested = read_.integer(22) != 0;
  what.started_at = read_.moment(23);
  what.finished_at = read_.moment(24);
  what.first_failed_at = read_.moment(25);
  what.failed_at = read_.moment(26);
  if (const std::optional<timestamp> at = read_.moment(29)) {
    what.progress = engine::job_progress{
        .value = read_.real(27), .message = std::string(read_.text(28)), .updated_at = *at};
  }
  out.log_lines = static_cast<std::uint32_t>(read_.integer(30));
  what.error_code = read_.text(31);
  out.fingerprint = read_.text(32);
  what.error = read_.text(33);
  what.checkpoint = read_.text(34);
  what.result = read_.text(35);
  return out;
}

void job_rows::write_state(const stored_job& stored) {
  const engine::job& what = stored.what;
  statement& to = write_state_;
  to.put(what.id.stamp).put(static_cast<int>(what.status)).put(what.attempts);
  to.put(what.token).put(what.version).put(what.run_at).put(stored.ready);
  to.put(int{what.spec.priority});
  if (what.cancel_requested) {
    to.put(1);
  } else {
    to.put_null();
  }
  to.put(what.started_at).put(what.finished_at).put(what.first_failed_at).put(what.failed_at);
  if (what.progress) {
    to.put(what.progress->value).put_filled(what.progress->message).put(what.progress->updated_at);
  } else {
    to.put_null().put_null().put_null();
  }
  to.put(stored.log_lines).put_filled(what.error_code).put_filled(stored.fingerprint);
  to.put_filled(what.error).put_filled(what.checkpoint).put_filled(what.result);
  to.run();
}

void job_rows::insert_completed(std::uint64_t id, std::uint32_t attempts, std::uint64_t token,
                                std::uint64_t version, timestamp started_at, timestamp finished_at,
                                std::string_view result) {
  insert_completed_.put(id).put(attempts).put(token).put(version);
  insert_completed_.put(started_at).put(finished_at).put(result);
  insert_completed_.run();
}

void job_rows::renew(const engine::job& what) {
  const std::string labels = labels_to_json(what.spec.labels);
  renew_.put(what.id.stamp).put_filled(what.spec.type).put_filled(labels).put(what.spec.data);
  renew_.run();
}

void job_rows::drop_unique(std::uint64_t id) { drop_unique_.put(id).run(); }

void job_rows::remove(std::uint64_t id, bool with_log) {
  delete_job_.put(id).run();
  delete_state_.put(id).run();
  if (with_log) delete_log_.put(id).run();
}

void job_rows::add_log(std::uint64_t id, const engine::job_log_line& line) {
  insert_log_.put(id).put(line.stamp).put(line.at).put(line.text).run();
}

void job_rows::trim_log(std::uint64_t id, std::uint32_t oldest) {
  trim_log_.put(id).put(oldest).run();
}

std::vector<engine::job_log_line> job_rows::read_log(std::uint64_t id, std::uint64_t after) {
  std::vector<engine::job_log_line> out;
  read_log_.put(id).put(after);
  const reset_after reset(read_log_);
  while (read_log_.row()) {
    out.push_back({.stamp = read_log_.natural(0),
                   .at = from_micros(read_log_.integer(1)),
                   .text = std::string(read_log_.text(2))});
  }
  return out;
}

bool job_rows::any_log() {
  const reset_after reset(any_log_);
  return any_log_.row();
}

std::vector<job_rows::id_and_queue> job_rows::ids_below(std::uint64_t bound, std::size_t limit) {
  std::vector<id_and_queue> out;
  ids_below_.put(bound).put(static_cast<std::int64_t>(limit));
  const reset_after reset(ids_below_);
  while (ids_below_.row()) out.push_back({ids_below_.natural(0), ids_below_.integer(1)});
  return out;
}

}  // namespace millrace::embedded
