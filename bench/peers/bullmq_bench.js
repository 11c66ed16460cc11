// BullMQ on the Redis of PORT, in the shape of our own measurement.
//   node bullmq_bench.js PORT JOBS CALLERS
// Prints one JSON line a figure. Every job is counted: a run that lost or doubled one fails.
import { Queue, Worker } from 'bullmq';
import {
  bulk, drainRate, enqueueRate, giveUp, jobs, payload, play, port, report, reportPickup,
  reportThroughput,
} from './peer.js';

const system = 'BullMQ';
const kept = 'status, retries, lock token; job removed when done';
const producing = { connection: { host: '127.0.0.1', port } };
const working = {
  connection: { host: '127.0.0.1', port, maxRetriesPerRequest: null },
  removeOnComplete: { count: 0 },
};
// More workers or more processes make it slower: its scripts use a core of Redis.
const concurrency = 50;

async function openSender() {
  const queue = new Queue('bench', producing);
  await queue.waitUntilReady();
  return (first, last) => {
    if (last - first === 1) return queue.add('bench', payload(first));
    const batch = Array.from({ length: last - first }, (_, i) => ({
      name: 'bench',
      data: payload(first + i),
    }));
    return queue.addBulk(batch);
  };
}

async function openWorker(ended) {
  const worker = new Worker('bench', async () => {}, { ...working, concurrency, autorun: false });
  worker.on('completed', (job) => ended(Number(job.data.n)));
  worker.on('failed', (job, error) => giveUp(`job ${job?.id} failed: ${error.message}`));
  await worker.waitUntilReady();
  return () => worker.run();
}

async function expect(queue, waiting) {
  const counts = await queue.getJobCounts('wait', 'active', 'delayed', 'failed', 'paused');
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  if (counts.wait !== waiting || all !== waiting) {
    giveUp(`${waiting} jobs should wait, there are ${JSON.stringify(counts)}`);
  }
}

async function measurePickup() {
  let arrived;
  const queue = new Queue('idle', producing);
  const worker = new Worker('idle', async () => arrived(performance.now()), working);
  await worker.waitUntilReady();
  const once = async (data) => {
    const started = new Promise((resolve) => {
      arrived = resolve;
    });
    const ended = new Promise((resolve) => worker.once('completed', resolve));
    const begun = performance.now();
    await queue.add('bench', data);
    const at = await started;
    await ended;
    return at - begun;
  };
  await reportPickup(system, once, 'add called → handler started, one process');
  await worker.close();
}

await play({ send: openSender, work: openWorker }, async () => {
  const queue = new Queue('bench', producing);
  const single = await enqueueRate(1, 1);
  await expect(queue, jobs);
  const drained = await drainRate(1);
  await expect(queue, 0);
  reportThroughput(system, single, drained, kept);
  const many = await enqueueRate(1, bulk);
  await expect(queue, jobs);
  report(system, `enqueue, ${bulk} a call`, many, 'jobs/s', kept);
  await measurePickup();
});
