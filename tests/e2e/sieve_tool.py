#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""postern-sieve checks scripts and shows what they would do, without a server: output and exit statuses."""
import json
import shutil
import tempfile

from postern_testing import *

TOOL = program("postern-sieve")
scratch = tempfile.mkdtemp(prefix="sieve-tool-")


def file(name, text):
    path = os.path.join(scratch, name)
    with open(path, "w") as out:
        out.write(text)
    return path


GOOD = file("good.sieve", 'require ["fileinto", "envelope"];\n'
            'if header :contains "subject" "order" { fileinto "Shopping"; }\n'
            'elsif envelope "from" "" { discard; }\n')
BAD = file("bad.sieve", 'keep;\n\tfileinto "x";\nif header "a" { }\n')
FAILS = file("fails.sieve", 'require ["fileinto", "variables"];\nfileinto "a/${nothing}";\n')
ORDER = file("order.eml", "From: a@example.com\nTo: b@example.com\nSubject: your order\n\ntext\n")
OTHER = file("other.eml", "From: a@example.com\nSubject: hello\n\ntext\n")


@case
def a_valid_script_exits_with_0():
    contains(run(TOOL, "check", GOOD).stdout, "good.sieve: valid")


@case
def every_mistake_has_line_column_and_caret():
    done = run(TOOL, "check", BAD, expect=1)
    contains(done.stderr, 'bad.sieve:2:2: error: "fileinto" needs: require "fileinto";\n    \tfileinto "x";\n    \t^\n')
    contains(done.stderr, "bad.sieve:3:4: error: ")
    contains(done.stdout, "2 mistakes")


@case
def a_run_shows_the_actions_of_each_message():
    done = run(TOOL, "run", GOOD, ORDER, OTHER)
    equal(done.stdout, '%s:\n  fileinto "Shopping"  (line 2)\n%s:\n  keep (implicit)\n' % (ORDER, OTHER))
    contains(run(TOOL, "run", "--envelope-from", "<>", GOOD, OTHER).stdout, "discard")


@case
def a_run_that_fails_keeps_and_exits_with_1():
    done = run(TOOL, "run", FAILS, ORDER, expect=1)
    contains(done.stdout, "keep (implicit: the script failed)")
    contains(done.stderr, "fails.sieve:2:1: run-time error: ")


@case
def scores_and_the_environment_are_given_by_options():
    script = file("scores.sieve", 'require ["spamtestplus", "virustest", "relational", "comparator-i;ascii-numeric", "environment", "fileinto"];\n'
                  'if virustest :value "ge" :comparator "i;ascii-numeric" "4" { discard; }\n'
                  'elsif spamtest :percent :value "ge" :comparator "i;ascii-numeric" "80" { fileinto "Junk"; }\n'
                  'elsif environment "remote-ip" "192.0.2.7" { fileinto "Seven"; }\n')
    spam = file("spam.eml", "X-Score: 0.1\nX-Score: Yes, score=4.2\nX-Scan: Poison (worm)\n\ntext\n")
    contains(run(TOOL, "run", script, spam).stdout, "keep (implicit)")
    contains(run(TOOL, "run", "--spam-field", "x-score", "--spam-text", "score=", "--spam-scale", "5", script, spam).stdout, "Junk")
    contains(run(TOOL, "run", "--spam-field", "X-Score", script, spam).stdout, "keep (implicit)")
    contains(run(TOOL, "run", "--virus-field", "X-Scan", "--virus-value", "Fine 1", "--virus-value", "poison 5", script, spam).stdout, "discard")
    contains(run(TOOL, "run", "--environment", "Remote-IP=192.0.2.7", script, spam).stdout, "Seven")
    for wrong in (["--spam-field", "A B"], ["--spam-scale", "0"], ["--virus-value", "Infected 6"], ["--virus-value", "5"], ["--environment", "=x"]):
        contains(run(TOOL, "run", *wrong, script, spam, expect=2).stderr, wrong[0] + ": expected")


@case
def messages_about_stored_rules_name_the_rule_and_its_line():
    rules = file("rules.sieve", '# $Rule Info: Order=2 Name=lists\nrequire\n  "fileinto";\nfileinto "Lists";\n# $Rule Info: Order=1 Name="the first"\nkeep;\nredirect "a";\n')
    contains(run(TOOL, "check", rules, expect=1).stderr, 'rules.sieve: rule "the first", line 3, column 10: error: ')
    with open(rules) as text:
        good = file("good-rules.sieve", text.read().replace('redirect "a";', ""))
    contains(run(TOOL, "run", good, ORDER).stdout, 'fileinto "Lists"  (rule "lists", line 4)')
    equal(json.loads(run(TOOL, "run", "--json", good, ORDER).stdout)[0]["actions"][0]["rule"], "the first")


