// SPDX-License-Identifier: Apache-2.0
// Counts visits in /app/data/visits.txt. GET / counts, GET /visits shows, GET /healthz.
'use strict';
const fs = require('fs/promises');
const http = require('http');
const os = require('os');
const path = require('path');

const data = process.env.DATA_DIR || '/app/data';
const port = Number(process.env.PORT || 3000);
const file = path.join(data, 'visits.txt');

async function readCount() {
  try {
    return parseInt(await fs.readFile(file, 'ascii'), 10) || 0;
  } catch (e) {
    if (e.code === 'ENOENT') return 0;
    throw e;
  }
}

// The file is replaced whole, so a crash leaves the old count or the new.
async function increment() {
  const count = await readCount() + 1;
  await fs.mkdir(data, { recursive: true });
  const f = await fs.open(file + '.new', 'w');
  await f.writeFile(`${count}\n`);
  await f.sync();
  await f.close();
  await fs.rename(file + '.new', file);
  return count;
}

// One at a time: each visit waits for the one before it.
let last = Promise.resolve();
function countVisit() {
  const mine = last.then(increment);
  last = mine.catch(() => {});
  return mine;
}

async function route(url) {
  switch (url.split('?')[0]) {
    case '/': return [200, `Hello from ${os.hostname()}: visit ${await countVisit()}\n`];
    case '/visits': return [200, `${await readCount()}\n`];
    case '/healthz': return [200, 'ok\n'];
    default: return [404, 'not found\n'];
  }
}

const server = http.createServer(async (request, response) => {
  let status = 405, text = 'only GET\n';
  if (request.method === 'GET') {
    [status, text] = await route(request.url).catch((e) => [500, `${e.message}\n`]);
  }
  if (request.url !== '/healthz') {
    console.log(`${request.socket.remoteAddress} ${request.method} ${request.url} ${status}`);
  }
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.end(text);
});

server.listen(port, () => console.log(`listening on port ${port}, counting in ${file}`));
// As process 1 of a container nothing is stopped by a signal without a handler for it.
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
