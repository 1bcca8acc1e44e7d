// amqplib: what is still there after the broker was stopped, or killed.
'use strict';

const { assert, broker, fresh, pause, scenario } = require('./scenarios');
const { connect, get, open, publish, waitDepth, withChannel } = require('./client');

async function restart(stop) {
  const [queue, exchange] = [fresh('restart'), fresh('restart')];
  const connection = await connect();
  const ch = await open(connection, 'createConfirmChannel');
  await ch.assertExchange(exchange, 'topic', { durable: true });
  await ch.assertQueue(queue, { durable: true, maxLength: 1000 });
  await ch.bindQueue(queue, exchange, 'a.#');
  for (let n = 0; n < 20; n++) {
    ch.publish(exchange, 'a.b', Buffer.from(String(n)), { persistent: true, headers: { n } });
  }
  publish(ch, queue, ['transient'], { persistent: false });
  await ch.waitForConfirms();
  const held = [];
  for (let n = 0; n < 5; n++) held.push(await get(ch, queue));
  ch.ack(held[2]);
  await waitDepth(ch, queue, 16);
  await pause(500);
  await broker(stop);
  await broker('start');
  await withChannel(async (again) => {
    await again.assertExchange(exchange, 'topic', { durable: true });
    await again.assertQueue(queue, { durable: true, maxLength: 1000 });
    await waitDepth(again, queue, 19);
    for (let n = 0; n < 20; n++) {
      if (n === 2) continue;
      const { content, fields, properties } = await get(again, queue, { noAck: true });
      assert.deepEqual([content.toString(), properties.headers], [String(n), { n }]);
      assert(fields.redelivered || n >= 5, `${n} was delivered before and is not marked`);
    }
    again.publish(exchange, 'a.x', Buffer.from('the bindings are back'));
    await waitDepth(again, queue, 1);
    await again.deleteQueue(queue);
    await again.deleteExchange(exchange);
  });
}

scenario('restart_after_sigterm', 'Durable definitions, persistent messages and their order survive a stop.',
  () => restart('stop'), 120);

scenario('restart_after_kill', 'The same when the broker is killed: what was confirmed is there.',
  () => restart('kill'), 120);

scenario('forced_close', 'On a stop the broker tells its clients: 320, shutdown.', async () => {
  const connection = await connect();
  const closed = new Promise((resolve) => connection.on('close', resolve));
  await open(connection);
  await broker('stop');
  const error = await closed;
  await broker('start');
  assert.equal(error.code, 320);
  assert.match(error.message, /CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'/);
}, 120);
