// What the page does: it shows a job and two streams as they come, and keeps a log of all it was
// told, which the test reads. EventSource comes back by itself when the server was away.
"use strict";
window.told = { states: [], log: [], progress: [], events: [], gaps: 0, breaks: 0, ended: null };

document.body.innerHTML = `
  <h1>One job, through a restart</h1>
  <p><progress id="bar" max="1" value="0" style="width: 30rem; height: 1.6rem"></progress>
     <b id="share">0 %</b> <span id="status"></span></p>
  <p id="message"></p>
  <table><thead><tr><th>Log of the job<th style="text-align: left">Events of two streams</tr></thead>
  <tbody style="vertical-align: top; line-height: 1.2"><tr><td id="log"><td id="events"
  style="text-align: left"></tr></tbody></table>
  <p id="breaks"></p>`;

const at = (id) => document.getElementById(id);
const line = (where, text) => {
  const one = document.createElement("div");
  one.textContent = text;
  at(where).append(one);
};

const showProgress = (progress) => {
  if (told.progress.at(-1) !== progress.value) told.progress.push(progress.value);
  at("bar").value = progress.value;
  at("share").textContent = `${Math.round(progress.value * 100)} %`;
  at("message").textContent = progress.message;
};

window.follow = (job, streams) => {
  const jobs = new EventSource(`/v1/jobs/${job}/events`);
  jobs.addEventListener("state", (e) => {
    const state = JSON.parse(e.data);
    told.states.push(state.status);
    at("status").textContent = state.status;
    if (state.progress) showProgress(state.progress);
  });
  jobs.addEventListener("progress", (e) => showProgress(JSON.parse(e.data)));
  jobs.addEventListener("log", (e) => {
    const text = JSON.parse(e.data).text;
    told.log.push(text);
    line("log", text);
  });
  jobs.addEventListener("end", (e) => {
    told.ended = JSON.parse(e.data).status;
    at("status").textContent = told.ended;
    jobs.close();
  });

  const query = streams.map((name) => `stream=${encodeURIComponent(name)}`).join("&");
  const events = new EventSource(`/v1/events:live?${query}&from=earliest`);
  events.addEventListener("step", (e) => {
    const event = JSON.parse(e.data);
    told.events.push([event.stream, event.offset, event.payload]);
    line("events", `${event.stream} ${event.offset}: step ${event.payload}`);
  });
  for (const each of [jobs, events]) {
    each.addEventListener("gap", () => { told.gaps += 1; });
    each.addEventListener("error", () => {
      told.breaks += 1;
      at("breaks").textContent = `connections lost and had again: ${told.breaks}`;
    });
  }
};
