// amqplib: opening, sharing and losing connections and channels.
'use strict';

const net = require('node:net');

const { assert, fresh, pause, scenario, settings, until } = require('./scenarios');
const {
  amqp, closesChannel, connect, get, Inbox, open, privateQueue, publish, waitDepth, withChannel,
} = require('./client');

scenario('many_channels', '500 channels on one connection, opened at once, each with its queue and consumer.',
  async () => {
    const connection = await connect();
    const channels = await Promise.all(Array.from({ length: 500 }, () => open(connection)));
    await Promise.all(channels.map(async (ch, n) => {
      const queue = await privateQueue(ch);
      const inbox = await Inbox.open(ch, queue);
      publish(ch, queue, [`for channel ${n}`]);
      assert.deepEqual(await inbox.wait(1), [`for channel ${n}`]);
      ch.ack(inbox.items[0]);
      await ch.close();
    }));
    await privateQueue(await open(connection));
    await connection.close();
    assert.deepEqual(connection.errors, []);
  });

scenario('channel_number_again', 'The number of a channel the broker closed can be used again.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    for (let n = 0; n < 20; n++) {
      await closesChannel(ch.owner, 404, "NOT_FOUND - no queue 'missing' in vhost '/'",
        (each) => each.checkQueue('missing'));
    }
    publish(ch, queue, ['m']);
    await waitDepth(ch, queue, 1);
  }));

scenario('many_connections', 'A hundred connections at once, all of them working.', async () => {
  const connections = await Promise.all(Array.from({ length: 100 }, () => connect()));
  const queue = fresh('shared');
  const first = await open(connections[0]);
  await first.assertQueue(queue, { durable: false });
  await Promise.all(connections.map(async (connection) => {
    const ch = await open(connection, 'createConfirmChannel');
    publish(ch, queue, ['m']);
    await ch.waitForConfirms();
  }));
  assert.equal((await first.deleteQueue(queue)).messageCount, 100);
  await Promise.all(connections.map((connection) => connection.close()));
});

scenario('heartbeat_idle', 'With a heartbeat of 2 s an idle client stays connected for 6 s.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    await pause(6000);
    publish(ch, queue, ['m']);
    await waitDepth(ch, queue, 1);
    assert.deepEqual(ch.owner.errors, []);
  }, { heartbeat: 2 }));

scenario('never_blocked_without_alarm', '30 MB in a hurry do not make the broker tell publishers to stop.', () =>
  withChannel(async (ch) => {
    let blocked = 0;
    ch.owner.on('blocked', () => { blocked += 1; });
    const queue = await privateQueue(ch);
    const inbox = await Inbox.open(ch, queue, { noAck: true });
    for (let n = 0; n < 300; n++) {
      if (!ch.sendToQueue(queue, Buffer.alloc(100_000))) await new Promise((go) => ch.once('drain', go));
    }
    await inbox.wait(300);
    assert.equal(blocked, 0);
  }));

scenario('wrong_password', 'A wrong password, or user, is refused with 403.', async () => {
  for (const more of [{ password: 'wrong' }, { username: 'nobody' }]) {
    await assert.rejects(amqp.connect({ protocol: 'amqp', ...settings, ...more }), (error) =>
      /403.*ACCESS[_-]REFUSED/.test(error.message) &&
      error.message.includes('Login was refused using authentication mechanism PLAIN'));
  }
});

scenario('missing_vhost', 'A vhost that does not exist is refused by connection.close.', async () => {
  // amqplib does not tell the reason: it was waiting for open-ok.
  await assert.rejects(amqp.connect({ protocol: 'amqp', ...settings, vhost: 'nope' }), /got <ConnectionClose/);
});

scenario('url', 'An amqp:// address with options in its query.', async () => {
  const { username, password, hostname, port } = settings;
  const connection = await amqp.connect(
    `amqp://${username}:${password}@${hostname}:${port}/%2F?heartbeat=10&frameMax=8192&channelMax=10`);
  await privateQueue(await open(connection));
  await connection.close();
});

scenario('update_secret', 'connection.update-secret is answered.', async () => {
  const connection = await connect();
  await connection.updateSecret(Buffer.from(settings.password), 'rotation');
  await privateQueue(await open(connection));
  await connection.close();
});

scenario('channels_fail_alone', 'A connection survives many channels failing at the same time.', () =>
  withChannel(async (ch) => {
    await Promise.all(Array.from({ length: 50 }, () =>
      closesChannel(ch.owner, 404, "NOT_FOUND - no exchange 'missing' in vhost '/'",
        (each) => each.publish('missing', '', Buffer.from('lost')))));
    await privateQueue(ch);
    assert.deepEqual(ch.owner.errors, []);
  }));

scenario('recovery', 'amqplib\'s own recovery: cut connections come back with what setup declares.', async () => {
  const sockets = new Set();
  const relay = net.createServer((near) => {
    const far = net.connect(settings.port, settings.hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise((ready) => relay.listen(0, '127.0.0.1', ready));
  const queue = fresh('recovery');
  const texts = [];
  const connection = await amqp.connect({ protocol: 'amqp', ...settings, hostname: '127.0.0.1', port: relay.address().port }, {
    recovery: {
      initialDelay: 50,
      maxDelay: 200,
      async setup(model) {
        const ch = await model.createChannel();
        await ch.assertQueue(queue, { durable: false });
        await ch.consume(queue, (message) => message && texts.push(message.content.toString()), { noAck: true });
      },
    },
  });
  connection.on('error', () => {});
  await withChannel(async (ch) => {
    for (const n of [1, 2, 3]) {
      const again = new Promise((resolve) => connection.once('connect', resolve));
      for (const socket of sockets) socket.destroy();
      sockets.clear();
      await again;
      publish(ch, queue, [`after cut ${n}`]);
      await until(() => texts.includes(`after cut ${n}`), `a delivery after cut ${n}`);
    }
    await ch.deleteQueue(queue);
  });
  await connection.close().catch(() => {});
  relay.close();
});

scenario('callback_api', 'The older interface with callbacks.', async () => {
  const callbacks = require('amqplib/callback_api');
  const { username, password, hostname, port } = settings;
  const text = await new Promise((resolve, reject) => {
    callbacks.connect(`amqp://${username}:${password}@${hostname}:${port}`, (failed, connection) => {
      if (failed) return reject(failed);
      connection.createChannel((error, ch) => {
        if (error) return reject(error);
        ch.assertQueue('', { exclusive: true }, (_error, { queue }) => {
          ch.consume(queue, (message) => {
            ch.ack(message);
            connection.close(() => resolve(message.content.toString()));
          });
          ch.sendToQueue(queue, Buffer.from('called back'));
        });
      });
    });
  });
  assert.equal(text, 'called back');
});

scenario('get_after_error', 'A get that fails rejects, and leaves the connection usable.', () =>
  withChannel(async (ch) => {
    const each = await open(ch.owner);
    await assert.rejects(get(each, fresh('missing')), (error) => error.code === 404);
    await privateQueue(ch);
  }));
