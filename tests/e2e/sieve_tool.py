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
def json_is_json():
    report = json.loads(run(TOOL, "run", "--json", GOOD, ORDER).stdout)
    equal(report[0]["actions"], [{"action": "fileinto", "mailbox": "Shopping", "line": 2, "column": 41}])
    report = json.loads(run(TOOL, "check", "--json", GOOD, BAD, expect=1).stdout)
    equal([entry["valid"] for entry in report], [True, False])
    check("fileinto" in [entry["name"] for entry in json.loads(run(TOOL, "extensions", "--json").stdout)], "fileinto is offered")


@cases_of([
    ("no command", []),
    ("unknown command", ["frobnicate"]),
    ("no script", ["check"]),
    ("no message", ["run", GOOD]),
    ("unknown option", ["check", "--frobnicate", GOOD]),
    ("no such file", ["check", os.path.join(scratch, "missing")]),
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
