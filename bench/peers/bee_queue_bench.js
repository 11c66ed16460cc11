// bee-queue on the Redis of PORT, in the shape of our own measurement.
//   node bee_queue_bench.js PORT JOBS CALLERS
// Prints one JSON line a figure. Every job is counted: a run that lost or doubled one fails.
import BeeQueue from 'bee-queue';
import {
  bulk, drainRate, enqueueRate, giveUp, jobs, payload, play, port, report, reportPickup,
  reportThroughput,
} from './peer.js';

const system = 'bee-queue';
const kept = 'runs again after a stall; removed when done; no lease token';
// What its documentation advises for speed: nothing is sent or stored that nobody waits for.
const sparing = {
  redis: { host: '127.0.0.1', port }, getEvents: false, sendEvents: false, storeJobs: false,
};
const producing = { ...sparing, isWorker: false };
const working = { ...sparing, removeOnSuccess: true };
const concurrency = 100;
const workerProcesses = 2;

async function openSender() {
  const queue = new BeeQueue('bench', producing);
  await queue.ready();
  return async (first, last) => {
    if (last - first === 1) {
      await queue.createJob(payload(first)).save();
      return;
    }
    const failed = await queue.saveAll(
      Array.from({ length: last - first }, (_, i) => queue.createJob(payload(first + i))),
    );
    if (failed.size > 0) giveUp(`${failed.size} jobs of a call were not saved`);
  };
}

async function openWorker(ended) {
  const worker = new BeeQueue('bench', working);
  worker.on('error', (error) => giveUp(error.message));
  worker.on('failed', (job, error) => giveUp(`job ${job.id} failed: ${error.message}`));
  worker.on('succeeded', (job) => ended(Number(job.data.n)));
  await worker.ready();
  return () => worker.process(concurrency, async () => {});
}

async function expect(queue, waiting) {
  const counts = await queue.checkHealth();
  if (counts.waiting !== waiting || counts.active + counts.delayed + counts.failed > 0) {
    giveUp(`${waiting} jobs should wait, there are ${JSON.stringify(counts)}`);
  }
}

async function measurePickup() {
  let arrived;
  const queue = new BeeQueue('idle', producing);
  const worker = new BeeQueue('idle', working);
  await worker.ready();
  worker.process(1, async () => arrived(performance.now()));
  const once = async (data) => {
    const started = new Promise((resolve) => {
      arrived = resolve;
    });
    const ended = new Promise((resolve) => worker.once('succeeded', resolve));
    const begun = performance.now();
    await queue.createJob(data).save();
    const at = await started;
    await ended;
    return at - begun;
  };
  await reportPickup(system, once, 'save called → handler started, one process');
  await worker.close();
}

await play({ send: openSender, work: openWorker }, async () => {
  const queue = new BeeQueue('bench', producing);
  const single = await enqueueRate(1, 1);
  await expect(queue, jobs);
  const drained = await drainRate(workerProcesses);
  await expect(queue, 0);
  reportThroughput(system, single, drained, kept);
  const many = await enqueueRate(1, bulk);
  await expect(queue, jobs);
  report(system, `enqueue, ${bulk} a call`, many, 'jobs/s', kept);
  await measurePickup();
});
