// Connections, and the few things nearly every amqplib scenario does.
'use strict';

const amqp = require('amqplib');

const { assert, fresh, settings, until } = require('./scenarios');

// A new connection. Errors are kept in `.errors` instead of ending the process.
async function connect(more = {}, socketOptions = {}) {
  const connection = await amqp.connect({ protocol: 'amqp', ...settings, ...more }, socketOptions);
  connection.errors = [];
  connection.on('error', (error) => connection.errors.push(error));
  return connection;
}

// A channel whose `failed` is a promise of the error it was closed with.
async function open(connection, kind = 'createChannel') {
  const channel = await connection[kind]();
  channel.failed = new Promise((resolve) => channel.on('error', resolve));
  channel.owner = connection;
  return channel;
}

// Runs `work(channel)` with a channel on a connection of its own, and closes that.
async function withChannel(work, { kind, ...more } = {}) {
  const connection = await connect(more);
  const channel = await open(connection, kind);
  try {
    return await work(channel);
  } finally {
    // The channel first: closing the connection overtakes what the channel has not yet written.
    await channel.close().catch(() => {});
    await connection.close().catch(() => {});
  }
}

// Declares a server-named queue that goes with the connection; returns its name.
async function privateQueue(channel, args, more = {}) {
  return (await channel.assertQueue('', { exclusive: true, arguments: args, ...more })).queue;
}

// Declares an exchange that goes with its last binding; returns its name.
async function privateExchange(channel, kind, more = {}) {
  return (await channel.assertExchange(fresh(kind), kind, { durable: false, autoDelete: true, ...more })).exchange;
}

// Publishes texts to a queue through the default exchange.
function publish(channel, queue, texts, properties) {
  for (const text of texts) channel.sendToQueue(queue, Buffer.from(text), properties);
}

const depth = async (channel, queue) => (await channel.checkQueue(queue)).messageCount;

const waitDepth = (channel, queue, n) =>
  until(async () => (await depth(channel, queue)) === n, `${n} messages in ${queue}`);

// Takes one message; the queue must have one.
async function get(channel, queue, options) {
  const message = await channel.get(queue, options);
  assert(message, `${queue} is empty`);
  return message;
}

// Takes and acknowledges all the queue has; returns the texts in order.
async function drain(channel, queue) {
  const texts = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (!message) return texts;
    texts.push(message.content.toString());
  }
}

// A consumer that keeps what it is given in `items`; a cancel by the broker is kept as null.
class Inbox {
  static async open(channel, queue, options) {
    const inbox = new Inbox();
    inbox.items = [];
    inbox.tag = (await channel.consume(queue, (message) => inbox.items.push(message), options)).consumerTag;
    return inbox;
  }

  async wait(n) {
    await until(() => this.items.length >= n, `${n} deliveries`);
    return this.texts();
  }

  texts() {
    return this.items.map((message) => message.content.toString());
  }
}

// `work(channel)` on a new channel must make the broker close that channel for exactly this reason.
async function closesChannel(connection, code, text, work, kind) {
  const channel = await open(connection, kind);
  const answer = Promise.resolve(work(channel)).catch(() => {});
  const error = await Promise.race([channel.failed, answer.then(() => channel.failed)]);
  assert.equal(error.code, code, error.message);
  assert(error.message.includes(`"${text}"`), `${error.message} is not ${text}`);
}

// `work(channel)` must make the broker close the connection for exactly this reason.
async function closesConnection(code, text, work) {
  const connection = await connect();
  const failed = new Promise((resolve) => connection.on('error', resolve));
  const channel = await open(connection);
  Promise.resolve(work(channel)).catch(() => {});
  const error = await failed;
  assert.equal(error.code, code, error.message);
  assert(error.message.includes(`"${text}"`), `${error.message} is not ${text}`);
}

module.exports = {
  amqp, closesChannel, closesConnection, connect, depth, drain, get, Inbox, open, privateExchange, privateQueue,
  publish, waitDepth, withChannel,
};
