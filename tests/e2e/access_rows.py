#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Access control at SMTP level: the checks SM1 to SM20 of access-control.md 11.3, by their names there.
"""
import base64

from postern_testing import *

INTERNAL = """\
INTERNAL_IP

  *   $C$[postern:client,$0]$Y$E
  *   $N

"""
RELAY = """\
ORIG_SEND_ACCESS

  tcp_local|*|tcp_local|*   $NRelaying$ not$ permitted
  tcp_*|*|ims-ms|*          $N

"""
STRANGER = "127.0.0.5"  # stands for 198.51.100.7: on no list
# The table that the rewriting rules ask for the client names the channel, so it can be seen from outside: strangers are refused by name.
FIRST = INTERNAL + RELAY + """\
PORT_ACCESS

  TCP|*|*|127.0.0.66|*   $N421$ no$ service$ for$ you
  TCP|*|*|127.0.0.67|*   $N
  *                      $YEXTERNAL

FROM_ACCESS

  TCP|*|*|*|*|SMTP*|MAIL|tcp_local|from-local@*|*      $X4.0.1|channel$ tcp_local$N
  TCP|*|*|*|*|SMTP*|MAIL|tcp_intranet|from-local@*|*   $X4.0.1|channel$ tcp_internal$N
  TCP|*|*|*|*|SMTP*|MAIL|tcp_auth|from-local@*|anna@example.com   $X4.0.1|channel$ tcp_auth$N
  *|bad@sender.example|*                               $NNot$ you
  *                                                    $Y

SEND_ACCESS

  *|*|tcp_local|second@elsewhere.example   $NNot$ after$ expansion
  *|slow@sender.example|*|*                $D$N500|Go$ away
  *|*|*|carl@example.org                   $X4.2.1|$NTry$ tomorrow

MAIL_ACCESS

  *|permitted@example.com                  $N
