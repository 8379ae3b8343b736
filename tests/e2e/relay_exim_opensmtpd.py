#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Postern and Exim, Postern and OpenSMTPD, both from Debian's packages, send mail to each other, with and without TLS. The packages exclude each other and
Postfix: tests/e2e/fetch_mail_servers unpacks them beside it.

Debian 12's OpenSMTPD (6.8.0p2) was written for OpenSSL 1.1 and ends every handshake that it is asked for, whoever asks, with whatever key: so it takes mail in clear
text, behind a handshake that fails. One that can do it must."""
import ssl

from postern_testing import *

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
import peers

reasons = {"Exim": peers.exim_program()[1], "OpenSMTPD": peers.opensmtpd_program()[1]}
if not reasons["Exim"]:
    try:
        peers.pwd.getpwnam("Debian-exim")
    except KeyError:
        reasons["Exim"] = "Exim is left out: there is no user Debian-exim."
if all(reasons.values()):
    no_cases_here(" ".join(reasons.values()))
    sys.exit()

directory = tempfile.mkdtemp(prefix="postern-peers-")
atexit.register(shutil.rmtree, directory, True)


def certificate(name, user):
    path = os.path.join(directory, name + ".pem")
    with open(path, "w") as file:
        file.write(run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/stdout", "-out", "/dev/stdout",
                       "-days", "2", "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1").stdout)
    os.chmod(path, 0o600)
    shutil.chown(path, user)
    return path


def exim():
    pem = certificate("exim", "Debian-exim")
    smtp = "  driver = smtp\n  port = %d\n  allow_localhost\n" % postern_port
    route = "  driver = manualroute\n  route_list = * 127.0.0.1 byname\n  self = send\n"
    return pem, peers.Exim(directory, options="tls_advertise_hosts = *\ntls_certificate = %s\nacl_smtp_rcpt = all\n" % pem, acl="all:\n  require verify = recipient\n  accept\n",
                           routers="keep:\n  driver = accept\n  domains = exim.example\n  local_parts = user\n  transport = keep\n"
                                   "nobody:\n  driver = redirect\n  domains = exim.example\n  allow_fail\n  data = :fail: nobody of this name\n"
                                   "clear:\n" + route + "  local_parts = clear\n  transport = clear\nencrypted:\n" + route + "  transport = encrypted\n",
                           transports="keep:\n  driver = appendfile\n  directory = %(directory)s/mail/user\n  maildir_format\n  create_directory\n"
                                      "clear:\n" + smtp + "  hosts_avoid_tls = *\nencrypted:\n" + smtp + "  hosts_require_tls = *\n  tls_try_verify_hosts =\n  tls_verify_hosts =\n  tls_verify_certificates =\n")


def opensmtpd():
    pem = certificate("opensmtpd", "root")
    return pem, peers.OpenSmtpd(directory, options='pki mail cert "%s"\npki mail key "%s"' % (pem, pem), listen="tls pki mail", rules='action "clear" relay host "smtp+notls://127.0.0.1:%(port)d"\n'
                                      'action "encrypted" relay host "smtp+tls://127.0.0.1:%(port)d" tls no-verify\n'
                                      'match from any for domain "opensmtpd.example" rcpt-to "user@opensmtpd.example" action "keep"\n'
                                      'match from any for rcpt-to "clear@example.org" action "clear"\n'
                                      'match from any for domain "example.org" action "encrypted"' % {"port": postern_port})


def can_shake_hands(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Smtp(port) as session:
        session.hello()
        session.command("STARTTLS", 220)
        try:
            context.wrap_socket(session.socket).close()
            return True
        except (ssl.SSLError, OSError):
            return False


postern_port = free_port()
running = {}
for name, make in (("Exim", exim), ("OpenSMTPD", opensmtpd)):
    if not reasons[name]:
        running[name] = make()
encrypts = {name: can_shake_hands(server.port) for name, (_, server) in running.items()}
check(encrypts.get("Exim", True), "Exim can shake hands")
authorities = os.path.join(directory, "authorities.pem")
with open(authorities, "w") as file:
    for pem, _ in running.values():
        with open(pem) as one:
            file.write(one.read().split("-----END PRIVATE KEY-----")[-1])
os.chmod(authorities, 0o644)
OWN = certificate("postern", "root")
routes = []
for name, (pem, server) in running.items():
    routes += ["%s.example [127.0.0.1]:%d tls=%s" % (name.lower(), server.port, "verified" if encrypts[name] else "opportunistic")]
site = Site(domains=["example.org"], accounts={"carl@example.org": "carl's secret", "clear@example.org": "clear's secret"}, settings={
    "listeners": {"smtp": {"sockets": [{"port": postern_port, "address": "127.0.0.1"}]}},
    "tls": {"domains": [{"names": ["mail.example.org"], "certificates": [{"certificate": OWN, "key": OWN}]}]},
    "relay": {"authorities": authorities, "routes": routes}})
site.smtp = postern_port


def peer(name):
    if name not in running:
        raise Skip(reasons[name])
    return running[name][1]


def mailbox(name):
    return os.path.join(directory, name.lower(), "mail", "user", "new")


def at_peer(name, message_id):
    def look():
        for file in os.listdir(mailbox(name)) if os.path.isdir(mailbox(name)) else []:
            with open(os.path.join(mailbox(name), file), "rb") as text:
                if message_id.encode() in (found := text.read()):
                    return found
        return None
    return wait_until(look, 20 * slow_build(), "message %s at %s\n%s" % (message_id, name, "\n".join(site.log().splitlines()[-10:])))


NAMES = [("Exim", "Exim"), ("OpenSMTPD", "OpenSMTPD")]


@cases_of(NAMES)
def takes_a_message(name):
    peer(name)
    to = "user@%s.example" % name.lower()
    contains(at_peer(name, deliver(site, to, sender="carl@example.org", body=".a dot\r\n" + "line\r\n" * 20000)).replace(b"\r\n", b"\n"), b"\n.a dot\nline\n")
    contains(site.wait_for_log("relayed", to)[0], "verified" if encrypts[name] else "tls=none")
    equal(bool(site.log_lines("relay-tls-failed", ":%d" % running[name][1].port)), not encrypts[name], "a handshake that failed")


@cases_of(NAMES)
def refuses_and_the_sender_hears_of_it(name):
    peer(name)
    to = "nobody@%s.example" % name.lower()
    deliver(site, to, sender="carl@example.org")
    wait_until(lambda: any(b"Action: failed" in text and to.encode() in text for text in site.messages("carl@example.org")), 20 * slow_build(), "the notice")


@cases_of([("%s to %s" % (name, to), name, to) for name, _ in NAMES for to in ("carl", "clear")])
def a_message_from_it_arrives(name, to):
    message_id = new_id()
    with Smtp(peer(name).port) as session:
        session.hello()
        session.begin("user@%s.example" % name.lower(), to + "@example.org")
        session.data(message(message_id, to=to + "@example.org"))
        session.quit()
    received = site.find_message(to + "@example.org", message_id, seconds=20).split(b"\nReceived:")[1]
    check((b"ESMTPS" in received) == (to == "carl"), "TLS or none in %r" % received)


@case
def in_clear_text_it_takes_one_too():
    site.write_configuration({"relay": {"routes": [re.sub("tls=.*", "tls=off", route) for route in routes]}})
    site.server.reload()
    for name in running:
        to = "user@%s.example" % name.lower()
        at_peer(name, deliver(site, to, sender="carl@example.org"))
        contains(site.wait_for_log("relayed", to, "tls=none")[0], "tls=none")


with site.running():
    try:
        run_cases()
    finally:
        for _, server in running.values():
            server.stop()
