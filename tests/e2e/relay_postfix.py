#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Postern and Postfix from Debian's package send mail to each other, with and without TLS."""
from postern_testing import *

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
import peers

if peers.why_no_postfix():
    no_cases_here(peers.why_no_postfix())
    sys.exit()

directory = tempfile.mkdtemp(prefix="postern-postfix-")
atexit.register(shutil.rmtree, directory, True)
PEM = os.path.join(directory, "tls.pem")
with open(PEM, "w") as file:
    file.write(run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "/dev/stdout", "-out", "/dev/stdout",
                   "-days", "2", "-subj", "/CN=postfix", "-addext", "subjectAltName=IP:127.0.0.1").stdout)
os.chmod(PEM, 0o644)
postern_port = free_port()
postfix = peers.Postfix(directory, accounts=["user@example.com"], settings={
    "relayhost": "[127.0.0.1]:%d" % postern_port, "smtpd_tls_security_level": "may", "smtpd_tls_chain_files": PEM})
site = Site(domains=["example.org"], accounts={"carl@example.org": "carl's secret"}, settings={
    "listeners": {"smtp": {"sockets": [{"port": postern_port, "address": "127.0.0.1"}]}},
    "relay": {"authorities": PEM, "routes": ["example.com [127.0.0.1]:%d tls=verified" % postfix.port, "clear.example [127.0.0.1]:%d tls=off" % postfix.port]}})
site.smtp = postern_port


def at_postfix(message_id):
    def look():
        texts = []
        for name in os.listdir(postfix.new("user@example.com")) if os.path.isdir(postfix.new("user@example.com")) else []:
            with open(os.path.join(postfix.new("user@example.com"), name), "rb") as file:
                texts.append(file.read())
        return [text for text in texts if message_id.encode() in text]
    return wait_until(look, 20 * slow_build(), "message %s in Postfix's mailbox\n%s" % (message_id, "\n".join(site.log().splitlines()[-10:])))[0]


@case
def postfix_takes_a_message_by_verified_tls():
    text = at_postfix(deliver(site, "user@example.com", sender="carl@example.org", body=".a dot\r\n"))
    contains(text, b"\n.a dot\n")
    contains(site.wait_for_log("relayed", "user@example.com")[0], "verified")


@case
def postfix_refuses_and_the_sender_hears_of_it():
    deliver(site, "nobody@example.com", sender="carl@example.org")
    contains(site.wait_for_messages("carl@example.org", 1)[0], b"Action: failed")


@case
def a_message_from_postfix_arrives():
    message_id = new_id()
    with Smtp(postfix.port) as session:
        session.hello()
        session.begin("user@example.com", "carl@example.org")
        session.data(message(message_id, to="carl@example.org", sender="user@example.com"))
        session.quit()
    site.find_message("carl@example.org", message_id, seconds=20)


with site.running():
    try:
        run_cases()
    finally:
        postfix.stop()
