"""pika over TLS, against a broker of its own: certificates are made with openssl."""

import contextlib
import os
import shutil
import ssl
import subprocess
import tempfile

import pika

from scenarios import Skip, scenario, wait_for

from .client import drain, private_queue, publish

DEFINITIONS = """{"users": [{"name": "guest", "password": "guest", "tags": "administrator"},
                            {"name": "ann", "password_hash": "", "tags": ""}],
 "vhosts": [{"name": "/"}],
 "permissions": [{"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
                 {"user": "ann", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]}"""

CONFIGURATION = """listeners.tcp = none
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


def openssl(folder, *arguments):
    """Runs openssl in the folder."""
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_certificates(folder):
    """An authority, a certificate for localhost and one for the client ann."""
    key = ["-newkey", "rsa:2048", "-nodes"]
    openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Authority", "-days", "2",
            "-addext", "keyUsage=critical,keyCertSign")
    with open(os.path.join(folder, "server.ext"), "w", encoding="ascii") as extensions:
        extensions.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    with open(os.path.join(folder, "ann.ext"), "w", encoding="ascii") as extensions:
        extensions.write("extendedKeyUsage=clientAuth\n")
    for who, subject in (("server", "/CN=localhost"), ("ann", "/CN=ann")):
        openssl(folder, "req", *key, "-keyout", f"{who}.key", "-out", f"{who}.csr", "-subj", subject)
        openssl(folder, "x509", "-req", "-in", f"{who}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{who}.pem", "-days", "2", "-extfile", f"{who}.ext")


@contextlib.contextmanager
def tls_broker():
    """A broker that speaks TLS only: (folder with certificates, port)."""
    program = os.environ.get("WARREN")
    if not os.environ.get("BROKER_STATE") or not program or not os.access(program, os.X_OK):
        raise Skip("no broker can be started here")
    if program.endswith(".sh"):
        raise Skip("it is configured in another way")
    if not shutil.which("openssl"):
        raise Skip("there is no openssl")
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(folder)
        for file, text in (("definitions.json", DEFINITIONS), ("warren.conf", CONFIGURATION.format(folder=folder))):
            with open(os.path.join(folder, file), "w", encoding="utf-8") as out:
                out.write(text)
        banner = os.path.join(folder, "banner")
        command = [program, "--config", f"{folder}/warren.conf", "--data-dir", f"{folder}/data",
                   "--management-addr", "off", "--prometheus-addr", "off"]
        with open(banner, "w", encoding="utf-8") as stdout, open(f"{folder}/log", "w", encoding="utf-8") as stderr:
            process = subprocess.Popen(command, stdout=stdout, stderr=stderr, stdin=subprocess.DEVNULL)
        try:
            yield folder, wait_for(lambda: tls_port(process, banner), "the broker")
        finally:
            process.terminate()
            process.wait(timeout=30)


def tls_port(process, banner):
    """The port the banner names, once it does."""
    assert process.poll() is None, "the broker ended"
    with open(banner, encoding="utf-8") as lines:
        for line in lines:
            words = line.split()
            if words[:1] == ["AMQPS"]:
                return int(words[1].rsplit(":", 1)[1])
    return None


def connect(folder, port, identity=None, **more):
    """A connection that checks the broker's certificate, and shows its own if it has one."""
    context = ssl.create_default_context(cafile=os.path.join(folder, "ca.pem"))
    if identity:
        context.load_cert_chain(os.path.join(folder, f"{identity}.pem"), os.path.join(folder, f"{identity}.key"))
    options = pika.SSLOptions(context, "localhost")
    return pika.BlockingConnection(pika.ConnectionParameters(host="127.0.0.1", port=port, ssl_options=options, **more))


def round_trip(connection):
    """Messages go there and back, a large one too."""
    ch = connection.channel()
    queue = private_queue(ch)
    ch.confirm_delivery()
    big = "x" * 1_000_000
    publish(ch, queue, "small", big)
    assert drain(ch, queue) == ["small", big]
    connection.close()


@scenario(limit_s=60)
def tls_with_password_and_with_certificate():
    """PLAIN over TLS, and EXTERNAL: the client certificate says who it is."""
    with tls_broker() as (folder, port):
        round_trip(connect(folder, port))
        external = pika.credentials.ExternalCredentials()
        round_trip(connect(folder, port, "ann", credentials=external))
        # Without a certificate there is nobody.
        try:
            connect(folder, port, credentials=external)
        except pika.exceptions.AMQPConnectionError:
            pass
        else:
            raise AssertionError("somebody without a certificate was let in")
