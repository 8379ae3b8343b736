#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who sent a message: what comes from outside is checked by SPF, DKIM, DMARC and ARC, ours is signed, and what is forwarded gets a seal and a
sender of ours. Signatures are compared with those of another program (dkimpy) where that is installed. Clients of any address come through a
socket with PROXY headers."""
import base64

from dns_responder import Responder
from mail_sink import Sink
from postern_testing import *

# dkimpy looks for a package of the name of a test that lies here.
_here = sys.path.pop(0)
try:
    sys.path.append("/usr/lib/python3/dist-packages")
    import dkim
except ImportError:
    dkim = None
sys.path.insert(0, _here)

GOOD, BAD = "192.0.2.10", "192.0.2.66"
KEY = run("openssl", "genrsa", "2048").stdout
PUBLIC = "".join(run("openssl", "rsa", "-pubout", input=KEY).stdout.splitlines()[1:-1])
dns = Responder({
    ("sender.example", "TXT"): ["v=spf1 ip4:%s -all" % GOOD], ("sender.example", "MX"): ["10 mx.sender.example"],
    ("s1._domainkey.sender.example", "TXT"): ["v=DKIM1; k=rsa; p=" + PUBLIC],
    ("_dmarc.sender.example", "TXT"): ["v=DMARC1; p=reject"],
    ("careful.example", "TXT"): ["v=spf1 -all"], ("_dmarc.careful.example", "TXT"): ["v=DMARC1; p=quarantine"],
    ("silent.example", "TXT"): ["v=spf1 -all"],
    ("mx.sender.example", "TXT"): ["v=spf1 ip4:%s -all exp=why.sender.example" % GOOD], ("why.sender.example", "TXT"): ["%{i} is none of us"],
})
dns.behave("silent.example", "servfail")
dns.behave("_dmarc.silent.example", "servfail")
sink = Sink()
SMTP = free_port()
SECRET = os.path.join(tempfile.gettempdir(), "postern-srs-%d" % os.getpid())
with open(SECRET, "w") as file:
    file.write("a secret for the tests\n")
os.chmod(SECRET, 0o644)
atexit.register(os.unlink, SECRET)

MAPPINGS_WITH_SPF = MAPPINGS + """
FROM_ACCESS

  *|*|MAIL|*|*strict@*|*   $C$N$[postern:spf,fail,softfail]SPF$ says$ no$E
  *|*|MAIL|*|*why@*|*      $C$N$[postern:spf,explanation]$E