@case
def json_is_json():
    report = json.loads(run(TOOL, "run", "--json", GOOD, ORDER).stdout)
    equal(report[0]["actions"], [{"action": "fileinto", "mailbox": "Shopping", "line": 2, "column": 41}])
    report = json.loads(run(TOOL, "check", "--json", GOOD, BAD, expect=1).stdout)
    equal([entry["valid"] for entry in report], [True, False])
    check("fileinto" in [entry["name"] for entry in json.loads(run(TOOL, "extensions", "--json").stdout)], "fileinto is offered")


@case
def what_looks_unintended_is_a_warning():
    loose = file("loose.sieve", 'require ["copy", "fileinto", "vacation"];\nif false { fileinto "x"; }\nstop;\nvacation "x";\n')
    done = run(TOOL, "check", loose)
    contains(done.stdout, "loose.sieve: valid")
    contains(done.stderr, 'loose.sieve:1:10: warning: "copy" is required but not used\n')
    contains(done.stderr, "loose.sieve:2:4: warning: the test is always false")
    contains(done.stderr, 'loose.sieve:4:1: warning: "vacation" is never reached\n    vacation "x";\n    ^\n')


@case
def a_script_is_formatted_and_its_comments_stay():
    loose = file("layout.sieve", 'require["fileinto"];# why\nif header:contains"subject"["a","b"]{fileinto"x";}')
    want = 'require ["fileinto"];  # why\nif header :contains "subject" ["a", "b"] {\n  fileinto "x";\n}\n'
    equal(run(TOOL, "format", loose).stdout, want)
    os.chmod(loose, 0o600)
    link = os.path.join(os.path.dirname(loose), "link.sieve")
    os.symlink(loose, link)
    equal(run(TOOL, "format", "--write", link).stdout, "")
    check(os.path.islink(link), "the link stays")
    equal(os.stat(loose).st_mode & 0o777, 0o600, "its mode")
    with open(loose) as text:
        equal(text.read(), want)
    contains(run(TOOL, "format", file("bad-layout.sieve", "keep"), expect=1).stderr, "expected ';'")


@case
def what_a_script_includes_is_looked_for_beside_it():
    file("inner.sieve", "discard;\n")
    outer = file("outer.sieve", 'require "include";\ninclude "inner";\n')
    contains(run(TOOL, "run", outer, ORDER).stdout, "discard")
    contains(run(TOOL, "check", file("alone.sieve", 'require "include";\ninclude "nowhere";\n'), expect=1).stderr, "nowhere")


PASSES = file("passes.svtest", 'require "vnd.dovecot.testsuite";\ntest "one" { }\ntest "two" { }\n')
FAILING = file("failing.svtest", 'require "vnd.dovecot.testsuite";\ntest "one" { }\ntest "two" { test_fail "no\nway"; }\n')
ALL_FAIL = file("all_fail.svtest", 'require "vnd.dovecot.testsuite";\ntest "one" { test_fail "no"; }\n')
WRONG = file("wrong.svtest", 'require "vnd.dovecot.testsuite";\nfrobnicate;\ntest "one" { }\n')
STOPS = file("stops.svtest", 'require "vnd.dovecot.testsuite";\ntest "one" { }\ntest_fail "outside";\n')


@cases_of([
    ("all pass", [PASSES], 0, "ok 1 - one\nok 2 - two\nPASS: 2 tests\n"),
    ("one fails", [FAILING], 1, "ok 1 - one\nnot ok 2 - two: no  way\nFAIL: 1 of 2 tests\n"),
    ("quiet", ["-q", FAILING], 1, "not ok 2 - two: no  way\nFAIL: 1 of 2 tests\n"),
    ("does not compile", [WRONG], 1, "FAIL: 0 of 0 tests\n"),
    ("ends early", [STOPS], 1, "ok 1 - one\nFAIL: 0 of 1 tests\n"),
    ("must fail, and does", ["-F", ALL_FAIL], 0, "not ok 1 - one: no\nFAIL: 1 of 1 tests\n"),
    ("must fail, and one does not", ["-F", FAILING], 1, "ok 1 - one\nnot ok 2 - two: no  way\nFAIL: 1 of 2 tests\n"),
    ("must fail, and does not compile", ["-F", WRONG], 0, "FAIL: 0 of 0 tests\n"),
    ("several files, quiet", ["-q", PASSES, ALL_FAIL], 1, "# %s\nnot ok 1 - one: no\nFAIL: 1 of 3 tests\n" % ALL_FAIL),
    ("several files", [PASSES, ALL_FAIL], 1, "# %s\nok 1 - one\nok 2 - two\n# %s\nnot ok 1 - one: no\nFAIL: 1 of 3 tests\n" % (PASSES, ALL_FAIL)),
])
def test_files_are_run(arguments, status, want):
    equal(run(TOOL, "test", *arguments, expect=status).stdout, want)


