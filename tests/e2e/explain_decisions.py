#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""posternctl probe, match, access and rewrite: what they say, as text and as JSON, their exit statuses, and wrong usage."""
from postern_testing import *

TABLES = MAPPINGS + """
SEND_ACCESS

  *|*|ims-ms|bert@example.com   $H$AX-Seen:$ yes

LOGIN_ACCESS

  *|*|*|*|bert@example.com   $Nnot$ now
  $[a-zA-Z0-9.|@]*$H%$[a-zA-Z0-9.|@]*$H%$[a-zA-Z0-9.|@]*$H%$[a-zA-Z0-9.|@]*$H%$[a-zA-Z0-9.|@]*$H%$[a-zA-Z0-9.|@]*$T%*   $Y

RATE

  *   $C$[postern:throttle,t,$0]$Ntoo$ fast$E
  a*  yes$Y

DEEP

  x1  no
  x2  no
  *   $|RATE;a$0|$Y
"""
ALIASES = "both: anna@example.com, gone@example.com\nalone: gone@example.com\nsales@example.com: anna@example.com\n"
site = Site(mappings=MAPPINGS)
with open(os.path.join(site.etc, "aliases"), "w") as file:
    file.write(ALIASES)
site.write_mappings(TABLES)
NEW = os.path.join(site.directory, "mappings.new")
with open(NEW, "w") as file:
    file.write(TABLES.replace("$NRelaying$ not$ permitted", "$NNo$ way"))

RELAY = "tcp_local|a@example.org|tcp_local|b@example.net"


def ctl(*arguments, expect=0, **options):
    return site.ctl(*arguments, expect=expect, **options)


def replies(told):
    return [step["reply"] for step in told["steps"] if "reply" in step]


def access(*arguments, expect=0):
    return json.loads(ctl("--json", "access", *arguments, expect=expect).stdout)


@case
def probe_asks_the_tables_in_use_a_text_or_another_file():
    generation = next(one["number"] for one in json.loads(ctl("--json", "tables", "list").stdout) if one["in_force"])
    equal(ctl("probe", "--table", "orig_send_access", RELAY).stdout,
          "matched: yes\noutput: Relaying not permitted\nflags: N\nentry: %s:13 of tables %d\n" % (site.mappings_file, generation))
    contains(ctl("probe", "--mappings", NEW, "--table", "ORIG_SEND_ACCESS", RELAY).stdout, "output: No way\n")
    contains(ctl("probe", "--tables", os.path.join(site.etc, "tables", "000001.db"), "--table", "ORIG_SEND_ACCESS", RELAY).stdout, "Relaying")
    # The general table stands beside the text.
    directory = os.path.join(site.directory, "beside")
    os.mkdir(directory)
    for name, text in (("mappings", "T\n\n  *  <${k}>\n"), ("general.txt", "k value\n")):
        with open(os.path.join(directory, name), "w") as file:
            file.write(text)
    contains(run(program("posternctl"), "probe", "--mappings", os.path.join(directory, "mappings"), "--table", "T", "x").stdout, "output: <value>\n")


