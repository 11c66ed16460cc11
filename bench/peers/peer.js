// What the measurements of the queues for Node have in common.
//
// A process of Node uses one core, so that callers and workers run in processes of their own, as many
// as are best for the system: this program again, with a role as its fourth argument. They say when
// they are ready, begin when they are told, and the first process counts and takes the time.
import { fork } from 'node:child_process';

const [portText, jobsText, callersText, role] = process.argv.slice(2);
export const port = Number(portText);
export const jobs = Number(jobsText);
export const bulk = 50;
const callers = Number(callersText);
const tellEveryMillis = 5;
const patienceMillis = 60_000;

if (!port || !jobs || !callers) {
  console.error(`usage: node ${process.argv[1]} PORT JOBS CALLERS`);
  process.exit(2);
}

// 100 bytes as JSON, as in all the other measurements; the number tells the jobs apart.
export function payload(number) {
  return { n: String(number).padStart(8, '0'), text: 'x'.repeat(74) };
}

export function report(system, metric, value, unit, guarantee) {
  console.log(JSON.stringify({ system, metric, value, unit, guarantee }));
}

/** A job is first enqueued and later done, one after the other. */
export function reportThroughput(system, enqueued, done, guarantee) {
  report(system, 'enqueue', enqueued, 'jobs/s', guarantee);
  report(system, 'take → done', done, 'jobs/s', guarantee);
  const both = 1 / (1 / enqueued + 1 / done);
  report(system, 'enqueue → done', both, 'jobs/s', 'one after the other');
}

export function giveUp(what) {
  console.error(`${process.argv[1]}: ${what}`);
  process.exit(1);
}

/**
 * Runs `measure` in the first process. `roles.send()` gives a `send(first, last)` that is answered
 * when those jobs are kept; `roles.work(ended)` makes a worker, calls `ended(number)` for each job
 * that is done, and gives the function that begins.
 */
export async function play(roles, measure) {
  if (role === undefined) {
    await measure();
    process.exit(0);
  }
  const begin = role === 'work' ? await startWorker(roles.work) : await startSender(roles.send);
  process.once('message', begin);
  process.once('disconnect', () => process.exit(1));
  process.send('ready');
}

async function startSender(open) {
  const send = await open();
  return async ({ first, last, perCall, share }) => {
    let next = first;
    const caller = async () => {
      while (next < last) {
        const from = next;
        next = Math.min(next + perCall, last);
        await send(from, next);
      }
    };
    await Promise.all(Array.from({ length: share }, caller));
    process.send('sent');
  };
}

async function startWorker(work) {
  let numbers = [];
  const begin = await work((number) => numbers.push(number));
  setInterval(() => {
    if (numbers.length > 0) process.send(numbers);
    numbers = [];
  }, tellEveryMillis);
  return begin;
}

/** So many processes in this role, when all of them are ready. */
async function start(count, as) {
  const children = Array.from({ length: count }, () =>
    fork(process.argv[1], [portText, jobsText, callersText, as]),
  );
  for (const child of children) {
    child.once('exit', (code) => code && giveUp(`a process that has to ${as} ended with ${code}`));
  }
  await Promise.all(children.map((child) => new Promise((ready) => child.once('message', ready))));
  return children;
}

function end(children) {
  for (const child of children) {
    child.removeAllListeners('exit');
    child.kill();
  }
}

/** Jobs a second when every caller calls again as soon as it was answered. */
export async function enqueueRate(processes, perCall) {
  const senders = await start(processes, 'send');
  const each = Math.ceil(jobs / processes);
  const sent = senders.map((sender) => new Promise((answer) => sender.once('message', answer)));
  const begun = performance.now();
  senders.forEach((sender, at) =>
    sender.send({
      first: at * each,
      last: Math.min((at + 1) * each, jobs),
      perCall,
      share: Math.ceil(callers / processes),
    }),
  );
  await Promise.all(sent);
  const rate = (jobs * 1000) / (performance.now() - begun);
  end(senders);
  return rate;
}

/** Jobs a second until all of them are done, each of them once. */
export async function drainRate(processes) {
  const workers = await start(processes, 'work');
  const seen = new Uint8Array(jobs);
  let count = 0;
  return new Promise((resolve) => {
    const begun = performance.now();
    const late = setTimeout(
      () => giveUp(`${jobs - count} jobs are not done after ${patienceMillis} ms`),
      patienceMillis,
    );
    const ended = (numbers) => {
      for (const number of numbers) {
        if (seen[number] !== 0) giveUp(`job ${number} was done twice, or nobody made it`);
        seen[number] = 1;
      }
      count += numbers.length;
      if (count !== jobs) return;
      clearTimeout(late);
      resolve((jobs * 1000) / (performance.now() - begun));
      end(workers);
    };
    for (const worker of workers) {
      worker.on('message', ended);
      worker.send('go');
    }
  });
}

/**
 * From the call that enqueues to the handler, when nothing else is going on. `once(payload)` gives
 * the milliseconds, and is answered when the job is done.
 */
export async function reportPickup(system, once, guarantee) {
  const uncounted = 100;
  const millis = [];
  for (let turn = 0; turn < uncounted + 500; turn += 1) {
    // Long enough for the worker to wait again.
    await new Promise((resolve) => setTimeout(resolve, 2));
    const took = await once(payload(turn));
    if (turn >= uncounted) millis.push(took);
  }
  millis.sort((a, b) => a - b);
  for (const [name, share] of [['p50', 0.5], ['p99', 0.99]]) {
    const value = millis[Math.floor(millis.length * share)];
    report(system, `pickup when idle ${name}`, value, 'ms', guarantee);
  }
}
