// Checks of limits by rate-limiter-flexible, in memory and on the Redis of PORT, in the shape of our
// own measurement.
//   node limits_bench.js PORT CHECKS CALLERS
// Prints one JSON line a figure. The limits are those of limits_bench.cpp: the first is reached.
import Redis from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';

const [port, checks, callers] = process.argv.slice(2).map(Number);
const users = 1000;

function report(metric, value, guarantee) {
  console.log(JSON.stringify({ system: 'r-l-flexible', metric, value, unit: 'checks/s', guarantee }));
}

const limits = [
  { keyPrefix: 'user', points: 100, duration: 1, id: (n) => String(n % users) },
  { keyPrefix: 'ip', points: 100_000, duration: 60, id: (n) => `10.0.0.${n % 250}` },
  { keyPrefix: 'global', points: 1_000_000_000, duration: 60, id: () => 'all' },
];

async function rate(count, width, limiters) {
  let begun = 0;
  let ended = 0;
  let failed;
  const caller = async () => {
    while (begun < count) {
      const n = begun;
      begun += 1;
      const asked = limiters.map((limiter, at) => limiter.consume(limits[at].id(n)));
      for (const result of await Promise.allSettled(asked)) {
        if (result.reason instanceof Error) failed = result.reason;
      }
      ended += 1;
    }
  };
  const from = performance.now();
  await Promise.all(Array.from({ length: width }, caller));
  const took = performance.now() - from;
  if (failed || ended !== count) throw failed ?? new Error(`${ended} of ${count} checks`);
  return (count * 1000) / took;
}

function made(Limiter, options, count) {
  return limits.slice(0, count).map(({ keyPrefix, points, duration }) => (
    new Limiter({ ...options, keyPrefix, points, duration })));
}

const redis = new Redis({ host: '127.0.0.1', port, enableAutoPipelining: true });
for (const count of [1, 3]) {
  const name = count === 1 ? '1 limit' : '3 limits';
  const guarantee = count === 1 ? 'a fixed window' : 'fixed windows, three calls, not all or none';
  const inMemory = made(RateLimiterMemory, {}, count);
  await rate(checks / 10, 1, inMemory);
  report(`in memory, ${name}`, await rate(checks, 1, inMemory), guarantee);
  const onRedis = made(RateLimiterRedis, { storeClient: redis }, count);
  await rate(checks / 20, callers, onRedis);
  report(`Redis, ${name}`, await rate(checks, callers, onRedis), guarantee);
}
redis.disconnect();
