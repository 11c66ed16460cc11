// Server-sent events by Node alone, as one would write them: everybody who asks hears what comes.
//   node sse_node.js
// Prints its port. GET /events follows, POST /publish tells; nothing is kept.
import http from 'node:http';

const followers = new Set();
let last = 0;

function publish(body) {
  last += 1;
  const event = Buffer.from(`id: ${last}\ndata: ${body}\n\n`);
  for (const each of followers) each.write(event);
}

const server = http.createServer((request, response) => {
  if (request.method === 'GET') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    response.write('retry: 1000\n\n');
    followers.add(response);
    response.on('close', () => followers.delete(response));
    return;
  }
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (text) => {
    body += text;
  });
  request.on('end', () => {
    publish(body);
    response.writeHead(201, { 'Content-Length': 0 });
    response.end();
  });
});
server.keepAliveTimeout = 0;
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  console.log(server.address().port);
});
