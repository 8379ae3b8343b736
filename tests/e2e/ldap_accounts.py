#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Accounts in an LDAP directory: a real slapd on loopback with 100 users, our schema, StartTLS and a name that may read. Delivery, aliases,
forwarding, groups, filters, the states of an account, logins by bind; a certificate that is not trusted, a server that dies and comes back."""
import base64
import poplib

from slapd import *

for name in ("slapd", "slapadd"):
    if not program(name, required=False):
        no_cases_here("%s is not installed" % name)


def entries_text():
    text = base_entries()
    text += entry("o=company,dc=example", ["organization", "domainRelatedObject"], o="company", associatedDomain=DOMAIN, description="The company", businessCategory=["scan", "no tag"])
    text += user("anna", mailAlternateAddress=[address("anna.other"), "@catchall.example"], mailQuota="10M", cn="Anna Example")
    text += user("bert", mailDeliveryOption="forward", mailForwardingAddress=address("anna"))
    text += user("carl", mailDeliveryOption=["forward", "mailbox"], mailForwardingAddress=address("anna"))
    text += user("inactive", mailUserStatus="inactive")
    text += user("held", mailUserStatus="hold")
    text += user("gone", mailUserStatus="deleted")
    text += user("sorted", mailSieveRuleSource=[
        "# $Rule Info: Order=2 Name=second\nkeep;\n", "# $Rule Info: Order=0 Name=off\ndiscard;\n",
        "# $Rule Info: Order=1 Name=first\nrequire \"fileinto\";\nif header :contains \"subject\" \"list\" { fileinto \"lists\"; stop; }\n"])
    text += user("strange", mailQuota="a lot")
    text += user("one", mail=address("twice"))
    text += user("two", mail=address("twice"))
    text += entry("uid=unix,ou=people,dc=example", ["account", "posixAccount", "shadowAccount"], cn="unix", shadowLastChange="20000", uidNumber="5000", gidNumber="5000", homeDirectory="/home/unix",
                  userPassword=ssha("password of unix"))
    text += entry("cn=team,ou=people,dc=example", ["groupOfUniqueNames", "mailGroup"], mail=address("team"), mgrpRFC822MailMember=address("user001"),
                  uniqueMember=["uid=user002,ou=people,dc=example", "uid=nobody,ou=people,dc=example"])
    for number in range(1, 101):
        text += user("user%03d" % number)
    return text + user("slow", userPassword=SLOW_HASH)


def slow_hash():
    """One, and the CPU time that it took."""
    began = time.process_time()
    made = crypted("password of slow", "$6$rounds=500000$saltsaltsalt")
    return made, time.process_time() - began


SLOW_HASH, SLOW_SECONDS = slow_hash()


slapd = Slapd(entries_text())
site = Site(domains=["example.com"], accounts={"anna@example.com": "anna's secret"}, mappings=MAPPINGS + """
FROM_ACCESS

  *|SMTP*|MAIL|*|attribute-*@ldap.example|   $C$N$}ldap.example,$3{$E
  *|SMTP*|MAIL|*|*@ldap.example|   $C$N$=$]ldap:///dc=example?cn?sub?(uid=$3)[$E
