// ioredis on the Redis of PORT: GET of a value of 16 bytes over one connection, so many callers at
// a time, each of which waits for its answer.
//   node ioredis_bench.js PORT REQUESTS CALLERS
// Prints one JSON line a figure. `enableAutoPipelining` sends what one turn of the loop asks for
// together, which is what it is fastest with.
import Redis from 'ioredis';

const [port, requests, callers] = process.argv.slice(2).map(Number);
if (!port || !requests || !callers) {
  console.error(`usage: node ${process.argv[1]} PORT REQUESTS CALLERS`);
  process.exit(2);
}
const value = 'x'.repeat(16);

async function measure(redis, count) {
  let left = count;
  const caller = async () => {
    while (left > 0) {
      left -= 1;
      if ((await redis.get('bench:key')) !== value) throw new Error('another value came back');
    }
  };
  const began = process.hrtime.bigint();
  await Promise.all(Array.from({ length: callers }, caller));
  return (count * 1e9) / Number(process.hrtime.bigint() - began);
}

for (const enableAutoPipelining of [true, false]) {
  const redis = new Redis({ host: '127.0.0.1', port, enableAutoPipelining });
  await redis.set('bench:key', value);
  await measure(redis, Math.min(requests, 20_000));
  console.log(JSON.stringify({
    system: enableAutoPipelining ? 'ioredis' : 'ioredis plain',
    metric: `GET, ${callers} in flight`,
    value: await measure(redis, requests),
    unit: 'ops/s',
    guarantee: enableAutoPipelining ? 'one connection, auto-pipelined' : 'one connection',
  }));
  redis.disconnect();
}