"""
ALIASES = """\
list@example.com: first@elsewhere.example
other@example.com: second@elsewhere.example
permitted@example.com: bert@example.com
"""
site = Site(mappings=FIRST, settings={"secure_login": {"except_from": [STRANGER]}})  # logins without TLS
with open(os.path.join(site.etc, "aliases"), "w") as file:
    file.write(ALIASES)
site.compile()


def tables(text):
    site.write_mappings(text)
    site.server.reload()


def log_in(session):
    session.command("AUTH PLAIN " + base64.b64encode(("\0anna@example.com\0" + site.accounts["anna@example.com"]).encode()).decode(), 235)


def answer(recipient, sender="a@sender.example", source=STRANGER, login=False):
    """The reply to RCPT as one text."""
    with Smtp(site.smtp, source) as session:
        session.hello()
        if login:
            log_in(session)
        session.command("MAIL FROM:<%s>" % sender, 250)
        code, texts = session.command("RCPT TO:<%s>" % recipient)
        return "%d %s" % (code, " ".join(texts))


@case
def sm1_port_access_sends_exactly_its_text():
    with Line(site.smtp, "127.0.0.66") as line:
        equal(line.rest(), b"421 no service for you\r\n")


@case
def sm2_port_access_without_text_sends_nothing():
    check(refused_silently(site.smtp, "127.0.0.67"), "zero bytes")


@case
def sm4_a_stranger_is_on_tcp_local_and_sm5_a_client_on_tcp_internal():
    for source, channel in ((STRANGER, "tcp_local"), ("127.0.0.1", "tcp_internal")):
        with Smtp(site.smtp, source) as session:
            session.hello()
            equal(session.command("MAIL FROM:<from-local@sender.example>"), (450, ["4.0.1 channel %s: from-local@sender.example" % channel]))


@case
def sm6_a_login_leads_to_tcp_auth():
    with Smtp(site.smtp, STRANGER) as session:
        session.hello()
        log_in(session)
        equal(session.command("MAIL FROM:<from-local@sender.example>"), (450, ["4.0.1 channel tcp_auth: from-local@sender.example"]))


@case
def sm7_a_stranger_may_not_relay():
    equal(answer("x@elsewhere.example"), "550 5.7.1 Relaying not permitted: x@elsewhere.example")


@case
def sm8_a_stranger_may_send_to_a_local_user():
    equal(answer("anna@example.com")[:3], "250")


@case
def sm9_a_local_list_may_lead_outside():
    equal(answer("list@example.com")[:3], "250")


@case
def sm10_send_access_sees_where_it_leads():
    equal(answer("other@example.com"), "550 5.7.1 Not after expansion: other@example.com")


@case
def sm11_a_client_may_send_outside():
    equal(answer("x@elsewhere.example", source="127.0.0.1")[:3], "250")


@case
def sm11_whoever_has_logged_in_may_send_outside():
    equal(answer("x@elsewhere.example", login=True)[:3], "250")


@case
def sm14_a_status_of_class_4_is_temporary():
    equal(answer("carl@example.org"), "450 4.2.1 Try tomorrow: carl@example.org")


@case
def sm15_after_a_refused_sender_there_is_no_transaction():
    with Smtp(site.smtp, STRANGER) as session:
        session.hello()
        equal(session.command("MAIL FROM:<bad@sender.example>"), (550, ["5.7.1 Not you: bad@sender.example"]))
        session.command("RCPT TO:<anna@example.com>", 503)


@case
def sm16_a_permit_does_not_switch_later_tables_off():
    equal(answer("permitted@example.com")[:3], "250")
    site.write_mappings(FIRST.replace("*|permitted@example.com ", "*|bert@example.com ").replace("ORIG_SEND_ACCESS\n\n", "ORIG_SEND_ACCESS\n\n  *|permitted@example.com   $Y\n"))
    site.server.reload()
    equal(answer("permitted@example.com"), "550 5.7.1 unknown host or domain: permitted@example.com")
    tables(FIRST)


@case
def sm17_one_refused_recipient_keeps_nobody_else_from_the_message():
    message_id = new_id()
    with Smtp(site.smtp, STRANGER) as session:
        session.hello()
        session.begin("a@sender.example")
        session.command("RCPT TO:<carl@example.org>", 450)
        session.command("RCPT TO:<anna@example.com>", 250)
        session.data(message(message_id))
        session.quit()
    site.find_message("anna@example.com", message_id)
    equal(site.messages("carl@example.org"), [], "messages of the one who was refused")


@case
def sm18_a_delay_holds_up_nobody_else():
    with Smtp(site.smtp, STRANGER) as slow, Smtp(site.smtp, STRANGER) as other:
        slow.hello()
        slow.begin("slow@sender.example")
        began = time.monotonic()
        slow.send("RCPT TO:<anna@example.com>\r\n")
        other.hello()
        other.begin("a@sender.example", "anna@example.com")
        other.data(message())
        check(time.monotonic() - began < 4.5, "the other session had to wait")
        equal(slow.reply(), (550, ["5.7.1 Go away: anna@example.com"]))
        check(time.monotonic() - began >= 5.0, "the reply came after %.2f s" % (time.monotonic() - began))
        # It goes on before each reply of the transaction, also to a command that can't be read. A look at a part of it is enough.
        slow.send("RCPT TO:<unfinished\r\n")
        slow.socket.settimeout(1)
        try:
            slow.reply()
        except TimeoutError:
            return
        raise AssertionError("the delay was for one reply only")


@case
def sm19_an_edited_text_changes_nothing_before_it_is_compiled():
    edited = FIRST.replace("*|*|*|carl@example.org ", "*|*|*|anna@example.com ")
    with Smtp(site.smtp, STRANGER) as session:
        session.hello()
        session.begin("a@sender.example")
        site.write_mappings(edited, compile=False)
        session.command("RCPT TO:<anna@example.com>", 250)
        site.compile()
        site.server.reload()
        # This transaction goes on by the tables of its MAIL, the next one by the new ones.
        session.command("RCPT TO:<anna@example.com>", 250)
        session.command("RSET", 250)
        session.begin("a@sender.example")
        session.command("RCPT TO:<anna@example.com>", 450)
        session.command("RCPT TO:<carl@example.org>", 250)
    tables(FIRST)


@case
def sm20_a_table_that_is_there_twice_is_no_table():
    path = os.path.join(site.etc, "tables.db")
    with open(path, "rb") as file:
        before = file.read()
    done = site.write_mappings(FIRST + "\nINTERNAL_IP\n\n  *  $Y\n", expect=2)
    contains(done.stdout + done.stderr, "E03")
    with open(path, "rb") as file:
        check(file.read() == before, "the compiled file is as it was")


@case
def sm3_without_port_access_everybody_is_greeted():
    tables(INTERNAL + "ORIG_SEND_ACCESS\n\n  *|*|*|*   $N\n")
    for source in ("127.0.0.66", "127.0.0.67", STRANGER):
        check(greeted(site.smtp, source), "greeting")


@case
def sm12_and_sm13_a_refusal_without_text():
    equal(answer("anna@example.com"), "550 5.7.1 unknown host or domain: anna@example.com")
    site.write_configuration({"access_errors": 1})
    site.server.reload()
    equal(answer("anna@example.com"), "550 5.7.1 you are not allowed to use this address: anna@example.com")


with site.running():
    run_cases()
