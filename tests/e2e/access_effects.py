#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What flags of access tables do to a message, down to the mailbox; FORWARD, REVERSE, LOGIN_ACCESS; mail on hold; catch-all and postmaster."""
from postern_testing import *

TABLES = MAPPINGS + """
FROM_ACCESS

  *|replaced@sender.example|*    $Jnew@example.net$Y
  *|named@sender.example|*       $K$Jvia@example.net|own@example.com$Y
  *|small@sender.example|*       $S900$Y
  *|held@sender.example|*        $H$!$G$,scan,deep|2.5$Y
  *|bin@sender.example|*         $B$Y
  *|note@sender.example|*        $<$U3|seen$ you$Y
  *                              $Y

SEND_ACCESS

  *|marked@sender.example|*|*              $AX-Seen:$ by$ a$ table$Y
  *|discarded@sender.example|*|*           $V$Y
  *|jettisoned@sender.example|*|*          $Z$Y
  *|parted@sender.example|*|bert@*         $B$Y

ORIG_MAIL_ACCESS

  *|*|anna@example.com|old@elsewhere.example  $C$:Snotice$ wanted$N$E
  *|anna@example.com|old@elsewhere.example    $Nno$ notice$ wanted

FORWARD

  gone@example.com     anna@example.com$Y

REVERSE

  *@inner.example.com   $C$:B$0@example.com$Y$E

LOGIN_ACCESS

  pop3|127.0.0.9|*      $N$>refused$ login|not$ from$ there
  *                     $Y
"""
ALIASES = """\
@example.org: carl@example.org
moving: moving@held.example
"""
site = Site(mappings=TABLES, settings={
    "access_orcpt": True, "spool": {"large_message_bytes": 65536}, "pop3": {"failure_delay": 0},
    "secure_login": {"except_from": "127.0.0.0/8"},
    "channels": ["tcp_internal smtp mx allowswitchchannel maysaslserver authrewrite"],
    "rewrite": ["[]  $E$R${INTERNAL_IP,$L}$U%[$L]@tcp_internal-daemon", "held.example  $U%$D@hold-daemon", ".  $U%$H$D@tcp_local-daemon"]})
with open(os.path.join(site.etc, "aliases"), "w") as file:
    file.write(ALIASES)
site.compile()
site.ctl("account", "filter", "bert@example.com", "-", input="keep;\n")


def send(sender, *recipients, author="sender@sender.example", **options):
    message_id = new_id()
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin(sender, *recipients)
        session.data(message(message_id, sender=author, **options))
        session.quit()
    return message_id


def header(text):
    return text.split(b"\n\n")[0].decode() + "\n"


def held():
    return site.ctl_json("queue", "held", "list")


def nothing_of(message_id, *accounts):
    for account in accounts:
        check(all(message_id.encode() not in text for text in site.messages(account)), "%s got it" % account)


@case
def a_header_line_is_added_and_the_sender_replaced():
    contains(header(site.find_message("anna@example.com", send("marked@sender.example", "anna@example.com"))), "\nX-Seen: by a table\n")
    check(header(site.find_message("anna@example.com", send("replaced@sender.example", "anna@example.com"))).startswith("Return-Path: <new@example.net>\n"), "Return-Path")


@case
def the_sender_field_is_set_where_the_channel_has_authrewrite():
    text = header(site.find_message("anna@example.com", send("named@sender.example", "anna@example.com", extra="Sender: forged@example.net\r\n")))
    contains(text, "\nSender: own@example.com\n")
    contains(text, "Return-Path: <via@example.net>")
    check("forged" not in text, "the forged field is gone")
    message_id = deliver(site, source="127.0.0.5", sender="named@sender.example", extra="Sender: kept@example.net\r\n")
    contains(header(site.find_message("anna@example.com", message_id)), "\nSender: kept@example.net\n")


@case
def addresses_of_the_header_are_reversed_in_small_and_large_messages():
    for body in ("Hello.\r\n", ("x" * 70 + "\r\n") * 1000):
        text = header(site.find_message("anna@example.com", send("a@sender.example", "anna@example.com", author="anna@inner.example.com", body=body,
                                                               extra="Reply-To: \"bert@inner.example.com\"\r\n <bert@inner.example.com>\r\n")))
        contains(text, "From: <anna@example.com>")
        contains(text, "\"bert@inner.example.com\"\n <bert@example.com>")


