#include <millrace/engine/async.hpp>

#include <millrace/base/assert.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

#include <future>

namespace millrace::engine {
namespace {

// Brings one answer from a thread of the engine to the executor of the caller, whose event loop it
// keeps running until then.
template <class Answer, class Handler>
class on_callers_executor final {
public:
  explicit on_callers_executor(Handler handler)
      : executor_(asio::prefer(asio::get_associated_executor(handler),
                               asio::execution::outstanding_work.tracked)),
        handler_(std::move(handler)) {}

  void operator()(Answer answer) {
    // Posted, never run in place: a store may answer from within the call.
    asio::post(executor_, [handler = std::move(handler_), answer = std::move(answer)]() mutable {
      std::move(handler)(std::move(answer));
    });
  }

private:
  asio::any_io_executor executor_;
  Handler handler_;
};

// `begin(store, question, done)` hands the question to the store.
template <class Answer, class Question, class Begin>
auto answer_of(store& where, Question question, Begin begin) {
  return asio::async_initiate<const asio::deferred_t, void(Answer)>(
      [begin]<class Handler>(Handler&& handler, store* to, Question what) {
        begin(*to, std::move(what),
              on_callers_executor<Answer, std::decay_t<Handler>>(std::forward<Handler>(handler)));
      },
      asio::deferred, &where, std::move(question));
}

commit_result only_one(std::vector<commit_result>& results) {
  MILLRACE_ASSERT(results.size() == 1);
  return std::move(results.front());
}

std::vector<transaction> batch_of(transaction one) {
  std::vector<transaction> batch;
  batch.push_back(std::move(one));
  return batch;
}

constexpr auto submit_to = [](store& to, std::vector<transaction> batch, auto done) {
  to.submit(std::move(batch), std::move(done));
};
constexpr auto ask_of = [](store& of, query what, auto done) {
  of.ask(std::move(what), std::move(done));
};

template <class Answer, class Begin>
Answer wait_for(Begin begin) {
  std::promise<Answer> given;
  auto waiting = given.get_future();
  // The promise moves into the handler: it must live until the engine's thread has let go of it.
  begin([given = std::move(given)](Answer answer) mutable { given.set_value(std::move(answer)); });
  return waiting.get();
}

}  // namespace

awaitable<std::vector<commit_result>> commit_each(store& where, std::vector<transaction> batch) {
  co_return co_await answer_of<std::vector<commit_result>>(where, std::move(batch), submit_to);
}

awaitable<commit_result> commit(store& where, transaction what) {
  auto results =
      co_await answer_of<std::vector<commit_result>>(where, batch_of(std::move(what)), submit_to);
  co_return only_one(results);
}

awaitable<result<answer>> ask_any(store& where, query what) {
  co_return co_await answer_of<result<answer>>(where, std::move(what), ask_of);
}

namespace blocking {

commit_result commit(store& where, transaction what) {
  auto results = blocking::commit_each(where, batch_of(std::move(what)));
  return only_one(results);
}

std::vector<commit_result> commit_each(store& where, std::vector<transaction> batch) {
  return wait_for<std::vector<commit_result>>(
      [&](auto done) { where.submit(std::move(batch), std::move(done)); });
}

result<answer> ask_any(store& where, query what) {
  return wait_for<result<answer>>([&](auto done) { where.ask(std::move(what), std::move(done)); });
}

}  // namespace blocking
}  // namespace millrace::engine