@case
def a_batch_is_answered_line_by_line_and_at_once_when_asked_so():
    probes = "".join("tcp_local|u%d@example.org|tcp_local|b@example.net\nl|a|l|b\n" % number for number in range(5000))
    done = ctl("--json", "probe", "--table", "ORIG_SEND_ACCESS", input=probes, expect=1)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    equal([answer["probe"] for answer in answers], probes.splitlines())
    equal([answer["matched"] for answer in answers], [True, False] * 5000)
    ctl("probe", "--table", "ORIG_SEND_ACCESS", input=RELAY + "\n" + RELAY)  # no line feed at the end
    equal(ctl("probe", "--table", "ORIG_SEND_ACCESS", input="").stdout, "")
    # Whoever asks through a pipe and waits for the answer gets it.
    child = subprocess.Popen([program("posternctl"), "--config", site.configuration, "--json", "probe", "--table", "ORIG_SEND_ACCESS"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        child.stdin.write(RELAY + "\n")
        child.stdin.flush()
        equal(json.loads(child.stdout.readline())["flags"], "N")
    child.stdin.close()
    equal(child.wait(), 0)
    child.stdout.close()


@case
def a_trace_shows_each_entry_and_what_was_not_asked():
    lines = ctl("probe", "--trace", "--table", "RATE", "abc").stdout.splitlines()
    contains(lines[0], "RATE  match     0=abc failed: not asked (needs the running server), $C")
    contains(lines[1], "match     0=bc gives yes")
    told = json.loads(ctl("--json", "probe", "--trace", "--table", "DEEP", "x9").stdout)
    equal((told["output"], told["flags"]), ("yes", "Y"))
    equal([line["depth"] for line in told["trace"]][-2:], [1, 1])
    listed = [line for line in told["trace"] if line["table"] == "DEEP"]
    equal(len(listed) + told["skipped"], 3, "entries of DEEP, tried and left out")


@case
def match_says_what_was_taken():
    equal(ctl("match", "$(192.0.2.0/24)|*", "192.0.2.5|tail").stdout, "yes\n0=192.0.2.5\n1=tail\n")
    equal(ctl("match", "a%", "a", expect=1).stdout, "no\n")
    equal(json.loads(ctl("--json", "match", "*-*", "a-b").stdout), {"matched": True, "gave_up": False, "fields": ["a", "b"]})
    contains(ctl("match", "$q", "a", expect=2).stderr, "E06")
    contains(json.loads(ctl("--json", "match", "$q", "a", expect=2).stdout)["error"], "E06")
    # What is not UTF-8 is shown all the same.
    equal(json.loads(ctl("--json", "match", "*", "\udcff").stdout)["fields"], ["\u00ff"])


@case
def access_goes_through_all_steps():
    told = access("--client", "198.51.100.7", "--from", "a@example.org", "--rcpt", "anna@example.com", "--rcpt", "b@example.net", expect=1)
    equal(told["accepted"], False)
    equal([step["step"] for step in told["steps"]], ["1", "2", "3", "4-7", "4-7"])
    equal(replies(told), ["250 2.1.0 Ok", "250 2.1.5 Ok", "550 5.7.1 Relaying not permitted: b@example.net"])
    equal(told["steps"][1]["source_channel"], "tcp_local")
    refusal = [event for event in told["steps"][-1]["events"] if event["event"] == "probe"][-1]
    equal((refusal["table"], refusal["verdict"], refusal["file"], refusal["line"], refusal["generation"]),
          ("ORIG_SEND_ACCESS", "deny", site.mappings_file, 13, 2))
    # An internal client, a bounce, effects; only the connection.
    told = access("--client", "127.0.0.1", "--from", "", "--rcpt", "<bert@example.com>")
    equal(told["steps"][1]["source_channel"], "tcp_internal")
    equal((told["steps"][-1]["effects"]["held"], told["steps"][-1]["effects"]["header_fields"]), (True, ["X-Seen: yes"]))
    equal(len(access("--client", "198.51.100.7")["steps"]), 2)
    # After AUTH: a wrong word of a rule, and a rule that comes to no end, which is for now only.
    for account, reply in (("bert@example.com", "535 5.7.8 authentication failed"), ("carl@example.org", "454 4.7.0 the account can't be checked now, try again later")):
        equal(replies(access("--client", "198.51.100.7", "--server", "127.0.0.1:587", "--tls", "--auth", account, expect=1)), [reply])
    # A text before it goes live.
    equal(replies(access("--mappings", NEW, "--client", "198.51.100.7", "--from", "a@b.example", "--rcpt", "b@example.net", expect=1))[-1],
          "550 5.7.1 No way: b@example.net")
    # Text says the same.
    text = ctl("access", "--client", "[2001:db8::1]:4000", "--server", "192.0.2.1:25", "--helo", "x", "--tls", "--from", "a@example.org", "--rcpt", "b@example.net", "--trace", expect=1).stdout
    for part in ("connection from [2001:db8::1]:4000 to 192.0.2.1:25 (smtp)", "input flags     E T", site.mappings_file + ":13 of tables 2", "verdict         deny, flags N, output \"Relaying not permitted\"",
                 "reply             550 5.7.1 Relaying not permitted: b@example.net"):
        contains(text, part)


@case
def access_knows_logins():
    told = access("--client", "198.51.100.7", "--auth", "anna@example.com", "--from", "anna@example.com", "--rcpt", "bert@example.com")
    equal(told["steps"][1]["source_channel"], "tcp_auth")
    check("A" in [event for event in told["steps"][-1]["events"] if event["event"] == "probe"][0]["input_flags"], "input flag A")
    equal(replies(access("--client", "198.51.100.7", "--auth", "bert@example.com", "--from", "bert@example.com", expect=1)), ["535 5.7.8 authentication failed"])
    equal(replies(access("--client", "198.51.100.7", "--server", "192.0.2.1:587", "--from", "a@example.org", expect=1)), ["530 5.7.0 authentication required"])


@case
def rewrite_explains_rules_and_aliases():
    contains(ctl("rewrite", "anna@example.com").stdout, "account           anna@example.com")
    contains(ctl("rewrite", "sales@example.com").stdout, "alias             sales@example.com -> anna@example.com")
    told = json.loads(ctl("--json", "rewrite", "both@example.com").stdout)
    check(told["accepted"], "one good member is enough")
    equal([event["found"] for event in told["steps"][-1]["events"] if event["event"] == "alias"], ["alias", "account", "nobody"])
    ctl("rewrite", "--check-expansions", "both@example.com", expect=1)
    ctl("rewrite", "alone@example.com", expect=1)
    contains(ctl("rewrite", "--channel", "tcp_local", "x@example.net", expect=1).stdout, "Relaying not permitted")
    told = json.loads(ctl("--json", "rewrite", "--backward", "x@[127.0.0.1]").stdout)
    equal([event["event"] for event in told["steps"][0]["events"]], ["probe", "rewriting"])
    contains(told["steps"][0]["result"], "on channel tcp_internal")


@case
def rules_of_the_configuration_are_shown_with_their_line():
    site.write_configuration({"rewrite": ["old.example  $U@example.com", ".  $U%$H$D@tcp_local-daemon"]})
    try:
        with open(site.configuration) as file:
            line = [number for number, text in enumerate(file, 1) if "old.example" in text][0]
        told = json.loads(ctl("--json", "rewrite", "anna@old.example").stdout)
        first = [event for event in told["steps"][-1]["events"] if event["event"] == "rewriting"][0]
        equal((first["file"], first["line"], first["result"], first["channel"]), (site.configuration, line, "anna@example.com", ""))
    finally:
        site.write_configuration({"rewrite": None})


@cases_of([(" ".join(arguments), arguments, part) for arguments, part in [
    (("probe", "x"), "--table"), (("probe", "--table", "NONE", "x"), "there is no table NONE"), (("probe", "--table", "RATE", "a", "b"), "one string"),
    (("probe", "--table"), "needs a value"), (("probe", "--nonsense"), "no option --nonsense"), (("probe", "--trace=yes", "--table", "RATE"), "takes no value"),
    (("probe", "--table", "T", "--mappings", "/nonexistent", "x"), "has errors"), (("probe", "--table", "T", "--tables", "/nonexistent", "x"), "/nonexistent"),
    (("probe", "--table", "T", "--tables", "a", "--mappings", "b", "x"), "only one"), (("probe", "--table", "T", "--general", "b", "x"), "go with --mappings"),
    (("match", "a"), "a pattern and a string"), (("access",), "--client"), (("access", "--client", "nowhere"), "--client: expected an address"),
    (("access", "--client", "::1", "--rcpt", "a@b.example"), "--rcpt needs --from"), (("access", "--client", "::1", "what"), "options only"),
    (("access", "--client", "::1", "--server", "192.0.2.1:99999"), "--server"), (("access", "--client", "::1", "--auth", "nobody"), "--auth"),
    (("rewrite",), "one address"), (("rewrite", "a@@b"), "a@@b"), (("rewrite", "a@b.example", "--channel", "none"), "no channel none"),
]])
def wrong_usage_is_told(arguments, part):
    contains(ctl(*arguments, expect=2, input="").stderr, part)
    contains(json.loads(ctl("--json", *arguments, expect=2, input="").stdout)["error"], part)


run_cases()  # no server runs: the database is read
with site.running():
    @case
    def a_running_server_is_asked_for_its_accounts():
        told = access("--client", "198.51.100.7", "--from", "a@example.org", "--rcpt", "anna@example.com", "--rcpt", "nobody@example.com", expect=1)
        equal(replies(told)[1:], ["250 2.1.5 Ok", "550 5.1.1 no such user here: nobody@example.com"])
        # The server says the same.
        with Smtp(site.smtp, source="127.0.0.2") as session:
            session.hello()
            session.command("MAIL FROM:<a@example.org>", 250)
            equal("%d %s" % (lambda reply: (reply[0], reply[1][0]))(session.command("RCPT TO:<b@example.net>")),
                  replies(access("--client", "127.0.0.2", "--from", "a@example.org", "--rcpt", "b@example.net", expect=1))[-1])

    run_cases()