@case
def an_address_that_has_not_come_whole_is_not_reversed():
    message_id = new_id()
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin("a@sender.example", "anna@example.com")
        session.command("DATA", 354)
        # The limit of what is held in memory, 65,536 bytes with our own fields, is passed by the piece that ends within an address.
        first = "Message-ID: <%s>\r\nTo: u@inner.example.com\r\n" % message_id + ("X-Filler: %s\r\n" % ("x" * 888)) * 72
        session.send(first + "X-Rest: %s\r\n" % ("x" * (64900 - len(first))))
        time.sleep(0.3)
        session.send("X-Filler: %s\r\nCc: v@inner.example.com" % ("x" * 900))
        time.sleep(0.3)
        session.send(".elsewhere.example\r\n\r\nbody\r\n.\r\n")
        equal(session.reply()[0], 250)
    text = header(site.find_message("anna@example.com", message_id))
    contains(text, "\nTo: u@example.com\n")
    contains(text, "\nCc: v@inner.example.com.elsewhere.example\n")


@case
def a_size_limit_holds_for_this_sender():
    with Smtp(site.smtp) as session:
        session.hello()
        session.command("MAIL FROM:<small@sender.example> SIZE=1000", 552)
        session.begin("small@sender.example", "anna@example.com")
        session.data(message(body="x" * 70 + "\r\n") * 10, 552)
        session.begin("a@sender.example", "anna@example.com")
        session.data(message(body=("x" * 70 + "\r\n") * 20))


@case
def thrown_away_discarded_and_jettisoned():
    # bert's filter keeps everything; that overrides a discard, not a jettison (access-control.md 2.6).
    binned = send("bin@sender.example", "anna@example.com", "bert@example.com")
    parted = send("parted@sender.example", "anna@example.com", "bert@example.com")
    discarded = send("discarded@sender.example", "anna@example.com", "bert@example.com")
    jettisoned = send("jettisoned@sender.example", "anna@example.com", "bert@example.com")
    last = send("a@sender.example", "anna@example.com", "bert@example.com")
    for account in ("anna@example.com", "bert@example.com"):
        site.find_message(account, last)
    site.find_message("anna@example.com", parted)
    site.find_message("bert@example.com", discarded)
    nothing_of(parted, "bert@example.com")
    nothing_of(discarded, "anna@example.com")
    for message_id in (binned, jettisoned):
        nothing_of(message_id, "anna@example.com", "bert@example.com")


@case
def a_held_message_survives_a_restart_and_is_delivered_once_it_is_let_go():
    message_id = send("held@sender.example", "anna@example.com", "bert@example.com", subject="hold me")
    other = send("held@sender.example", "anna@example.com")
    wait_until(lambda: len(held()) == 2, 10 * slow_build(), "two held messages")
    site.server.stop()
    site.start()
    entry = [one for one in held() if one["subject"] == "hold me"][0]
    equal((entry["sender"], entry["recipients"]), ("held@sender.example", ["anna@example.com", "bert@example.com"]), "who")
    equal((entry["conversion_tags"], entry["spam_adjustments"], entry["no_vacation"]), (["scan", "deep"], ["2.5"], True), "what tables attached")
    contains(entry["held_by"], "FROM_ACCESS %s:" % site.mappings_file)
    contains(site.ctl("queue", "held", "list").stdout, entry["id"])
    contains(site.ctl("queue", "held", "show", entry["id"]).stdout, "hold me")
    contains(site.ctl("queue", "held", "show", "--message", entry["id"]).stdout, message_id)
    nothing_of(message_id, "anna@example.com", "bert@example.com")
    site.ctl("queue", "held", "release", entry["id"])
    for account in ("anna@example.com", "bert@example.com"):
        site.find_message(account, message_id, seconds=15)
    left = held()
    equal(len(left), 1, "held messages")
    site.ctl("queue", "held", "remove", left[0]["id"])
    equal(held(), [], "held messages")
    nothing_of(other, "anna@example.com")
    site.ctl("queue", "held", "release", left[0]["id"], expect=1)
    for arguments in (["queue", "held"], ["queue", "held", "show"], ["queue", "held", "release", "x", "--damaged"]):
        site.ctl(*arguments, expect=2)


