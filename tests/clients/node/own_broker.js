// A broker of a scenario's own, for what needs another configuration. Knows no AMQP library.
'use strict';

const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { assert, Skip, until } = require('./scenarios');

const all = { vhost: '/', configure: '.*', write: '.*', read: '.*' };
const DEFINITIONS = JSON.stringify({
  users: [
    { name: 'guest', password: 'guest', tags: 'administrator' },
    { name: 'ann', password_hash: '', tags: '' },
  ],
  vhosts: [{ name: '/' }],
  permissions: [{ user: 'guest', ...all }, { user: 'ann', ...all }],
});

const tlsConfiguration = (folder) => `listeners.tcp = none
listeners.ssl.default = 127.0.0.1:0
ssl_options.cacertfile = ${folder}/ca.pem
ssl_options.certfile = ${folder}/server.pem
ssl_options.keyfile = ${folder}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
ssl_cert_login_from = common_name
load_definitions = ${folder}/definitions.json
`;

// Runs `work(port)` with a broker that has these lines of configuration.
const withBroker = (configuration, work) =>
  inFolder((folder) => started(folder, configuration, 'AMQP', ['--amqp-addr', '127.0.0.1:0'], work));

// Runs `work(folder of certificates, port)` with a broker that speaks TLS only.
function withTlsBroker(work) {
  if ((process.env.WARREN || '').endsWith('.sh')) throw new Skip('it is configured in another way');
  return inFolder((folder) => {
    makeCertificates(folder);
    fs.writeFileSync(path.join(folder, 'definitions.json'), DEFINITIONS);
    return started(folder, tlsConfiguration(folder), 'AMQPS', [], (port) => work(folder, port));
  });
}

async function inFolder(work) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'warren-own.'));
  try {
    return await work(folder);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function started(folder, configuration, kind, more, work) {
  const program = process.env.WARREN;
  if (!process.env.BROKER_STATE || !program) throw new Skip('no broker can be started here');
  fs.writeFileSync(path.join(folder, 'warren.conf'), configuration);
  const banner = path.join(folder, 'banner');
  const broker = spawn(program, [
    '--config', path.join(folder, 'warren.conf'), '--data-dir', path.join(folder, 'data'), ...more,
    '--management-addr', 'off', '--prometheus-addr', 'off',
  ], { stdio: ['ignore', fs.openSync(banner, 'w'), fs.openSync(path.join(folder, 'log'), 'w')] });
  const ended = new Promise((resolve) => broker.on('exit', resolve));
  try {
    const line = new RegExp(`^\\s*${kind}\\s+\\S*:(\\d+)`, 'm');
    const found = await until(() => {
      assert.equal(broker.exitCode, null, 'the broker ended');
      return line.exec(fs.readFileSync(banner, 'utf8'));
    }, 'the broker', 60);
    return await work(Number(found[1]));
  } finally {
    broker.kill();
    await ended;
  }
}

function openssl(folder, ...args) {
  try {
    execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  } catch (error) {
    if (error.code === 'ENOENT') throw new Skip('there is no openssl');
    throw error;
  }
}

// An authority, a certificate for localhost and one for the client ann.
function makeCertificates(folder) {
  const key = ['-newkey', 'rsa:2048', '-nodes'];
  openssl(folder, 'req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Authority',
    '-days', '2', '-addext', 'keyUsage=critical,keyCertSign');
  for (const [who, subject, extension] of [
    ['server', '/CN=localhost', 'subjectAltName=DNS:localhost,IP:127.0.0.1\n'],
    ['ann', '/CN=ann', 'extendedKeyUsage=clientAuth\n'],
  ]) {
    fs.writeFileSync(path.join(folder, `${who}.ext`), extension);
    openssl(folder, 'req', ...key, '-keyout', `${who}.key`, '-out', `${who}.csr`, '-subj', subject);
    openssl(folder, 'x509', '-req', '-in', `${who}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial',
      '-out', `${who}.pem`, '-days', '2', '-extfile', `${who}.ext`);
  }
}

module.exports = { withBroker, withTlsBroker };