"""
site = Site(mappings=MAPPINGS_WITH_SPF, settings=merged(dns.settings(time_limit="1 s"), {
    "relay": {"routes": ["*  [127.0.0.1]:%d" % sink.port], "idle_time": "200 ms"},
    "authentication": {"dmarc_reject": "refuse", "dmarc_quarantine": "hold", "arc_domain": "example.com", "srs_domain": "example.com", "srs_secret_file": SECRET, "time": "3 s"},
    "filters": {"spam_field": "X-Spam-Score", "virus_field": "X-Scan"}}))
site.write_configuration({"listeners": {"smtp": {"sockets": [
    {"port": site.smtp, "address": "127.0.0.1"}, {"port": SMTP, "address": "127.0.0.1", "proxy": True, "trusted_proxies": "127.0.0.1"}]}}})


class From(Smtp):
    """A session that seems to come from `address`."""

    def __init__(self, address):
        super().__init__(SMTP, greeting=False)
        self.send("PROXY TCP4 %s 127.0.0.1 40000 25\r\n" % address)
        contains(self.line(), "220")
        self.hello("mx.sender.example")


def take(text, address=GOOD, sender="user@sender.example", recipient="anna@example.com", expect=250):
    with From(address) as session:
        session.begin(sender, recipient)
        answer = session.data(text, expect)
        session.quit()
        return answer


def signed(text, **more):
    text = text.encode() if isinstance(text, str) else text
    return dkim.sign(text, b"s1", b"sender.example", KEY.encode(), canonicalize=(b"relaxed", b"relaxed"), **more) + text


def results(message_id, account="anna@example.com"):
    """The Authentication-Results field at the top of the message, on one line."""
    text = site.find_message(account, message_id).decode()
    head = text.split("\n\n")[0].replace("\n\t", " ").replace("\n ", " ")
    fields = [line for line in head.split("\n") if line.startswith("Authentication-Results:")]
    equal(len(fields), 1, "fields of our name")
    return re.sub(" +", " ", fields[0])


def arrived(message_id):
    return wait_until(lambda: [message for message in list(sink.messages) if message_id.encode() in message.data], 10 * slow_build(),
                      "message %s at the sink\n%s" % (message_id, "\n".join(site.log().splitlines()[-15:])))[0]


def look_up(name, timeout=5):
    found = dns.records.get(name.decode().rstrip(".").lower(), {}).get("TXT")
    return found[0].encode() if found else None


def needs_dkimpy():
    if dkim is None:
        raise Skip("dkimpy (python3-dkim) is not installed")


@case
def what_nobody_signed_has_spf_at_least():
    message_id = new_id("sender.example")
    take(message(message_id, sender="user@sender.example"))
    found = results(message_id)
    contains(found, "spf=pass (ip4:192.0.2.10) smtp.mailfrom=user@sender.example;")
    contains(found, "dkim=none;")
    contains(found, "spf=pass (ip4:192.0.2.10) smtp.helo=mx.sender.example;")
    contains(found, "dmarc=pass (p=reject) header.from=sender.example;")
    contains(found, "arc=none")
    contains(site.wait_for_log("message-accepted", "client=" + GOOD)[0], "spf=pass dmarc=pass")


@case
def results_that_others_pretend_are_ours_are_taken_out():
    message_id = new_id("sender.example")
    host = site.settings["host_name"]
    take(message(message_id, sender="user@sender.example", extra="Authentication-Results: %s; dkim=pass\r\n  header.d=bank.example\r\nAuthentication-Results: other.example; spf=pass\r\n" % host))
    text = site.find_message("anna@example.com", message_id)
    check(b"bank.example" not in text, "the forged field is gone")
    contains(text, b"Authentication-Results: other.example; spf=pass\n")


@case
def scores_that_a_sender_gave_himself_are_taken_out():
    script = os.path.join(site.directory, "script")
    with open(script, "w") as file:
        file.write('require ["spamtest", "virustest", "relational", "comparator-i;ascii-numeric", "fileinto"];\n'
                   'if not virustest "0" { fileinto "Scanned"; } elsif spamtest :value "ge" :comparator "i;ascii-numeric" "9" { fileinto "Junk"; }')
    site.ctl("account", "filter", "bert@example.com", script)
    extra = "X-Spam-Score: 0.1\r\nReceived-By: somebody\r\nx-spam-score: 9.5\r\n\t(folded)\r\nX-Spam-Scores: 1\r\n"
    for field, local in ((extra, "Junk"), ("X-Scan: Clean\r\n", "Scanned")):
        given = new_id("sender.example")
        take(message(given, to="bert@example.com", sender="user@sender.example", extra=field), recipient="bert@example.com")
        text = site.find_message("bert@example.com", given)
        check(b"score:" not in text.lower() and b"(folded)" not in text and b"X-Scan" not in text, "the sender's own are gone: %r" % text)
        if field == extra:
            contains(text, b"Received-By: somebody\n")
            contains(text, b"X-Spam-Scores: 1\n")
        # A filter of ours, on this host or named as a client, is believed; of several fields the worst.
        site.find_message("bert@example.com", deliver(site, "bert@example.com", extra=field), local)
    site.ctl("account", "filter", "bert@example.com", "--none")


@case
def what_another_program_signed_is_verified():
    needs_dkimpy()
    for text, want in ((lambda text: text, "dkim=pass (2048-bit key) header.d=sender.example header.s=s1"), (lambda text: text.replace(b"Hello", b"Hallo"), "dkim=fail (the body was changed)")):
        message_id = new_id("sender.example")
        take(text(signed(message(message_id, sender="user@sender.example"))))
        contains(results(message_id), want)
    # DKIM alone will do.
    message_id = new_id("sender.example")
    take(signed(message(message_id, sender="user@sender.example")), address=BAD)
    contains(results(message_id), "spf=fail (-all)")
    contains(results(message_id), "dmarc=pass")


@case
def large_messages_too():
    needs_dkimpy()
    message_id = new_id("sender.example")
    take(signed(message(message_id, sender="user@sender.example", body="A line of text  with some blanks.\r\n" * 60000)))
    contains(results(message_id), "dkim=pass")


@case
def what_the_domain_wants_refused_is_refused():
    answer = take(message(sender="user@sender.example"), address=BAD, expect=550)
    contains(answer[1][0], "5.7.1 neither SPF nor DKIM speaks for sender.example, whose policy is reject")
    contains(site.wait_for_log("message-refused", "dmarc=fail")[0], "spf=fail")


@case
def also_behind_a_second_author():
    text = message(sender="user@sender.example").replace(b"From: <", b"From: <x@free.example>, <")
    contains(text, b"free.example")
    contains(take(text, address=BAD, sender="x@free.example", expect=550)[1][0], "policy is reject")


@case
def a_header_that_is_too_large_to_be_examined_is_refused():
    text = message(sender="user@sender.example", extra="".join("X-Much: %s\r\n" % ("x" * 900) for _ in range(1200)))
    contains(take(text, expect=552)[1][0], "5.3.4 the header is too large")


@case
def or_held():
    message_id = new_id("careful.example")
    take(message(message_id, sender="user@careful.example"), sender="user@careful.example")
    held = wait_until(lambda: site.ctl_json("queue", "held", "list"), 5, "a held message")
    contains(json.dumps(held), "DMARC of careful.example: quarantine")


@case
def a_silent_dns_refuses_nobody():
    message_id = new_id("silent.example")
    take(message(message_id, sender="user@silent.example"), sender="user@silent.example")
    contains(results(message_id), "spf=temperror")
    contains(results(message_id), "dmarc=temperror")


@case
def clients_of_this_machine_are_not_checked():
    message_id = deliver(site, source="127.0.0.2")
    check(b"Authentication-Results" not in site.find_message("anna@example.com", message_id), "no results")


@case
def tables_ask_for_spf():
    for address, want in ((BAD, 550), (GOOD, 250)):
        with From(address) as session:
            contains(session.command("MAIL FROM:<strict@sender.example>", want)[1][0], "SPF says no" if want == 550 else "")
        # And so does whoever explains it.
        told = site.ctl_json("access", "--client", address, "--server", "127.0.0.1:%d" % site.smtp, "--from", "strict@sender.example", "--ask", expect=None)
        equal(told["accepted"], want == 250, address)
    for sender, want in (("why@mx.sender.example", "the domain mx.sender.example explains: %s is none of us" % BAD),
                         ("why@sender.example", "the domain sender.example does not let this client send its mail")):
        with From(BAD) as session:
            contains(session.command("MAIL FROM:<%s>" % sender, 550)[1][0], want)
    with From(GOOD) as session:
        session.command("MAIL FROM:<why@sender.example>", 250)


@case
def filters_ask_for_results():
    script = os.path.join(tempfile.gettempdir(), "postern-sender-%d.sieve" % os.getpid())
    with open(script, "w") as file:
        file.write('require ["environment", "fileinto", "mailbox"];\n'
                   'if allof (environment :is "vnd.postern.spf" "pass", environment :is "vnd.postern.dmarc-domain" "sender.example", environment :is "vnd.postern.dkim" "none",\n'
                   '  not environment :contains "vnd.postern.authenticated" "") { fileinto :create "known"; }\n')
    site.ctl("account", "filter", "anna@example.com", script)
    os.unlink(script)
    message_id = new_id("sender.example")
    take(message(message_id, sender="user@sender.example"))
    site.find_message("anna@example.com", message_id, folder="known")
    site.ctl("account", "filter", "anna@example.com", "--none")


@case
def ours_is_signed_with_all_keys_of_the_domain():
    for algorithm in ("rsa", "ed25519"):
        made = site.ctl_json("dkim", "make", "example.com", "--selector", algorithm, "--algorithm", algorithm)
        equal(made["record_name"], algorithm + "._domainkey.example.com")
        pieces = re.findall(r'"([^"]*)"', made["zone_line"])
        check(all(len(piece) <= 255 for piece in pieces) and "".join(pieces) == made["record_text"], "strings of at most 255 octets")
        dns.add(made["record_name"], "TXT", made["record_text"])
    contains(site.ctl("dkim", "make", "example.com", "--selector", "rsa", expect=1).stderr, "is there already")
    contains(site.ctl("dkim", "make", "nowhere.example", expect=1).stderr, "there is no domain nowhere.example")
    site.ctl("dkim", "make", "example.com", "--algorithm", "dsa", expect=2)
    contains(site.ctl("dkim", "list").stdout, "ed25519._domainkey.example.com")
    equal([key["selector"] for key in site.ctl_json("dkim", "list", "example.com")], ["rsa", "ed25519"])
    contains(site.ctl("dkim", "show", "example.com", "ed25519").stdout, "ed25519._domainkey.example.com. IN TXT ( \"v=DKIM1; k=ed25519; p=")
    message_id = new_id()
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin("anna@example.com", "x@remote.example")
        session.data(message(message_id, to="x@remote.example", sender="anna@example.com", body="A  line \r\n\r\n.dot\r\n\r\n"))
        session.quit()
    found = arrived(message_id)
    equal(found.data.count(b"DKIM-Signature:"), 2)
    check(found.sender.startswith("MAIL FROM:<anna@example.com>"), "the sender is ours and stays")
    needs_dkimpy()
    text = found.data.replace(b"\r\n..", b"\r\n.")
    for number in (0, 1):
        check(dkim.DKIM(text).verify(number, dnsfunc=look_up), "signature %d holds" % number)
        try:
            check(not dkim.DKIM(text.replace(b"A  line", b"Another line")).verify(number, dnsfunc=look_up), "and notices a change")
        except dkim.ValidationError as error:
            contains(str(error), "body hash mismatch")


def send_own(body, extra="", domain="example.com"):
    message_id = new_id()
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin("anna@" + domain, "x@remote.example")
        session.data(message(message_id, to="x@remote.example", sender="anna@" + domain, body=body, extra=extra))
        session.quit()
    return arrived(message_id)


def body_holds(data):
    """Whether bh= of the signature on top is the hash of the body (relaxed)."""
    header, body = data.split(b"\r\n\r\n", 1)
    text = b"".join(re.sub(rb"[ \t]+", b" ", re.sub(rb"^\.\.", b".", line)).rstrip() + b"\r\n" for line in body.split(b"\r\n")[:-1])
    text = re.sub(rb"(\r\n)+$", b"\r\n", text)
    said = re.search(rb"bh=([^;]*);", header).group(1)
    return re.sub(rb"\s", b"", said) == base64.b64encode(hashlib.sha256(text).digest())


@case
def what_is_signed_holds_for_a_host_without_8bitmime():
    site.ctl("domain", "add", "seven.example")
    site.ctl("account", "add", "anna@seven.example", "--password-file", "-", input="secret\n")
    site.ctl("dkim", "make", "seven.example", "--algorithm", "ed25519")
    offers = sink.offers
    try:
        # The same for both: who takes 8 bits may send it on to who does not.
        for sink.offers in (offers, ("PIPELINING",)):
            found = send_own("Gr\u00fc\u00dfe\r\n", "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", "seven.example")
            contains(found.data, b"Content-Transfer-Encoding: quoted-printable")
            contains(found.data, b"Gr=C3=BC=C3=9Fe")
            check(found.data.startswith(b"DKIM-Signature:") or b"\r\nDKIM-Signature:" in found.data, "it is signed")
            check(body_holds(found.data), "the signature is one of what arrived")
    finally:
        sink.offers = offers


@case
def a_key_signs_once_it_is_active():
    site.ctl("domain", "add", "keys.example")
    site.ctl("account", "add", "anna@keys.example", "--password-file", "-", input="secret\n")
    made = site.ctl_json("dkim", "make", "keys.example", "--selector", "first", "--algorithm", "ed25519", "--inactive")
    equal(made["signs"], False)
    check(b"DKIM-Signature" not in send_own("one\r\n", domain="keys.example").data, "it does not sign yet")
    site.ctl("dkim", "make", "keys.example", "--selector", "third", "--algorithm", "ed25519", "--inactive")
    contains(site.ctl("dkim", "activate", "keys.example", "third", expect=1).stderr, "third._domainkey.keys.example is not published yet")
    dns.add("first._domainkey.keys.example", "TXT", made["record_text"])
    dns.add("second._domainkey.keys.example", "TXT", made["record_text"])
    contains(site.ctl("dkim", "activate", "keys.example", "first").stdout, "mail of keys.example is signed with first from now on")
    equal(send_own("two\r\n", domain="keys.example").data.count(b"DKIM-Signature:"), 1)
    site.ctl("dkim", "make", "keys.example", "--selector", "second", "--algorithm", "ed25519", "--inactive")
    contains(site.ctl("dkim", "activate", "keys.example", "second", expect=1).stderr, "has another record")
    contains(site.ctl("dkim", "activate", "keys.example", "second", "--unpublished").stdout, "signed")
    equal(send_own("three\r\n", domain="keys.example").data.count(b"DKIM-Signature:"), 2)
    site.ctl("dkim", "deactivate", "keys.example", "first")
    contains(send_own("four\r\n", domain="keys.example").data, b"s=second")
    equal([(key["selector"], key["signs"]) for key in site.ctl_json("dkim", "list", "keys.example")], [("first", False), ("third", False), ("second", True)])
    # A dump brings it back as it was.
    dump = site.ctl("directory", "dump").stdout
    contains(dump, "key-signs no")
    site.ctl("dkim", "activate", "keys.example", "nosuch", expect=1)
    site.ctl("dkim", "deactivate", "keys.example", expect=2)


@case
def others_mail_is_not_signed():
    message_id = new_id()
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin("user@elsewhere.example", "x@remote.example")
        session.data(message(message_id, to="x@remote.example", sender="user@elsewhere.example"))
        session.quit()
    check(b"DKIM-Signature" not in arrived(message_id).data, "no signature")


def forwarded():
    site.ctl("alias", "add", "away@example.com", "someone@remote.example")
    message_id = new_id("sender.example")
    take(message(message_id, sender="user@sender.example", to="away@example.com"), recipient="away@example.com")
    return arrived(message_id)


@case
def what_is_forwarded_is_sealed_and_comes_back_to_its_sender():
    found = forwarded()
    check(b"DKIM-Signature" not in found.data, "it is not ours")
    contains(found.data, b"ARC-Authentication-Results: i=1; ")
    contains(found.data, b"spf=pass")
    sender = re.match("MAIL FROM:<(SRS0=[^>]*@example.com)>", found.sender)
    check(sender, "a sender of ours: " + found.sender)
    if dkim is not None:
        equal(dkim.arc_verify(found.data, dnsfunc=look_up)[0], b"pass")
    address = sender[1]
    hashed = address[5:15]
    for recipient, reverse, want in ((address.replace(hashed, "aaaaaaaaaa"), "", 550), (address, "user@sender.example", 550), (address.replace("sender.example", "other.example"), "", 550), (address, "", 250)):
        with From(BAD) as session:
            session.command("MAIL FROM:<%s>" % reverse, 250)
            session.command("RCPT TO:<%s>" % recipient, want)
    message_id = new_id("remote.example")
    with From(BAD) as session:
        session.begin("", address)
        session.data(message(message_id, sender="mailer-daemon@remote.example", to=address))
    back = arrived(message_id)
    equal(back.recipients, ["user@sender.example"])
    check(back.sender.startswith("MAIL FROM:<> "), back.sender)


@case
def a_key_that_is_removed_signs_no_more():
    site.ctl("dkim", "remove", "example.com", "rsa")
    site.ctl("dkim", "remove", "example.com", "ed25519")
    equal(site.ctl_json("dkim", "list", "example.com"), [])
    message_id = new_id()
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin("anna@example.com", "x@remote.example")
        session.data(message(message_id, to="x@remote.example", sender="anna@example.com"))
        session.quit()
    check(b"DKIM-Signature" not in arrived(message_id).data, "no signature")


with site.running():
    run_cases()
