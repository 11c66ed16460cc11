#include "database.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <libpq-fe.h>

#include <array>
#include <mutex>
#include <utility>
#include <vector>

namespace demo {
namespace {

using millrace::awaitable;
using millrace::errc;
using millrace::error;
using millrace::result;

struct closes {
  void operator()(PGconn* open) const { PQfinish(open); }
  void operator()(PGresult* got) const { PQclear(got); }
};
using connection = std::unique_ptr<PGconn, closes>;
using rows = std::unique_ptr<PGresult, closes>;

// Everything anew, so that one run is like another. A chunk has a vector of 64 numbers.
std::string schema() {
  return fmt::format(
      "SET client_min_messages = warning; DROP TABLE IF EXISTS bot, person, source, chunk; "
      "CREATE TABLE bot (id int PRIMARY KEY, name text, prompt text, changes int DEFAULT 0); "
      "CREATE TABLE person (id int PRIMARY KEY, name text, role text, changes int DEFAULT 0); "
      "CREATE TABLE source (id int PRIMARY KEY, bot int, title text, changes int DEFAULT 0); "
      "CREATE TABLE chunk (id int PRIMARY KEY, bot int, words text, vector float4[]); "
      "INSERT INTO bot SELECT i, 'bot ' || i, repeat('You help people. ', 40) "
      "  FROM generate_series(1, {0}) i; "
      "INSERT INTO person SELECT i, 'person ' || i, 'reader' FROM generate_series(1, {1}) i; "
      "INSERT INTO source SELECT i, 1 + i % {0}, 'source ' || i FROM generate_series(1, {2}) i; "
      "INSERT INTO chunk SELECT i, 1 + i % 100, 'some words of chunk ' || i, "
      "  (SELECT array_agg(sin(i * j)::float4) FROM generate_series(1, 64) j) "
      "  FROM generate_series(1, 20000) i; "
      "CREATE INDEX ON chunk (bot); ANALYZE;",
      bots, users, sources);
}

constexpr std::array<const char*, kinds> reads{
    "SELECT row_to_json(r) FROM (SELECT b.*, (SELECT count(*) FROM source s WHERE s.bot = b.id) "
    "AS sources FROM bot b WHERE b.id = $1) r",
    "SELECT row_to_json(r) FROM (SELECT * FROM person WHERE id = $1) r",
    "SELECT row_to_json(r) FROM (SELECT * FROM source WHERE id = $1) r",
    // The nearest of a bot's chunks, by the sum of products.
    "SELECT json_agg(r) FROM (SELECT c.id, c.words, (SELECT sum(x * sin($1 * n)) FROM "
    "unnest(c.vector) WITH ORDINALITY AS v(x, n)) AS near FROM chunk c WHERE c.bot = 1 + $1 % 100 "
    "ORDER BY near DESC LIMIT 5) r"};
constexpr std::array<const char*, kinds - 1> changes{
    "UPDATE bot SET changes = changes + 1 WHERE id = $1",
    "UPDATE person SET changes = changes + 1 WHERE id = $1",
    "UPDATE source SET changes = changes + 1 WHERE id = $1"};

error failed(PGconn* on) {
  return {errc::unavailable, "database_failed", PQerrorMessage(on), "", std::nullopt};
}

}  // namespace

class database::connections final {
public:
  explicit connections(std::size_t count) : threads(count) {}
  ~connections() { threads.join(); }

  connection take() {
    const std::lock_guard held(mutex_);
    connection out = std::move(free_.back());
    free_.pop_back();
    return out;
  }
  void give(connection back) {
    const std::lock_guard held(mutex_);
    free_.push_back(std::move(back));
  }

private:
  std::mutex mutex_;
  std::vector<connection> free_;

public:
  // As many as connections, so that one is always free.
  millrace::asio::thread_pool threads;
};

database::database(std::unique_ptr<connections> pool) : pool_(std::move(pool)) {}
database::~database() = default;

result<std::unique_ptr<database>> database::open(std::string where, std::size_t connections) {
  auto pool = std::make_unique<database::connections>(connections);
  for (std::size_t i = 0; i < connections; ++i) {
    connection made(PQconnectdb(where.c_str()));
    if (PQstatus(made.get()) != CONNECTION_OK) return std::unexpected(failed(made.get()));
    if (i == 0) {
      const rows filled(PQexec(made.get(), schema().c_str()));
      if (PQresultStatus(filled.get()) != PGRES_COMMAND_OK) {
        return std::unexpected(failed(made.get()));
      }
    }
    pool->give(std::move(made));
  }
  return std::unique_ptr<database>(new database(std::move(pool)));
}

awaitable<result<std::string>> database::run(database* on, std::string statement,
                                             std::uint32_t id) {
  connection with = on->pool_->take();
  const std::string text = std::to_string(id);
  const char* const values[] = {text.c_str()};
  const Oid types[] = {23};  // int4
  const rows got(
      PQexecParams(with.get(), statement.c_str(), 1, types, values, nullptr, nullptr, 0));
  const ExecStatusType status = PQresultStatus(got.get());
  result<std::string> out = std::string();
  if (status == PGRES_TUPLES_OK && PQntuples(got.get()) == 1) {
    out = std::string(PQgetvalue(got.get(), 0, 0));
  } else if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    out = std::unexpected(failed(with.get()));
  }
  on->pool_->give(std::move(with));
  co_return out;
}

awaitable<result<std::string>> database::read(request what) {
  ++queries_;
  co_return co_await millrace::asio::co_spawn(
      pool_->threads, run(this, reads[static_cast<std::size_t>(what.of)], what.id),
      millrace::asio::use_awaitable);
}

awaitable<result<void>> database::write(request what) {
  auto done = co_await millrace::asio::co_spawn(
      pool_->threads, run(this, changes[static_cast<std::size_t>(what.of)], what.id),
      millrace::asio::use_awaitable);
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return result<void>();
}

}  // namespace demo
