// bunqueue, embedded in its own process, SQLite on disk: the shape of our own measurement.
//   bun bunqueue_bench.js DIRECTORY JOBS CALLERS
// Prints one JSON line a figure. Every job is counted: a run that lost or doubled one fails.
import { Queue, Worker } from 'bunqueue/client';

const [directory, jobsText, callersText] = process.argv.slice(2);
const jobs = Number(jobsText);
const callers = Number(callersText);
const payload = { text: 'x'.repeat(88) };

function report(metric, value, guarantee) {
  console.log(JSON.stringify({ system: 'bunqueue', metric, value, unit: 'jobs/s', guarantee }));
}

async function enqueueAll(queue, durable) {
  let next = 0;
  const caller = async () => {
    while (next < jobs) {
      next += 1;
      await queue.add('bench', payload, { durable, removeOnComplete: false });
    }
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: callers }, caller));
  return (jobs * 1000) / (performance.now() - begun);
}

function drain(name) {
  return new Promise((resolve, reject) => {
    const seen = new Set();
    const begun = performance.now();
    const worker = new Worker(
      name,
      async (job) => {
        if (seen.has(job.id)) reject(new Error(`job ${job.id} ran twice`));
        seen.add(job.id);
        return { ok: true };
      },
      { embedded: true, dataPath: `${directory}/queue.db`, concurrency: callers },
    );
    worker.on('completed', () => {
      if (seen.size === jobs) {
        const rate = (jobs * 1000) / (performance.now() - begun);
        worker.close().then(() => resolve(rate));
      }
    });
  });
}

const queue = new Queue('bench', { embedded: true, dataPath: `${directory}/queue.db` });
const enqueued = await enqueueAll(queue, true);
report('enqueue', enqueued, 'durable: SQLite commit a job');
const drained = await drain('bench');
report('take → done', drained, 'results buffered 10 ms');
report('enqueue → done', 1 / (1 / enqueued + 1 / drained), 'one after the other');
process.exit(0);