@case
def mail_of_somebody_on_hold_waits_alone():
    site.add_account("moving@example.com", "a secret")
    message_id = send("a@sender.example", "moving@example.com", "anna@example.com")
    site.find_message("anna@example.com", message_id)
    entry = wait_until(held, 10 * slow_build(), "a held message")[0]
    equal((entry["held_by"], entry["recipients"]), ("channel hold", ["moving@held.example"]), "who is on hold")
    with open(os.path.join(site.etc, "aliases"), "w") as file:
        file.write(ALIASES.replace("moving: moving@held.example\n", ""))
    site.compile()
    site.server.reload()
    site.ctl("queue", "held", "release", entry["id"])
    site.find_message("moving@example.com", message_id, seconds=15)
    equal(held(), [], "held messages")


@case
def forward_catch_all_and_postmaster():
    for given, gets in (("gone@example.com", "anna@example.com"), ("whoever@example.org", "carl@example.org"), ("postmaster@example.org", "carl@example.org"),
                        ("abuse@example.org", "carl@example.org"), ("Abuse@example.com", "postmaster@example.com")):
        site.find_message(gets, deliver(site, given))


@case
def orcpt_and_notify_reach_the_tables():
    with Smtp(site.smtp) as session:
        session.hello()
        session.command("MAIL FROM:<a@sender.example> RET=HDRS ENVID=x", 250)
        equal(session.command("RCPT TO:<anna@example.com> ORCPT=rfc822;old@elsewhere.example"), (550, ["5.7.1 no notice wanted: anna@example.com"]))
        equal(session.command("RCPT TO:<anna@example.com> NOTIFY=SUCCESS ORCPT=rfc822;old@elsewhere.example"),
              (550, ["5.7.1 notice wanted: anna@example.com"]))
        session.command("RCPT TO:<anna@example.com> NOTIFY=NEVER ORCPT=rfc822;new@elsewhere.example", 250)


@case
def what_an_entry_notes_and_asks_for_is_logged():
    send("note@sender.example", "anna@example.com")
    contains(site.wait_for_log("access-note", "seen you")[0], "notice: ")
    # $U: what the other tables said of this transaction is logged, though debug lines are not written.
    contains(site.wait_for_log(" access ", "SEND_ACCESS", "note@sender.example")[0], "info: ")
    equal(site.log_lines(" access ", "marked@sender.example"), [], "lines of another transaction")


@case
def a_login_that_is_refused_looks_like_a_wrong_password():
    def answers(source, password):
        with Line(site.pop3, source) as line:
            line.line()
            line.send("USER anna@example.com\r\nPASS %s\r\n" % password)
            line.line()
            return line.line()
    equal(answers("127.0.0.1", site.accounts["anna@example.com"])[:3], "+OK")
    equal(answers("127.0.0.9", site.accounts["anna@example.com"]), answers("127.0.0.9", "wrong"))
    equal(len(site.wait_for_log("access-note", "refused login")), 1, "asked after the correct password only")
    contains(site.wait_for_log(": refused ", "LOGIN_ACCESS")[0], "pop3|127.0.0.9||USER|anna@example.com")


@case
def a_login_sends_in_its_own_name_by_the_shipped_tables():
    shipped = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf", "mappings")
    run(program("postern-compile"), "--config", site.etc, "--check", "--strict", expect=None)
    def refused(channel, sender, login):
        done = site.ctl("probe", "--mappings", shipped, "--table", "FROM_ACCESS",
                        "TCP|192.0.2.1|587|198.51.100.7|4000|SMTP/TLS_AES_128_GCM_SHA256/x|MAIL|%s|%s|%s" % (channel, sender, login), expect=None)
        return "flags: N" in done.stdout
    for channel in ("tcp_submit", "tcp_auth"):
        equal(refused(channel, "anna@example.com", "anna@example.com"), False)
        equal(refused(channel, "Anna@example.com", "anna@example.com"), False)
        equal(refused(channel, "", "anna@example.com"), False)
        equal(refused(channel, "bert@example.com", "anna@example.com"), True)
        equal(refused(channel, "anna@example.com.evil.example", "anna@example.com"), True)
        equal(refused(channel, "xanna@example.com", "anna@example.com"), True)
        equal(refused(channel, "anna@example.com", ""), True)
    for channel in ("tcp_local", "tcp_internal"):
        equal(refused(channel, "bert@example.com", ""), False)


with site.running():
    run_cases()
