"""A broker of a scenario's own, for what needs another configuration. Knows no AMQP library."""

import contextlib
import os
import shutil
import subprocess
import tempfile

from scenarios import Skip, wait_for

DEFINITIONS = """{"users": [{"name": "guest", "password": "guest", "tags": "administrator"},
                            {"name": "ann", "password_hash": "", "tags": ""}],
 "vhosts": [{"name": "/"}],
 "permissions": [{"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
                 {"user": "ann", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]}"""

TLS_CONFIGURATION = """listeners.tcp = none
listeners.ssl.default = 127.0.0.1:0
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
ssl_cert_login_from = common_name
load_definitions = {folder}/definitions.json
"""


@contextlib.contextmanager
def own_broker(configuration):
    """A broker with these lines of configuration: its AMQP port."""
    with tempfile.TemporaryDirectory() as folder:
        with _started(folder, configuration, "AMQP", "--amqp-addr", "127.0.0.1:0") as port:
            yield port


@contextlib.contextmanager
def tls_broker():
    """A broker that speaks TLS only: (folder with certificates, port)."""
    if os.environ.get("WARREN", "").endswith(".sh"):
        raise Skip("it is configured in another way")
    if not shutil.which("openssl"):
        raise Skip("there is no openssl")
    with tempfile.TemporaryDirectory() as folder:
        _make_certificates(folder)
        _write(folder, "definitions.json", DEFINITIONS)
        with _started(folder, TLS_CONFIGURATION.format(folder=folder), "AMQPS") as port:
            yield folder, port


@contextlib.contextmanager
def _started(folder, configuration, kind, *arguments):
    program = os.environ.get("WARREN")
    if not os.environ.get("BROKER_STATE") or not program or not os.access(program, os.X_OK):
        raise Skip("no broker can be started here")
    _write(folder, "warren.conf", configuration)
    banner = os.path.join(folder, "banner")
    command = [program, "--config", f"{folder}/warren.conf", "--data-dir", f"{folder}/data", *arguments,
               "--management-addr", "off", "--prometheus-addr", "off"]
    with open(banner, "w", encoding="utf-8") as stdout, open(f"{folder}/log", "w", encoding="utf-8") as stderr:
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, stdin=subprocess.DEVNULL)
    try:
        yield wait_for(lambda: _port(process, banner, kind), "the broker", 60)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _port(process, banner, kind):
    """The port of that kind which the banner names, once it does."""
    assert process.poll() is None, "the broker ended"
    with open(banner, encoding="utf-8") as lines:
        for line in lines:
            words = line.split()
            if words[:1] == [kind]:
                return int(words[1].rsplit(":", 1)[1])
    return None


def _write(folder, file, text):
    with open(os.path.join(folder, file), "w", encoding="utf-8") as out:
        out.write(text)


def _openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def _make_certificates(folder):
    """An authority, a certificate for localhost and one for the client ann."""
    key = ["-newkey", "rsa:2048", "-nodes"]
    _openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Authority",
             "-days", "2", "-addext", "keyUsage=critical,keyCertSign")
    _write(folder, "server.ext", "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    _write(folder, "ann.ext", "extendedKeyUsage=clientAuth\n")
    for who, subject in (("server", "/CN=localhost"), ("ann", "/CN=ann")):
        _openssl(folder, "req", *key, "-keyout", f"{who}.key", "-out", f"{who}.csr", "-subj", subject)
        _openssl(folder, "x509", "-req", "-in", f"{who}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                 "-out", f"{who}.pem", "-days", "2", "-extfile", f"{who}.ext")