@case
def the_test_language_is_for_tests_only():
    contains(run(TOOL, "check", PASSES, expect=1).stderr, 'unknown capability "vnd.dovecot.testsuite"')


TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "share", "postern", "templates")
VALUES = {"address": "boss@example.com", "folder": "Boss", "text": 'say "now"', "date": "2026-12-24", "header": "Subject", "yesno": "yes"}


@case
def ten_templates_are_shipped_and_all_give_rules_that_compile_and_read_back():
    forms = json.loads(run(TOOL, "template", "list", "--json", "--templates", TEMPLATES).stdout)
    equal(len(forms), 10)
    for form in forms:
        given = {field["name"]: field["choices"][-1] if field["type"] == "choice" else VALUES[field["type"]] for field in form["fields"]}
        rule = run(TOOL, "template", "fill", "--templates", TEMPLATES, "--order", "3", "--name", "my rule", form["id"], *("%s=%s" % one for one in given.items())).stdout
        stored = file("rule.sieve", rule)
        run(TOOL, "check", stored)
        back = json.loads(run(TOOL, "template", "read", "--json", "--templates", TEMPLATES, stored).stdout)
        equal(back, {"origin": "template", "order": 3, "name": "my rule", "template": form["id"], "values": given})
        equal(json.loads(run(TOOL, "template", "read", "--json", "--templates", TEMPLATES, file("rule.sieve", rule + "stop;\n")).stdout)["origin"], "edited")
    equal(json.loads(run(TOOL, "template", "read", "--json", "--templates", TEMPLATES, GOOD).stdout)["origin"], "hand-written")


@case
def folders_are_named_with_the_separator_of_the_site():
    fill = ("template", "fill", "--templates", TEMPLATES, "from-folder", "WHO=a@example.com")
    contains(run(TOOL, *fill, "BOX=Work/Boss").stdout, 'fileinto :create "Work/Boss";')
    contains(run(TOOL, *fill, "--folder-separators", ".", "BOX=Work.Boss").stdout, 'fileinto :create "Work.Boss";')
    contains(run(TOOL, *fill, "--folder-separators", ".", "BOX=Work/Boss", expect=1).stderr, 'its parts stand between "." here')
    dots = file("dots.sieve", 'require "fileinto"; fileinto "Work.Boss";\n')
    contains(run(TOOL, "run", "--folder-separators", ".", dots, ORDER).stdout, 'fileinto "Work/Boss"')
    contains(run(TOOL, "run", dots, ORDER).stdout, 'fileinto "Work.Boss"')


@case
def a_form_that_is_not_filled_in_is_refused():
    for words, status in (["from-folder"], 1), (["from-folder", "WHO=nobody"], 1), (["from-folder", "WHO=a@example.com", "X=y"], 1), (["frob"], 2), (["from-folder", "WHO"], 2):
        done = run(TOOL, "template", "fill", "--templates", TEMPLATES, *words, expect=status)
        check(done.stderr != "" and done.stdout == "", "it says why")


@cases_of([
    ("no command", []),
    ("unknown command", ["frobnicate"]),
    ("no script", ["check"]),
    ("no message", ["run", GOOD]),
    ("unknown option", ["check", "--frobnicate", GOOD]),
    ("no such file", ["check", os.path.join(scratch, "missing")]),
    ("no test file", ["test"]),
    ("two scripts to print", ["format", GOOD, BAD]),
    ("no template command", ["template"]),
    ("a number that is none", ["template", "fill", "--order", "x", "from-folder"]),
    ("a separator that is none", ["check", "--folder-separators", "|", GOOD]),
    ("no address", ["run", "--envelope-to", "nobody", GOOD, ORDER]),
])
def wrong_usage_exits_with_2(arguments):
    done = run(TOOL, *arguments, expect=2)
    check(done.stderr != "", "it says why")


@case
def help_is_on_standard_output():
    contains(run(TOOL, "--help").stdout, "usage: postern-sieve")
    shutil.rmtree(scratch)


run_cases()
