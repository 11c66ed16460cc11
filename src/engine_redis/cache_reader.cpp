#include "cache_reader.hpp"

#include "cache_codec.hpp"
#include "call_codec.hpp"
#include "script.hpp"

#include <charconv>
#include <utility>
#include <variant>

namespace millrace::engine_redis {
namespace {

result<engine::answer> decode(const engine::read_cache& asked, const redis::reply& answered) {
  engine::read_cache::found out;
  std::int64_t micros = 0;
  auto at = answered.view().begin();
  if (answered.size() == 0 || answered.size() > asked.keys.size() + 1) {
    return std::unexpected(bad_answer());
  }
  const std::string_view time = (*at).text();
  if (std::from_chars(time.data(), time.data() + time.size(), micros).ec != std::errc{}) {
    return std::unexpected(bad_answer());
  }
  out.now = from_micros(micros);
  out.entries.reserve(answered.size() - 1);
  for (std::size_t i = 1; i < answered.size(); ++i) {
    ++at;
    if ((*at).is_null()) {
      out.entries.emplace_back();
      continue;
    }
    unpacker in((*at).text());
    out.entries.emplace_back(unpack_cache_entry(in, out.now));
    if (in.failed()) return std::unexpected(bad_answer());
  }
  return out;
}

}  // namespace

cache_reader::cache_reader(redis::connection& to, turnstile& turn, settings with)
    : link_(to), turn_(turn), with_(std::move(with)), script_(cache_read_script()) {}

void cache_reader::prepare() {
  ++under_way_;
  link_.send(redis::command("SCRIPT").arg("LOAD").arg(script_),
             {with_.request_timeout, redis::resend::if_lost}, [this](result<redis::reply> loaded) {
               const turnstile::inside in(turn_);
               if (loaded && !loaded->view().is_error()) sha_ = loaded->text();
               if (--under_way_ == 0 && none_left) none_left();
             });
}

void cache_reader::ask(std::unique_ptr<question> what) {
  ++under_way_;
  send(std::move(what));
}

void cache_reader::send(std::shared_ptr<question> what) {
  const auto& asked = std::get<engine::read_cache>(what->what);
  std::optional<timestamp> now;
  if (with_.clock != nullptr) now = with_.clock->now();
  redis::command out(sha_.empty() ? "EVAL" : "EVALSHA");
  out.arg(sha_.empty() ? script_ : sha_).arg(1).key(with_.state_key);
  out.arg(pack_cache_read(asked, now));
  for (const std::string& key : asked.keys) out.arg(key);
  link_.send(std::move(out), {with_.request_timeout, redis::resend::if_lost},
             [this, what = std::move(what)](result<redis::reply> answer) {
               const turnstile::inside in(turn_);
               on_answer(what, std::move(answer));
             });
}

void cache_reader::on_answer(const std::shared_ptr<question>& what, result<redis::reply> answer) {
  if (answer && answer->view().is_error()) {
    answer = std::unexpected(answer->view().as_text().error());
  }
  if (!answer && answer.error().code == "no_script" && !sha_.empty()) {
    // Sent along, the server keeps it.
    const std::string before = std::exchange(sha_, {});
    send(what);
    sha_ = before;
    return;
  }
  if (answer) {
    what->done(decode(std::get<engine::read_cache>(what->what), *answer));
  } else {
    what->done(std::unexpected(std::move(answer.error())));
  }
  if (--under_way_ == 0 && none_left) none_left();
}

}  // namespace millrace::engine_redis
