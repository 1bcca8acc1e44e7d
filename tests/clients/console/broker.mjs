// A broker of the suite's own, with a management port: data in a temporary folder, removed at the end.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export async function startBroker() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'warren-console.'));
  const args = ['--data-dir', path.join(folder, 'data'), '--amqp-addr', '127.0.0.1:0', '--management-addr', '127.0.0.1:0', '--prometheus-addr', 'off', '--log-level', 'warning'];
  // While working on the console: its files from a folder instead of from the binary.
  if (process.env.CONSOLE_DIRECTORY) {
    const config = path.join(folder, 'warren.conf');
    fs.writeFileSync(config, `management.console_directory = ${process.env.CONSOLE_DIRECTORY}\n`);
    args.push('--config', config);
  }
  const child = spawn(process.env.WARREN, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  const url = await new Promise((resolve, reject) => {
    child.on('exit', (code) => reject(new Error(`the broker ended with ${code}: ${said}`)));
    child.stdout.on('data', (text) => {
      said += text;
      const found = said.match(/Management\s+(http:\/\/\S+)/);
      if (found) resolve(found[1].replace(/\/$/, ''));
    });
  });
  child.removeAllListeners('exit');
  const authorization = 'Basic ' + Buffer.from('guest:guest').toString('base64');
  return {
    url,
    async api(method, where, body) {
      const answer = await fetch(url + '/api' + where, { method, headers: { authorization, 'content-type': 'application/json' }, body: body && JSON.stringify(body) });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${method} ${where}: ${answer.status} ${text}`);
      return text ? JSON.parse(text) : null;
    },
    async stop() {
      const gone = new Promise((resolve) => child.on('exit', resolve));
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await gone;
      clearTimeout(late);
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}
