#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A new compiled file is noticed without a restart; a text that was only edited, or is wrong, changes nothing (SM19, SM20)."""
from postern_testing import *

site = Site()
REFUSE = MAPPINGS + "\nFROM_ACCESS\n\n  *|x@sender.example|*   $NNo$ longer\n"


def code():
    with Smtp(site.smtp) as session:
        session.hello()
        return session.command("MAIL FROM:<x@sender.example>")[0]


@case
def an_edited_text_changes_nothing_until_it_is_compiled():
    equal(code(), 250)
    site.write_mappings(REFUSE, compile=False)
    time.sleep(1)
    equal(code(), 250)


@case
def a_compiled_file_holds_for_the_next_transaction_of_an_open_session():
    pids = site.server.pids()
    with Smtp(site.smtp) as session:
        session.hello()
        session.command("MAIL FROM:<x@sender.example>", 250)
        session.command("RSET", 250)
        site.compile()
        wait_until(lambda: code() == 550, 3 * slow_build(), "the new table refuses")
        session.command("MAIL FROM:<x@sender.example>", 550)
    equal([pid for pid in pids if pid not in site.server.pids()], [], "processes that ended")


@case
def a_wrong_text_leaves_the_compiled_file_as_it_was():
    done = site.write_mappings(MAPPINGS + "\nINTERNAL_IP\n\n  *  $Y\n", expect=2)
    contains(done.stdout + done.stderr, "E03")
    contains(done.stdout + done.stderr, "mappings:")
    time.sleep(1)
    equal(code(), 550)


@case
def a_damaged_file_is_refused_and_the_old_tables_stay():
    path = os.path.join(site.etc, "tables.db")
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data[len(data) // 2] ^= 0x40
    with open(path + ".new", "wb") as file:
        file.write(data)
    os.rename(path + ".new", path)
    time.sleep(1.5)
    equal(code(), 550)
    check(site.server.alive(), "the server is alive")
    contains(site.ctl("tables", "list").stdout, "\ntables.db can't be used: compiled file: check sum does not fit\n")
    site.write_mappings(MAPPINGS)
    wait_until(lambda: code() == 250, 3 * slow_build(), "a whole file is taken again")


@case
def a_file_that_was_taken_away_is_told_once_and_the_tables_stay():
    path = os.path.join(site.etc, "tables.db")
    os.rename(path, path + ".away")
    site.wait_for_log("tables-refused", "tables.db: No such file or directory", "in-force=\"the tables loaded before\"")
    equal(code(), 250)
    os.mkfifo(path)
    site.wait_for_log("tables-refused", "not a regular file")
    equal(code(), 250)
    os.rename(path + ".away", path)
    before = len(site.log_lines("tables-loaded"))
    wait_until(lambda: len(site.log_lines("tables-loaded")) > before, 5 * slow_build(), "the file is back")
    equal(len(site.log_lines("tables-refused", "No such file")), 1)


@case
def probe_shows_result_and_reason():
    done = site.ctl("probe", "--trace", "--table", "ORIG_SEND_ACCESS", "tcp_local|a@b.example|tcp_local|c@d.example", expect=None)
    contains(done.stdout, "Relaying not permitted")
    contains(done.stdout, "mappings:")


@case
def a_damaged_file_at_the_start_leaves_the_server_closed():
    other = Site()
    path = os.path.join(other.etc, "tables.db")
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        file.write(b"\xa5\x5a\xa5\x5a")
    with other.running():
        with Smtp(other.smtp) as session:
            session.hello()
            equal(session.command("MAIL FROM:<x@sender.example>")[0], 451)
        try:
            pop3(other, "anna@example.com")
            check(False, "a login that no table was asked about is refused")
        except poplib.error_proto as error:
            contains(str(error), "[SYS/TEMP]")
        other.compile()
        wait_until(lambda: try_pop3(other), 3 * slow_build(), "whole tables let logins in")


def try_pop3(of):
    try:
        pop3(of, "anna@example.com").quit()
        return True
    except poplib.error_proto:
        return False


with site.running():
    run_cases()
