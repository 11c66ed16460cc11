# Sidekiq on the Redis of PORT, in the shape of our own measurement.
#   ruby sidekiq_bench.rb PORT JOBS CALLERS
# Prints one JSON line a figure. Every job is counted: a run that lost or doubled one fails.
# frozen_string_literal: true

require "json"
require "sidekiq"
require "sidekiq/cli"
require "sidekiq/launcher"

# Otherwise the client of Redis says at every call what of Sidekiq's ways is no longer its own.
Redis.silence_deprecations = true
Redis.sadd_returns_boolean = false
Sidekiq.logger.level = Logger::ERROR

abort "usage: ruby #{$PROGRAM_NAME} PORT JOBS CALLERS" unless ARGV.size == 3
PORT, JOBS, CALLERS = ARGV.map(&:to_i)
# Threads of one process share an interpreter lock.
PROCESSES = 2
CONCURRENCY = 10
BULK = 50
KEPT = "retries; no ack: a crash loses the running jobs"

# A thread of ours sends on what the handlers saw, so that they do nothing but this.
SEEN = []

class BenchJob
  include Sidekiq::Job
  sidekiq_options retry: 5

  def perform(number, _text)
    SEEN << number
  end
end

# A job that only says when it was started.
class IdleJob
  include Sidekiq::Job

  def perform(_text)
    ARRIVALS[1].write([now].pack("E"))
  end
end

ARRIVALS = IO.pipe(binmode: true)
ARRIVALS[1].sync = true

# Only in the processes that are forked: no connection may be shared with them.
def connect(size)
  Sidekiq.redis = {url: "redis://127.0.0.1:#{PORT}/0", size: size, driver: :hiredis}
end

def report(metric, value, unit, guarantee)
  puts JSON.generate(system: "Sidekiq", metric: metric, value: value, unit: unit,
                     guarantee: guarantee)
  $stdout.flush
end

def now
  Process.clock_gettime(Process::CLOCK_MONOTONIC)
end

# Runs the block in a process of its own.
def forked
  fork do
    yield
    exit!(0)
  rescue StandardError => e
    warn "sidekiq: #{e.full_message}"
    exit!(1)
  end
end

def join(children)
  children.each do |child|
    Process.wait(child)
    abort "sidekiq: a process failed" unless $?.success?
  end
end

def enqueue_rate(per_call)
  share = JOBS / PROCESSES
  begun = now
  children = PROCESSES.times.map do |at|
    last = at == PROCESSES - 1 ? JOBS : (at + 1) * share
    forked do
      connect(CALLERS)
      send_all(at * share, last, per_call)
    end
  end
  join(children)
  JOBS / (now - begun)
end

def send_all(first, last, per_call)
  text = "x" * 80
  following = first
  callers = (CALLERS / PROCESSES).times.map do
    Thread.new do
      loop do
        # Nothing between the two lines gives the interpreter lock away.
        from = following
        following += per_call
        break if from >= last

        if per_call == 1
          BenchJob.perform_async(from, text)
        else
          numbers = from...[from + per_call, last].min
          Sidekiq::Client.push_bulk("class" => BenchJob, "args" => numbers.map { |n| [n, text] })
        end
      end
    end
  end
  callers.each(&:join)
end

def work(out)
  connect(CONCURRENCY + 5)
  options = Sidekiq.options.merge(queues: ["default"], concurrency: CONCURRENCY, timeout: 5)
  launcher = Sidekiq::Launcher.new(options)
  ending = false
  trap("TERM") { ending = true }
  launcher.run
  until ending
    sleep 0.005
    numbers = SEEN.shift(SEEN.size)
    out.write(numbers.pack("L*")) unless numbers.empty?
  end
  launcher.quiet
end

# Jobs a second from the first one handled to the last.
def drain_rate
  input, output = IO.pipe(binmode: true)
  workers = PROCESSES.times.map { forked { work(output) } }
  output.close
  seen = "\0" * JOBS
  count = first = 0
  begun = nil
  while count < JOBS
    abort "sidekiq: #{JOBS - count} jobs did not arrive" unless input.wait_readable(60)
    input.readpartial(1 << 20).unpack("L*").each do |number|
      abort "sidekiq: job #{number} ran twice" unless seen.getbyte(number).zero?
      seen.setbyte(number, 1)
      count += 1
    end
    # The first batch is of unknown age.
    begun, first = now, count if begun.nil?
  end
  rate = (JOBS - first) / (now - begun)
  workers.each { |child| Process.kill("TERM", child) }
  join(workers)
  rate
end

def expect_waiting(count)
  redis = Redis.new(port: PORT)
  found = redis.llen("queue:default")
  abort "sidekiq: #{found} jobs are waiting, not #{count}" unless found == count
  redis.close
end

single = enqueue_rate(1)
expect_waiting(JOBS)
report("enqueue", single, "jobs/s", KEPT)
drained = drain_rate
expect_waiting(0)
report("take → done", drained, "jobs/s", KEPT)
report("enqueue → done", 1 / (1 / single + 1 / drained), "jobs/s", "one after the other")
many = enqueue_rate(BULK)
expect_waiting(JOBS)
report("enqueue, #{BULK} a call", many, "jobs/s", KEPT)

# From the call that enqueues to the handler, when nothing else is going on.
def pickup_times
  input, output = IO.pipe(binmode: true)
  worker = forked { work(output) }
  output.close
  connect(CONCURRENCY + 5)
  text = "x" * 80
  times = 550.times.map do
    # Long enough for the worker to wait again.
    sleep 0.003
    begun = now
    IdleJob.perform_async(text)
    (ARRIVALS[0].read(8).unpack1("E") - begun) * 1000
  end
  Process.kill("TERM", worker)
  join([worker])
  input.close
  times.drop(50).sort
end

Redis.new(port: PORT).tap(&:flushdb).close
idle = pickup_times
called = "perform_async called → handler started"
report("pickup when idle p50", idle[idle.size / 2], "ms", called)
report("pickup when idle p99", idle[idle.size * 99 / 100], "ms", called)
