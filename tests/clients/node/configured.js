// amqplib against brokers of its own: alarms, acknowledgement timeouts, TLS.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const { assert, fresh, pause, scenario, until } = require('./scenarios');
const { amqp, connect, get, open, privateQueue, publish, waitDepth } = require('./client');
const { withBroker, withTlsBroker } = require('./own_broker');

scenario('blocked', 'During an alarm a publisher is told that it is blocked and why; what it goes on to send waits.', () =>
  withBroker('disk_free_limit.absolute = 1000000GB\n', async (port) => {
    const connection = await connect({ port });
    let reason;
    connection.on('blocked', (why) => { reason = why; });
    const ch = await open(connection, 'createConfirmChannel');
    const queue = await privateQueue(ch);
    publish(ch, queue, ['the first is what shows that it publishes']);
    assert.match(await until(() => reason, 'connection.blocked'), /low on disk/);
    let confirmed = false;
    ch.sendToQueue(queue, Buffer.from('waits'), {}, () => { confirmed = true; });
    // Who only consumes is not concerned.
    const other = await connect({ port });
    await privateQueue(await open(other));
    await other.close();
    await pause(300);
    assert(!confirmed);
    connection.connection.stream.destroy();
  }), 90);

scenario('consumer_timeout', 'A delivery that is not acknowledged in time closes its channel, and comes back.', () =>
  withBroker('consumer_timeout = 1500\n', async (port) => {
    const connection = await connect({ port });
    const [ch, other] = [await open(connection), await open(connection)];
    const queue = fresh('timeout');
    await ch.assertQueue(queue, { durable: false });
    publish(ch, queue, ['m']);
    await waitDepth(ch, queue, 1);
    await get(ch, queue);
    const error = await ch.failed;
    assert.equal(error.code, 406);
    assert.match(error.message, /PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out\. Timeout value used: 1500 ms/);
    await waitDepth(other, queue, 1);
    assert((await get(other, queue)).fields.redelivered);
    await connection.close();
  }), 120);

// Messages go there and back over TLS, a large one too.
async function roundTrip(folder, port, identity, options = {}) {
  const read = (file) => fs.readFileSync(path.join(folder, file));
  const own = identity ? { cert: read(`${identity}.pem`), key: read(`${identity}.key`) } : {};
  const connection = await amqp.connect({ protocol: 'amqps', hostname: 'localhost', port, username: 'guest', password: 'guest' },
    { ca: [read('ca.pem')], ...own, ...options });
  connection.on('error', () => {});
  const ch = await open(connection, 'createConfirmChannel');
  const queue = await privateQueue(ch);
  const big = Buffer.alloc(1_000_000, 'x');
  ch.sendToQueue(queue, Buffer.from('small'));
  ch.sendToQueue(queue, big);
  await ch.waitForConfirms();
  assert.equal((await get(ch, queue)).content.toString(), 'small');
  assert((await get(ch, queue)).content.equals(big));
  await connection.close();
}

scenario('tls', 'amqps with a password, and EXTERNAL: the client certificate says who it is.', () =>
  withTlsBroker(async (folder, port) => {
    await roundTrip(folder, port);
    const credentials = amqp.credentials.external();
    await roundTrip(folder, port, 'ann', { credentials });
    await assert.rejects(roundTrip(folder, port, null, { credentials }), 'somebody without a certificate was let in');
    // A broker whose authority is not trusted is refused by the client.
    await assert.rejects(amqp.connect(`amqps://localhost:${port}`), /certificate/);
  }), 60);