""")
site.write_configuration({
    "secure_login": {"except_from": "127.0.0.0/8"}, "quota": {"recheck_time": "1 h"}, "delivery": {"retry_first": "1 s", "retry_most": "1 s"},
    "smtp": {"failure_delay": 0}, "pop3": {"failure_delay": 0}, "gate": {"failed_logins": 0},
    "sasl": {"disabled_mechanisms": ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"]},
    "ldap": slapd.settings(servers=["ldap://127.0.0.1:%d" % free_port(), "ldap://127.0.0.1:%d" % slapd.port], domains=[DOMAIN, "catchall.example"],
                           domain_tag_attribute="businessCategory",
                           password_time_attribute="shadowLastChange", cache_time=1, negative_cache_time=1, connections=2, login_connections=2)})


def answer_to(recipient):
    with Smtp(site.smtp) as session:
        session.hello()
        session.command("MAIL FROM:<sender@sender.example>", 250)
        return session.command("RCPT TO:<%s>" % recipient)


def pop3_login(name, password=None):
    """The answer to PASS."""
    session = poplib.POP3("127.0.0.1", site.pop3, timeout=20 * slow_build())
    try:
        session.user(address(name))
        return session.pass_(password or "password of " + name).decode()
    except poplib.error_proto as error:
        return str(error)
    finally:
        session.close()


def auth(name, password):
    with Smtp(site.smtp) as session:
        session.hello()
        return session.command("AUTH PLAIN " + base64.b64encode(("\0%s\0%s" % (address(name), password)).encode()).decode())[0]


@case
def mail_goes_to_accounts_in_ldap_and_to_those_beside():
    site.find_message(address("anna"), deliver(site, address("Anna")))
    site.find_message(address("user100"), deliver(site, address("user100")))
    site.find_message(address("unix"), deliver(site, address("unix")))
    site.find_message("anna@example.com", deliver(site))


@case
def what_nobody_has_is_refused():
    code, texts = answer_to(address("nobody"))
    equal((code, texts[0][:5]), (550, "5.1.1"))
    equal(answer_to(address("gone"))[0], 550, "marked as deleted")
    # What would mean something in a filter is an ordinary character.
    for name in ("*", "a)(uid=*", "user0*", "anna)(objectClass=*"):
        equal(answer_to('"%s"@%s' % (name, DOMAIN))[0], 550, name)
    equal(answer_to("user001@example.com")[0], 550, "the embedded domain has its own accounts")


@case
def tables_find_text_in_the_directory():
    def sender(local_part):
        with Smtp(site.smtp) as session:
            session.hello()
            code, texts = session.command("MAIL FROM:<%s@ldap.example>" % local_part)
            return code, texts[0]
    code, text = sender("anna")
    equal(code, 550)
    contains(text, "Anna Example: anna@ldap.example")
    # Neither a wildcard nor what a URL makes of it.
    for local_part in ("nobody", "*", "ann%2a", '"anna)(objectClass=*"'):
        equal(sender(local_part)[0], 250, local_part)
    probe = "TCP|127.0.0.1|25|192.0.2.1|4000|SMTP/x|MAIL|tcp_local|anna@ldap.example|"
    equal(site.ctl_json("probe", "--ask", "--table", "FROM_ACCESS", probe)["output"], "Anna Example")


@case
def tables_find_attributes_of_domains():
    def value(name):
        with Smtp(site.smtp) as session:
            session.hello()
            return session.command("MAIL FROM:<attribute-%s@ldap.example>" % name)[1][0].split(": ")[0]
    # Without a filter nobody knows the entry.
    contains(value("description"), "2.1.0")
    equal(value("_base_dn_"), "5.7.1 dc=example")
    site.write_configuration({"ldap": {"domain_filter": "(associatedDomain=%d)"}})
    site.server.reload()
    wait_until(lambda: value("description") == "5.7.1 The company", 10 * slow_build(), "the new directory process answers")
    equal(value("_domain_dn_"), "5.7.1 o=company,dc=example")
    equal(value("_base_dn_"), "5.7.1 dc=example")
    for name in ("title", "userPassword"):
        contains(value(name), "2.1.0", name)
    shown = site.ctl_json("domain", "show", DOMAIN)["domain"]
    equal(shown["conversion_tags"], ["scan"])
    equal(shown["attributes"], {"_base_dn_": "dc=example", "_domain_dn_": "o=company,dc=example"})
    # With a filter, mail for other sites waits too while no server answers, which is not what the cases below are about.
    site.write_configuration({"ldap": {"domain_filter": ""}})
    site.server.reload()
    wait_until(lambda: "2.1.0" in value("description"), 10 * slow_build(), "the directory process before is gone")


@case
def aliases_forwarding_groups_and_catch_alls_lead_on():
    site.find_message(address("anna"), deliver(site, address("anna.other")))
    site.find_message(address("anna"), deliver(site, "anything@catchall.example"))
    site.find_message(address("anna"), deliver(site, address("bert")))
    equal(site.messages(address("bert")), [], "forwarded, not kept")
    both = deliver(site, address("carl"))
    site.find_message(address("anna"), both)
    site.find_message(address("carl"), both)
    all_of_them = deliver(site, address("team"))
    site.find_message(address("user001"), all_of_them)
    site.find_message(address("user002"), all_of_them)
    check(site.log_lines("ldap-member", "uid=nobody"), "a member that is not there is logged")


@case
def rules_in_several_values_are_one_filter():
    site.find_message(address("sorted"), deliver(site, address("sorted"), subject="a list"), folder="lists")
    site.find_message(address("sorted"), deliver(site, address("sorted")))


@case
def the_state_of_an_account_is_obeyed():
    code, texts = answer_to(address("inactive"))
    check(400 <= code < 500, "inactive: %r %r" % (code, texts))
    check("OK" not in pop3_login("inactive"), "an inactive account does not log in")
    check("OK" not in pop3_login("held"), "a held one neither")
    held = deliver(site, address("held"))
    equal(site.messages(address("held")), [])
    check(held, "and its mail is taken")
    # What can't be read or is not clear is not an absence.
    for name in ("strange", "twice"):
        code, texts = answer_to(address(name))
        check(400 <= code < 500, "%s: %r %r" % (name, code, texts))
    site.wait_for_log("ldap-answer", "mailQuota")
    site.wait_for_log("ldap-answer", "more than one entry")


@case
def logins_are_binds():
    check("OK" in pop3_login("user050"), "a right password")
    check("OK" in pop3_login("unix"), "of an account without mail")
    equal(auth("anna", "password of anna"), 235)
    for name, password in (("anna", "password of bert"), ("anna", "x"), ("nobody", "password of nobody"), ("team", "x")):
        equal(auth(name, password), 535, name)
    # A server says yes to a name without a password; we don't.
    equal(auth("anna", ""), 535)
    answers = {re.sub(r"[0-9]", "", pop3_login(name, "wrong")) for name in ("anna", "nobody", "inactive")}
    equal(len(answers), 1, "nobody learns who exists: %r" % answers)


@case
def a_change_is_seen_after_the_time_of_the_cache():
    equal(answer_to(address("newcomer"))[0], 550)
    slapd.administer("ldapadd", input=user("newcomer"))
    wait_until(lambda: answer_to(address("newcomer"))[0] == 250, 10 * slow_build(), "a new account is seen")
    slapd.administer("ldapdelete", "uid=newcomer,ou=people,dc=example")
    wait_until(lambda: answer_to(address("newcomer"))[0] == 550, 10 * slow_build(), "and that it is gone")


def changed(name, attribute, value):
    slapd.administer("ldapmodify", input="dn: uid=%s,ou=people,dc=example\nchangetype: modify\nreplace: %s\n%s: %s\n" % (name, attribute, attribute, value))


@case
def open_sessions_see_what_becomes_of_their_account():
    reader = poplib.POP3("127.0.0.1", site.pop3, timeout=20 * slow_build())
    reader.user(address("unix"))
    reader.pass_("password of unix")
    with Smtp(site.smtp) as sender:
        sender.hello()
        sender.command("AUTH PLAIN " + base64.b64encode(("\0%s\0password of user060" % address("user060")).encode()).decode(), 235)
        sender.command("MAIL FROM:<%s>" % address("user060"), 250)
        sender.command("RSET", 250)
        time.sleep(1.1)
        reader.stat()
        sender.command("MAIL FROM:<%s>" % address("user060"), 250)
        sender.command("RSET", 250)
        # A new password, and an account that an administrator has switched off.
        changed("unix", "shadowLastChange", "20001")
        changed("user060", "mailUserStatus", "inactive")
        time.sleep(1.1)
        try:
            reader.stat()
            check(False, "the session goes on")
        except poplib.error_proto as error:
            contains(str(error), "log in again")
        equal(sender.command("MAIL FROM:<%s>" % address("user060"))[0], 421)


@case
def a_full_mailbox_is_told_at_once():
    changed("user061", "mailQuota", "20K")
    time.sleep(1.1)
    body = ("x" * 70 + CRLF.decode()) * 200
    site.find_message(address("user061"), deliver(site, address("user061"), body=body))
    deliver(site, address("user061"), body=body)
    site.wait_for_log("mailbox-full", "account=" + address("user061"))
    # The line is written before the directory has told the others.
    answers = []
    wait_until(lambda: answers.append(answer_to(address("user061"))) or answers[-1][0] == 452, what="a refusal")
    equal(answers[-1][1][0][:34], "4.2.2 the mailbox is full, try aga")
    # Who removes makes room, at once, for what waits.
    reader = poplib.POP3("127.0.0.1", site.pop3, timeout=20 * slow_build())
    reader.user(address("user061"))
    reader.pass_("password of user061")
    reader.dele(1)
    reader.quit()
    equal(answer_to(address("user061"))[0], 250)
    site.wait_for_messages(address("user061"), 1)


@case
def while_no_server_answers_nothing_is_lost_or_refused_for_good():
    deliver(site, address("user003"))
    slapd.kill()
    time.sleep(1.1)  # what is remembered has gone by
    code, texts = answer_to(address("user003"))
    check(400 <= code < 500, "an account: %r %r" % (code, texts))
    code, texts = answer_to(address("nobody"))
    check(400 <= code < 500, "and nobody: %r %r" % (code, texts))
    equal(auth("anna", "password of anna"), 454)
    failed = site.wait_for_log("login-failed", "name=" + address("anna"), "reason=\"directory: ")[0]
    equal(failed.count("directory:"), 1, failed)
    site.find_message("anna@example.com", deliver(site))
    site.wait_for_log("ldap-server-down")
    slapd.start()
    wait_until(lambda: answer_to(address("user003"))[0] == 250, 10 * slow_build(), "it comes back by itself")
    site.find_message(address("user003"), deliver(site, address("user003")))
    wait_until(lambda: auth("anna", "password of anna") == 235, 10 * slow_build(), "logins too")


@case
def a_slow_hash_does_not_tell_who_exists():
    equal(auth("slow", "wrong"), 535)
    began = time.monotonic()
    equal(auth("nobody", "wrong"), 535)
    spent = time.monotonic() - began
    check(spent > SLOW_SECONDS / 2, "nobody was refused after %.3f s, and a hash takes %.3f s" % (spent, SLOW_SECONDS))
    equal(auth("slow", "password of slow"), 235)


@case
def administrators_hear_where_the_accounts_are():
    reason = "the accounts of ldap.example are in an LDAP directory"
    dump = "postern-directory 1\ndomain ldap.example\naccount new@ldap.example\n  password {MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==\n"
    for arguments, text in ((["directory", "load", "-"], dump), (["account", "add", address("new"), "--generate"], ""), (["account", "passwd", address("anna"), "--generate"], ""),
                            (["account", "change", address("anna"), "--hold"], ""), (["account", "list", DOMAIN], ""), (["account", "remove", address("anna")], ""),
                            (["alias", "add", address("other"), address("anna")], ""), (["account", "script", "list", address("anna")], "")):
        contains(site.ctl(*arguments, input=text, expect=1).stderr, reason, arguments)
    contains(site.ctl("directory", "load", "-", input=dump, expect=1).stderr, "standard input:3: account new@ldap.example: " + reason)
    contains(site.ctl("account", "show", address("anna")).stdout, "created          -\n")
    contains(site.ctl("account", "passwd", "nobody@example.com", expect=1).stderr, "there is no account nobody@example.com")


@case
def servers_are_asked_by_ldaps():
    site.write_configuration({"ldap": {"servers": ["ldaps://127.0.0.1:%d" % slapd.tls_port]}})
    site.server.reload()
    wait_until(lambda: answer_to(address("user004"))[0] == 250, 10 * slow_build(), "the new directory process answers")
    equal(auth("anna", "password of anna"), 235)


@case
def a_server_that_is_not_trusted_is_asked_nothing():
    not_trusted = "its certificate is not trusted: self-signed certificate (by %s)" % slapd.path("stranger.pem")
    for server, authorities, reason in (("ldaps://127.0.0.1:%d" % slapd.tls_port, "stranger.pem", not_trusted), ("ldaps://127.0.0.2:%d" % slapd.tls_port, "server.pem", "its certificate is not for 127.0.0.2"),
                                        ("ldap://127.0.0.1:%d" % slapd.port, "stranger.pem", not_trusted)):
        site.write_configuration({"ldap": {"authorities": slapd.path(authorities), "servers": [server]}})
        site.server.reload()
        wait_until(lambda: 400 <= answer_to(address("user004"))[0] < 500, 10 * slow_build(), "mail waits")
        # Without that, libldap says that the server can't be contacted.
        site.wait_for_log("ldap-server-down", "server=" + server, reason)
        equal(auth("anna", "password of anna"), 454)


@case
def a_check_of_the_configuration_reads_the_files():
    stranger = slapd.path("stranger.key")
    site.write_configuration({"ldap": {"password_file": "/nonexistent", "authorities": stranger, "base": "example.com", "bind_dn": "postern"}})
    output = run(program("posternd"), "-t", "--config", site.configuration, expect=None)
    for part in ("ldap.password_file: /nonexistent: ", "ldap.authorities: %s: " % stranger, "ldap.base: expected the name of an entry", "ldap.bind_dn: expected the name of an entry"):
        contains(output.stderr, part)
    site.write_configuration({"ldap": slapd.settings()})


slapd.start()
with site.running():
    run_cases()


@case
def without_a_server_administrators_hear_the_same():
    for arguments in (["account", "add", address("new"), "--generate"], ["account", "list", DOMAIN], ["directory", "load", "--check", "-"]):
        contains(site.ctl(*arguments, input="postern-directory 1\ndomain %s\nalias %s\n  member a@b.example\n" % (DOMAIN, address("new")), expect=1).stderr,
                 "the accounts of ldap.example are in an LDAP directory", arguments)


run_cases()
