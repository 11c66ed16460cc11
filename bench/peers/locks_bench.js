// Locks by redlock and redis-semaphore on the Redis of PORT, in the shape of our own measurement.
//   node locks_bench.js PORT PAIRS CALLERS
// Prints one JSON line a figure. A pair is taking a lock that is free and releasing it; every caller
// has a lock of its own.
import Redis from 'ioredis';
import Redlock from 'redlock';
import { Mutex } from 'redis-semaphore';

const [port, pairs, callers] = process.argv.slice(2).map(Number);
const ttlMillis = 30_000;

function report(system, metric, value, guarantee) {
  console.log(JSON.stringify({ system, metric, value, unit: 'pairs/s', guarantee }));
}

async function rate(count, width, pair) {
  let begun = 0;
  const caller = async (_, at) => {
    while (begun < count) {
      begun += 1;
      await pair(at);
    }
  };
  const from = performance.now();
  await Promise.all(Array.from({ length: width }, caller));
  return (count * 1000) / (performance.now() - from);
}

async function measure(system, pair, guarantee) {
  await rate(pairs / 20, callers, pair);
  report(system, `${callers} callers`, await rate(pairs, callers, pair), guarantee);
  report(system, '1 caller', await rate(pairs / 10, 1, pair), guarantee);
}

const redis = new Redis({ host: '127.0.0.1', port });

const redlock = new Redlock([redis], { retryCount: 0 });
await measure('redlock', async (at) => {
  const lock = await redlock.lock(`redlock-${at}`, ttlMillis);
  await lock.unlock();
}, 'no fence; released by the holder only');

await measure('redis-sem.', async (at) => {
  // It would renew by itself, with a timer for each lock; ours here do not.
  const mutex = new Mutex(redis, `mutex-${at}`, { lockTimeout: ttlMillis, refreshInterval: 0 });
  await mutex.acquire();
  await mutex.release();
}, 'no fence; released by the holder only');

// The least that such a lock costs: SET NX, and a script that deletes what is its own.
const unlock = "return redis.call('GET',KEYS[1])==ARGV[1] and redis.call('DEL',KEYS[1]) or 0";
redis.defineCommand('unlockPlain', { numberOfKeys: 1, lua: unlock });
await measure('limit', async (at) => {
  await redis.set(`plain-${at}`, String(at), 'PX', ttlMillis, 'NX');
  await redis.unlockPlain(`plain-${at}`, String(at));
}, 'SET NX and a script, by ioredis');

redis.disconnect();
