#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""All tests in tests/sieve, which are written in the Sieve test language: each file is a case, and their number does not shrink."""
import glob
import xml.etree.ElementTree

from postern_testing import *

TOOL = program("postern-sieve")
here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sieve")
LEAST = 1171      # so many tests there must be; raise it when tests are added
scratch = tempfile.mkdtemp(prefix="sieve-suite-")
atexit.register(shutil.rmtree, scratch)
counted = {}


def run_file(path):
    junit = os.path.join(scratch, "junit.xml")
    done = run(TOOL, "test", "-q", "--junit", junit, path, expect=None)
    suite = xml.etree.ElementTree.parse(junit).getroot().find("testsuite")
    counted[path] = int(suite.get("tests"))
    if done.returncode != 0:
        raise AssertionError("exit status %d\n%s%s" % (done.returncode, done.stdout, done.stderr))
    check(counted[path] > 0, "it has tests")


for found in sorted(glob.glob(os.path.join(here, "*", "*.svtest"))):
    cases_of([(os.path.relpath(found, here), found)])(run_file)


@case
def there_are_as_many_tests_as_there_were():
    total = sum(counted.values())
    folders = {}
    for path, number in counted.items():
        folder = os.path.basename(os.path.dirname(path))
        folders[folder] = folders.get(folder, 0) + number
    print("  " + ", ".join("%s %d" % one for one in sorted(folders.items())))
    print("  %d tests in %d files" % (total, len(counted)))
    check(total >= LEAST, "at least %d" % LEAST)


run_cases()
