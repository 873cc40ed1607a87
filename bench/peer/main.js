// The yardstick: the mail sender a sensible engineer builds on BullMQ, nodemailer and PostgreSQL.
//
// One row per message, one job per row that names it by id. The worker reads the row, marks it sending, hands it over
// on a pooled connection, then records the outcome and an event in one transaction. With --lean the statements before
// the hand-over are one, and those after it too. Filling the table and the queue is not in the measured time. Prints
// {"messages","seconds","rate"}.
import { parseArgs } from 'node:util';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import nodemailer from 'nodemailer';
import pg from 'pg';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '10000' },
    concurrency: { type: 'string', default: '64' },
    connections: { type: 'string', default: '32' },
    seconds: { type: 'string', default: '300' },
    lean: { type: 'boolean', default: false },
  },
});
const messages = Number(values.messages);
const concurrency = Number(values.concurrency);
const connections = Number(values.connections);

const database = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: connections });
const smtp = nodemailer.createTransport({
  url: process.env.SMTP_URL,
  pool: true,
  maxConnections: connections,
  maxMessages: Infinity,
});
// BullMQ asks for this setting on the connection of a worker.
const redis = () => new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null });

async function fill(queue) {
  await database.query(`
    CREATE TABLE messages (
      id bigint PRIMARY KEY, recipient text NOT NULL, subject text NOT NULL, body text NOT NULL,
      state text NOT NULL DEFAULT 'scheduled', accepted_at timestamptz);
    CREATE TABLE events (
      id bigserial PRIMARY KEY, message bigint NOT NULL REFERENCES messages, kind text NOT NULL,
      at timestamptz NOT NULL DEFAULT now())`);
  await database.query(
    `INSERT INTO messages (id, recipient, subject, body)
     SELECT n, 'lead' || n || '@bench.example', 'Number ' || n, $2
     FROM generate_series(1, $1::int) AS n`,
    [messages, 'All work and no play makes a dull benchmark.\r\n'.repeat(14)],
  );
  for (let first = 1; first <= messages; first += 1000) {
    const ids = Array.from({ length: Math.min(1000, messages - first + 1) }, (_, index) => first + index);
    await queue.addBulk(
      ids.map((id) => ({ name: 'send', data: { id }, opts: { jobId: `message-${id}`, removeOnComplete: true } })),
    );
  }
}

async function send(id) {
  const message = await (values.lean ? claimLean(id) : claim(id));
  if (!message) return;
  await smtp.sendMail({
    messageId: `<${id}@bench.example>`,
    from: 'sender@bench.example',
    to: message.recipient,
    subject: message.subject,
    text: message.body,
  });
  await (values.lean ? recordLean(id) : record(id));
}

async function claim(id) {
  const { rows } = await database.query({
    name: 'read',
    text: 'SELECT recipient, subject, body FROM messages WHERE id = $1',
    values: [id],
  });
  const claimed = await database.query({
    name: 'claim',
    text: `UPDATE messages SET state = 'sending' WHERE id = $1 AND state = 'scheduled'`,
    values: [id],
  });
  return claimed.rowCount === 1 ? rows[0] : undefined;
}

async function claimLean(id) {
  const { rows } = await database.query({
    name: 'claim',
    text: `UPDATE messages SET state = 'sending' WHERE id = $1 AND state = 'scheduled'
           RETURNING recipient, subject, body`,
    values: [id],
  });
  return rows[0];
}

async function record(id) {
  const client = await database.connect();
  try {
    await client.query('BEGIN');
    await client.query({
      name: 'accept',
      text: `UPDATE messages SET state = 'accepted', accepted_at = now() WHERE id = $1`,
      values: [id],
    });
    await client.query({
      name: 'event',
      text: `INSERT INTO events (message, kind) VALUES ($1, 'message.accepted')`,
      values: [id],
    });
    await client.query('COMMIT');
  } finally {
    client.release();
  }
}

async function recordLean(id) {
  await database.query({
    name: 'record',
    text: `WITH accepted AS (
             UPDATE messages SET state = 'accepted', accepted_at = now() WHERE id = $1 RETURNING id)
           INSERT INTO events (message, kind) SELECT id, 'message.accepted' FROM accepted`,
    values: [id],
  });
}

async function work() {
  const worker = new Worker('mail', (job) => send(job.data.id), { connection: redis(), concurrency, autorun: false });
  await worker.waitUntilReady();
  const start = performance.now();
  await new Promise((resolve, reject) => {
    let done = 0;
    worker.on('completed', () => ++done === messages && resolve());
    worker.on('failed', (_, error) => reject(error));
    worker.on('error', reject);
    worker.run().catch(reject);
  });
  return (performance.now() - start) / 1000;
}

setTimeout(() => {
  console.error(`not done within ${values.seconds} seconds`);
  process.exit(1);
}, Number(values.seconds) * 1000);
await fill(new Queue('mail', { connection: redis() }));
const seconds = await work();
console.log(JSON.stringify({ messages, seconds: Number(seconds.toFixed(3)), rate: Math.round(messages / seconds) }));
process.exit(0);
