// SPDX-License-Identifier: Apache-2.0
#include "base/files.h"
#include "conversion/channel.h"
#include "conversion/converter.h"
#include "mail/message_id.h"
#include "net/run_coroutine.h"
#include "../scratch_directory.h"

#include <cppunit/extensions/HelperMacros.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace postern::conversion {
namespace {

using net::Awaitable;
using namespace std::chrono_literals;

const std::string kMixed =
    "From: <a@example.com>\r\nSubject: Parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\nPreamble\r\n"
    "--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\nZwei\r\n"
    "--b\r\nContent-Type: application/zip; name=x.zip\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=x.zip\r\n\r\nAAECAw==\r\n"
    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: Inner\r\n\r\nInner text\r\n"
    "--b--\r\nEpilogue\r\n";

struct World {
  test::ScratchDirectory scratch;
  // The server's own directory, which programs don't see.
  base::Descriptor spool = base::make_and_open_directory(base::system_files(), scratch.directory.get(), "spool", 0700).value();
  WorkPlace place = WorkPlace::open(spool.get(), spool.get()).value();
  std::vector<std::string> asked;
  Converter converter{place, [this](std::string table, std::string text) { return ask(std::move(table), std::move(text)); }};
  Limits limits{.time = 5000ms};

  Awaitable<std::optional<std::string>> ask(std::string table, std::string text) {
    asked.push_back(table + ":" + text);
    if (table == "NO") co_return std::nullopt;
    co_return "x-" + text;
  }
  // The program "P" in an entry is this script.
  Outcome convert(const std::string& entries, const std::string& script = {}, const std::string& message = kMixed, std::vector<std::string> tags = {"one", "two"}) {
    const std::string program = scratch.path / "program";
    std::ofstream(program) << "#!/bin/sh\n" << script;
    ::chmod(program.c_str(), 0755);
    std::string text = entries;
    for (auto at = text.find("=\"P"); at != std::string::npos; at = text.find("=\"P")) text.replace(at + 2, 1, program);
    Entries parsed = parse_entries(text, "c");
    CPPUNIT_ASSERT_MESSAGE(parsed.mistakes.empty() ? "" : parsed.mistakes[0].to_string(), parsed.mistakes.empty());
    CPPUNIT_ASSERT(converter.set(std::move(parsed.list), limits));
    return net::run_coroutine(converter.convert(message, {"id", "tcp_local", "ims-ms", std::move(tags)}));
  }
};

class ConverterTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ConverterTest);
  CPPUNIT_TEST(without_an_entry_nothing_changes);
  CPPUNIT_TEST(conditions_choose_the_part);
  CPPUNIT_TEST(a_part_is_replaced_and_the_rest_stays);
  CPPUNIT_TEST(types_parameters_and_encodings_follow);
  CPPUNIT_TEST(parts_are_removed_with_their_boundaries);
  CPPUNIT_TEST(the_program_knows_the_part);
  CPPUNIT_TEST(results_are_what_the_program_says);
  CPPUNIT_TEST(programs_have_limits);
  CPPUNIT_TEST(programs_are_kept_from_the_server_and_each_other);
  CPPUNIT_TEST(programs_end_with_the_process_that_started_them);
  CPPUNIT_TEST(what_a_dead_process_left_is_removed);
  CPPUNIT_TEST(too_many_programs_hold_the_message);
  CPPUNIT_TEST_SUITE_END();

  static void contains(const std::string& text, const std::string& part) { CPPUNIT_ASSERT_MESSAGE(part + "\nis not in\n" + text, text.find(part) != std::string::npos); }

  void without_an_entry_nothing_changes() {
    World world;
    CPPUNIT_ASSERT(world.convert("in-type=image; delete=1").kind == Outcome::Kind::unchanged);
    CPPUNIT_ASSERT(world.convert("in-type=*; command=\"P\"").kind == Outcome::Kind::unchanged);
  }

  void conditions_choose_the_part() {
    World world;
    const struct {
      const char* entry;
      int parts;  // that it fits
    } rows[] = {
        {"in-type=text", 2}, {"in-type=TEXT; in-parameter-name-0=charset; in-parameter-value-0=iso-*", 1}, {"in-parameter-name-0=name", 1}, {"in-parameter-name-0=*name; in-parameter-value-0=*.zip", 1},
        {"in-disposition=attachment", 1}, {"in-subject=parts", 3}, {"in-subject=inner", 1}, {"part-number=1", 1}, {"part-number=3.1", 1}, {"part-number=3", 1}, {"tag=TWO", 3}, {"tag=three", 0},
        {"in-chan=tcp_*; out-chan=ims-ms; in-type=application; in-subtype=zip", 1}, {"in-chan=l", 0}, {"in-type=multipart", 0}, {"in-type='INPUT_TYPE'", 3},
        {"in-subtype='NO:$INPUT_TYPE'", 0}, {"part-number='INPUT_TYPE'", 0}, {"in-description=?*", 0}};
    for (const auto& row : rows) {
      const Outcome outcome = world.convert(std::string(row.entry) + "; out-description=Found");
      int found = 0;
      for (auto at = outcome.text.find("Content-Description: Found"); at != std::string::npos; at = outcome.text.find("Content-Description: Found", at + 1)) ++found;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.entry, row.parts, found);
    }
  }

  void a_part_is_replaced_and_the_rest_stays() {
    World world;
    const Outcome outcome = world.convert("in-type=text; in-parameter-name-0=charset; out-type=text; out-subtype=plain; out-parameter-name-0=charset; out-parameter-value-0=utf-8; command=\"P\"",
                                          "iconv -f iso-8859-1 -t utf-8 \"$INPUT_FILE\" > \"$OUTPUT_FILE\"");
    CPPUNIT_ASSERT(outcome.kind == Outcome::Kind::changed);
    std::string want = kMixed;
    const auto from = want.find("Content-Type: text/plain; charset=iso-8859-1"), to = want.find("\r\n--b\r\nContent-Type: application");
    want.replace(from, to - from, "Content-Type: text/plain; charset=\"utf-8\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\nZwei");
    CPPUNIT_ASSERT_EQUAL(want, outcome.text);
  }

  void types_parameters_and_encodings_follow() {
    World world;
    const std::string output = "printf 'a\\nb\\001\\n' > \"$OUTPUT_FILE\"";
    contains(world.convert("in-type=application; command=\"P\"", output).text, "Content-Type: application/zip; name=x.zip\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=x.zip\r\n\r\nYQpiAQo=\r\n");
    contains(world.convert("in-type=application; out-type=text; out-subtype=html; parameter-copy-0=na*; command=\"P\"", output).text,
             "Content-Type: text/html; name=\"x.zip\"\r\nContent-Transfer-Encoding: 7bit\r\n");
    contains(world.convert("in-type=application; out-type=image; out-subtype='SUB:$INPUT_SUBTYPE'").text, "Content-Type: image/x-zip\r\n");
    contains(world.convert("in-type=application; out-parameter-name-0=NAME; out-parameter-value-0=\"\xc3\xbc.zip\"").text, "Content-Type: application/zip; name*=utf-8''%C3%BC.zip\r\n");
    contains(world.convert("in-type=text; out-encoding=base64").text, "Content-Transfer-Encoding: base64\r\n\r\nR3L832UNClp3ZWk=\r\n");
    contains(world.convert("in-type=application; out-encoding=7bit; command=\"P\"", "printf '\\200' > $OUTPUT_FILE").text, "base64\r\nContent-Disposition: attachment; filename=x.zip\r\n\r\ngA==\r\n");
    // A line that could be a boundary is none.
    const std::string dashes = world.convert("in-type=text; part-number=1; command=\"P\"", "echo --b-- > $OUTPUT_FILE").text;
    CPPUNIT_ASSERT_EQUAL(dashes.find("--b--"), dashes.rfind("--b--"));
    contains(world.convert("in-type=application; override-header-file=1; command=\"P\"",
                           "echo y > $OUTPUT_FILE; printf 'Content-Type: text/x-made; a=b\\nX-Other: no\\nContent-Disposition: inline\\n' > $OUTPUT_HEADERS")
                 .text,
             "--b\r\nContent-Type: text/x-made; a=b\r\nContent-Disposition: inline\r\nContent-Transfer-Encoding: 7bit\r\n\r\ny\r\n");
    const Outcome options = world.convert("in-type=application; override-option-file=1; command=\"P\"",
                                          "echo y > $OUTPUT_FILE; printf 'OUTPUT_TYPE=text\\nOUTPUT_SUBTYPE=plain\\nOUTPUT_MODE=text\\nOUTPUT_DESCRIPTION=\"what it was\"\\nOUTPUT_DISPOSITION=inline\\n' > $OUTPUT_OPTIONS");
    contains(options.text, "Content-Type: text/plain\r\n");
    contains(options.text, "Content-Disposition: inline\r\nContent-Description: what it was\r\n");
    // The only part of a message, and a message inside another.
    contains(world.convert("in-type=text; command=\"P\"", "echo new > $OUTPUT_FILE", "Subject: x\r\n\r\nold\r\n").text, "Subject: x\r\nContent-Transfer-Encoding: 7bit\r\nMIME-Version: 1.0\r\n\r\nnew\r\n");
    contains(world.convert("part-number=3.1; command=\"P\"", "echo new > $OUTPUT_FILE").text, "Content-Type: message/rfc822\r\n\r\nSubject: Inner\r\nContent-Transfer-Encoding: 7bit\r\nMIME-Version: 1.0\r\n\r\nnew\r\n\r\n--b--");
    contains(world.convert("in-type=message; command=\"P\"", "sed s/Inner/Other/ $INPUT_FILE > $OUTPUT_FILE").text, "\r\n\r\nSubject: Other\r\n\r\nOther text\r\n--b--");
  }

  void parts_are_removed_with_their_boundaries() {
    World world;
    const Outcome one = world.convert("in-type=application; delete=1");
    std::string want = kMixed;
    const auto from = want.find("--b\r\nContent-Type: application"), to = want.find("--b\r\nContent-Type: message");
    want.erase(from, to - from);
    CPPUNIT_ASSERT_EQUAL(want, one.text);
    const std::string last = world.convert("in-type=message; delete=1").text;
    contains(last, "AAECAw==\r\n--b--\r\nEpilogue\r\n");
    // Something is left of a message in any case.
    contains(world.convert("delete=1").text, "Preamble\r\n--b\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\r\n--b--\r\n");
    contains(world.convert("delete=1", "", "Subject: x\r\nContent-Type: image/png\r\n\r\nx\r\n").text,
             "Subject: x\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\nMIME-Version: 1.0\r\n\r\n");
    contains(world.convert("in-type=application; override-option-file=1; command=\"P\"", "echo STATUS=FORCEDELETE > $OUTPUT_OPTIONS").text, "Zwei\r\n--b\r\nContent-Type: message");
  }

  void the_program_knows_the_part() {
    World world;
    const std::string text = world
                                 .convert("in-type=application; out-type=text; out-subtype=plain; out-encoding=8bit; command=\"P 'a b' $PART_NUMBER $INPUT_TYPE/$INPUT_SUBTYPE\"",
                                          "{ echo \"$# $1|$2|$3\"; env | grep -v _FILE=; cat $INPUT_FILE | od -An -tx1; cat $INPUT_HEADERS; cat $MESSAGE_HEADERS; pwd; ls -l /proc/self/fd | wc -l; } > $OUTPUT_FILE")
                                 .text;
    for (const char* const part : {"3 a b|2|application/zip", "INPUT_CHANNEL=tcp_local", "OUTPUT_CHANNEL=ims-ms", "CONVERSION_TAG=one,two", "PART_SIZE=4", "ATTACHMENT_NUMBER=2", "INPUT_ENCODING=base64",
                                   "INPUT_DISPOSITION=attachment", "OUTPUT_TYPE=text", "OUTPUT_SUBTYPE=plain", "OUTPUT_ENCODING=8bit", " 00 01 02 03", "filename=x.zip", "Subject: Parts"})
      contains(text, part);
    CPPUNIT_ASSERT(std::filesystem::is_empty(std::filesystem::path("/proc/self/fd") / std::to_string(world.place.descriptor())));
  }

  void results_are_what_the_program_says() {
    World world;
    const std::string entry = "in-type=application; override-option-file=1; command=\"P\"";
    using Kind = Outcome::Kind;
    const struct {
      const char* script;
      Kind kind;
      const char* why;
    } rows[] = {
        {"printf 'STATUS=FORCERETURN\\nOUTPUT_DIAGNOSTIC=\"No!\"\\n' > $OUTPUT_OPTIONS", Kind::returned, "No!"},
        {"echo STATUS=178030098 > $OUTPUT_OPTIONS", Kind::to_postmaster, ""},
        {"echo STATUS=FORCEHOLD > $OUTPUT_OPTIONS", Kind::held, "conversion, part 2"},
        {"echo STATUS=FORCEDISCARD > $OUTPUT_OPTIONS", Kind::discarded, ""},
        {"echo STATUS=0x0A9C86E3 > $OUTPUT_OPTIONS", Kind::jettisoned, ""},
        {"echo x > $OUTPUT_FILE; echo STATUS=FORCEASIS > $OUTPUT_OPTIONS", Kind::unchanged, ""},
        {"echo STATUS=FORCESOMETHING > $OUTPUT_OPTIONS", Kind::again, "unknown STATUS"},
        {"echo x > $OUTPUT_FILE; exit 1", Kind::unchanged, ""},
        {"kill -TERM $$", Kind::again, "signal 15"},
        // A name that leads elsewhere is not followed.
        {"ln -s /etc/passwd $OUTPUT_FILE", Kind::unchanged, ""},
        {"mkfifo $OUTPUT_FILE", Kind::unchanged, ""},
    };
    for (const auto& row : rows) {
      const Outcome outcome = world.convert(entry, row.script);
      CPPUNIT_ASSERT_MESSAGE(std::string(row.script) + ": " + outcome.why, outcome.kind == row.kind);
      contains(outcome.why, row.why);
    }
    // Without the item its options do not count.
    CPPUNIT_ASSERT(world.convert("in-type=application; command=\"P\"", "echo STATUS=FORCERETURN > $OUTPUT_OPTIONS").kind == Kind::unchanged);
    Entries missing = parse_entries("command=\"/nonexistent/program\"", "c");
    CPPUNIT_ASSERT(world.converter.set(std::move(missing.list), world.limits));
    const Outcome outcome = net::run_coroutine(world.converter.convert(kMixed, {"id", "a", "b", {}}));
    CPPUNIT_ASSERT(outcome.kind == Kind::again);
    contains(outcome.why, "/nonexistent/program: No such file");
    CPPUNIT_ASSERT(!conf::Configuration().conversion.network);
  }

  // Whether somebody has this command; outside of namespaces all processes can be seen.
  static bool runs(const std::string& command) {
    std::string words = command + ' ';
    std::replace(words.begin(), words.end(), ' ', '\0');
    std::error_code ignored;
    for (const auto& process : std::filesystem::directory_iterator("/proc", ignored)) {
      std::ifstream file(process.path() / "cmdline", std::ios::binary);
      // It may be gone by now; getline() takes that as the end.
      std::string read;
      std::getline(file, read);
      if (read == words) return true;
    }
    return false;
  }
  static bool ends(const std::string& command) {
    for (int i = 0; i < 500 && runs(command); ++i) ::usleep(10000);
    return !runs(command);
  }

  void programs_have_limits() {
    World world;
    using Kind = Outcome::Kind;
    const std::string entry = "in-type=application; command=\"P\"";
    world.limits.file_bytes = 10000;
    CPPUNIT_ASSERT(world.convert(entry, "head -c 20000 /dev/zero > $OUTPUT_FILE; exit 0").kind == Kind::unchanged);
    CPPUNIT_ASSERT(world.convert(entry, "head -c 9999 /dev/zero > $OUTPUT_FILE").kind == Kind::changed);
    // Nor can it fill the disk by many files: in its directory all of them count.
    const Outcome filled = world.convert(entry, "i=0; while [ $i -lt 400 ]; do head -c 4000 /dev/zero > f$i; i=$((i + 1)); done; sleep 100");
    CPPUNIT_ASSERT(filled.kind == Kind::again);
    contains(filled.why, "filled its directory");
    contains(world.convert(entry, "i=0; while [ $i -lt 60 ]; do mkdir d; cd d; i=$((i + 1)); done; sleep 100").why, "filled its directory");
    // Neither network nor another process group.
    const std::string tried = world.convert(entry + "; out-type=text; out-subtype=plain",
                                            "python3 -c 'import socket; socket.socket(socket.AF_INET)' > $OUTPUT_FILE 2>&1; setsid true >> $OUTPUT_FILE 2>&1; exit 0").text;
    contains(tried, "Permission");
    contains(tried, "setsid failed");
    // What it leaves behind ends with it, and what takes too long is killed.
    const std::string left = "sleep 1000" + std::to_string(::getpid());
    world.limits.time = 1000ms;
    world.convert(entry, left + " & exit 0");
    CPPUNIT_ASSERT(ends(left));
    CPPUNIT_ASSERT(world.convert(entry, "sleep 100").kind == Kind::again);
#ifndef POSTERN_SANITIZED
    world.limits.time = 5000ms;
    world.limits.memory_bytes = 256 * 1024 * 1024;
    const std::string memory = world.convert(entry + "; out-type=text; out-subtype=plain", "python3 -c 'x = bytearray(1000000000)' > $OUTPUT_FILE 2>&1; exit 0").text;
    contains(memory, "Memory");
#endif
  }

  void programs_are_kept_from_the_server_and_each_other() {
    World world;
    std::ofstream(world.scratch.path / "spool" / "queued") << "a secret";
    const std::string spool = world.scratch.path / "spool", outside = world.scratch.path / "outside", open = world.scratch.path / "open";
    std::filesystem::create_directory(open);
    world.limits.writable = {open};
    const std::string script = "exec > $OUTPUT_FILE 2>&1; cat " + spool + "/queued; ls " + spool + "; echo x > " + outside + "; echo x > " + open + "/file; kill -0 " +
                               std::to_string(::getpid()) + " && echo reached; unshare -U true || echo no namespaces; id -u; pwd; cat $INPUT_FILE > own && cat own | wc -c; " +
                               "ls $PWD; cat /etc/passwd | head -n 1; exit 0";
    const std::string text = world.convert("in-type=application; out-type=text; out-subtype=plain; out-encoding=8bit; command=\"P\"", script).text;
    // The next program has another converter.
    const Isolation isolation = world.converter.isolation();
    contains(text, "\r\n4\r\n");
    contains(text, "no namespaces");
    contains(text, "root:");
    contains(text, "input.headers");
    contains(text, "\r\n" + std::to_string(::geteuid()) + "\r\n" + spool + "/conversion.work/");
    if (!isolation.none()) CPPUNIT_ASSERT_MESSAGE(text, text.find("a secret") == std::string::npos);
    const bool namespaces = !isolation.namespaces().starts_with("none"), files = !isolation.files().starts_with("none");
    if (namespaces) CPPUNIT_ASSERT_MESSAGE(text, text.find("reached") == std::string::npos);
    if (files) {
      CPPUNIT_ASSERT(!std::filesystem::exists(outside));
      CPPUNIT_ASSERT_MESSAGE(text, std::filesystem::exists(open + "/file"));
    }
    // Nor do they fill the disk there.
    world.limits.writable_bytes = 1000000;
    const auto fill = [&](int kilobytes) {
      return world.convert("in-type=application; command=\"P\"", "i=0; while [ $i -lt " + std::to_string(kilobytes / 4) + " ]; do head -c 4000 /dev/zero > " + open +
                                                                     "/f$i || exit 0; i=$((i + 1)); done; sleep " + (kilobytes > 1000 ? "100" : "1") + "; cp $INPUT_FILE $OUTPUT_FILE");
    };
    if (files) {
      CPPUNIT_ASSERT_EQUAL(std::string(), fill(100).why);
      const Outcome filled = fill(2000);
      CPPUNIT_ASSERT(filled.kind == Outcome::Kind::again);
      contains(filled.why, "filled a directory of conversion.writable");
      world.limits.writable_bytes = 0;
      CPPUNIT_ASSERT_EQUAL(std::string(), fill(900).why);
    }
    if (!namespaces || !files) std::cerr << "programs: namespaces " << isolation.namespaces() << ", files " << isolation.files() << "\n";
    // A socket of the server is not there either.
    const std::string connected = world.convert("in-type=application; out-type=text; out-subtype=plain; command=\"P\"",
                                                "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect(\"" + spool + "/queued\")' > $OUTPUT_FILE 2>&1; exit 0").text;
    contains(connected, namespaces ? "FileNotFoundError" : "Error");
  }

  void programs_end_with_the_process_that_started_them() {
    World world;
    const std::string left = "sleep 2000" + std::to_string(::getpid());
    const pid_t pid = ::fork();
    if (pid == 0) {
      world.convert("in-type=application; command=\"P\"", left + " & " + left + "1");
      ::_exit(0);
    }
    for (int i = 0; i < 1000 && !runs(left); ++i) ::usleep(10000);
    CPPUNIT_ASSERT(runs(left));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    CPPUNIT_ASSERT(ends(left + "1"));
    CPPUNIT_ASSERT(ends(left));
  }

  void what_a_dead_process_left_is_removed() {
    test::ScratchDirectory scratch;
    const auto work = scratch.path / "conversion.work";
    {
      auto place = WorkPlace::open(scratch.directory.get(), scratch.directory.get()).value();
      const auto left = std::filesystem::directory_iterator(work)->path() / "program";
      std::filesystem::create_directories(left / "its own");
      std::ofstream(left / "its own" / "file") << "x";
      std::filesystem::permissions(left / "its own", std::filesystem::perms::none);
      auto second = WorkPlace::open(scratch.directory.get(), scratch.directory.get()).value();
      CPPUNIT_ASSERT_EQUAL(std::ptrdiff_t{2}, std::distance(std::filesystem::directory_iterator(work), {}));
    }
    auto third = WorkPlace::open(scratch.directory.get(), scratch.directory.get()).value();
    CPPUNIT_ASSERT_EQUAL(std::ptrdiff_t{1}, std::distance(std::filesystem::directory_iterator(work), {}));
  }

  void too_many_programs_hold_the_message() {
    World world;
    std::string message = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
    for (std::size_t i = 0; i <= kMostPrograms; ++i) message += "--b\r\n\r\nx\r\n";
    const Outcome outcome = world.convert("in-type=*; command=\"/bin/true\"", "", message + "--b--\r\n");
    CPPUNIT_ASSERT(outcome.kind == Outcome::Kind::held);
    contains(outcome.why, "more than 100 parts");
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ConverterTest);

// ---- the channel: what becomes of messages ------------------------------------------------------------------------------------

struct Site {
  World world;
  spool::Deferred waiting = spool::Deferred::open(base::system_files(), world.scratch.directory.get(), "conversion").value();
  std::vector<std::pair<mail::Envelope, std::string>> submitted;
  std::vector<std::string> told, held;
  bool submit_fails = false;
  net::asio::io_context io{1};
  queue::Notifier notifier{[this](std::string address) { return resolve(std::move(address)); },
                           [this](mail::Envelope envelope, std::string text) { return notice(std::move(envelope), std::move(text)); }, {}};
  Channel channel{{io, waiting, world.converter, notifier, [this](mail::Envelope envelope, std::string text) { return submit(std::move(envelope), std::move(text)); },
                   [this](std::string address) { return resolve(std::move(address)); },
                   [this](const mail::Envelope& envelope, std::string_view) {
                     held.push_back(envelope.held_by);
                     return Result<void>();
                   },
                   [] {}},
                  {queue::RetrySchedule{.first = 60s, .expire_time = 3600s, .expire_time_low = 3600s}, 2, "postmaster@example.com"}};

  Awaitable<Result<std::vector<mail::Recipient>>> resolve(std::string address) {
    mail::Recipient recipient;
    recipient.address = recipient.account = std::move(address);
    recipient.destination_channel = "ims-ms";
    co_return std::vector<mail::Recipient>{recipient};
  }
  Awaitable<Result<void>> submit(mail::Envelope envelope, std::string text) {
    if (submit_fails) co_return Error{Kind::temporary, "no room"};
    submitted.emplace_back(std::move(envelope), std::move(text));
    co_return Result<void>();
  }
  Awaitable<Result<void>> notice(mail::Envelope, std::string text) {
    told.push_back(std::move(text));
    co_return Result<void>();
  }

  static mail::Envelope envelope(std::initializer_list<const char*> addresses) {
    mail::Envelope envelope;
    envelope.id = "0123456789abcdefghijklmnop";
    envelope.received = base::wall_now();
    envelope.reverse_path = "sender@example.net";
    envelope.source_channel = "tcp_local";
    for (const char* address : addresses) {
      mail::Recipient recipient;
      recipient.address = recipient.account = address;
      recipient.destination_channel = "ims-ms";
      envelope.recipients.push_back(std::move(recipient));
    }
    return envelope;
  }
  // One round over what is there.
  void run(const std::string& entries, const std::string& script) {
    world.convert(entries, script, "Subject: nothing\r\n\r\n");
    CPPUNIT_ASSERT(channel.scan());
    channel.run();
    io.restart();
    io.run();
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, channel.under_way());
  }
  [[nodiscard]] std::vector<spool::DeferredEntry> left() const { return waiting.list(100).value(); }
};

class ChannelTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ChannelTest);
  CPPUNIT_TEST(a_changed_message_goes_on_under_an_id_of_its_own);
  CPPUNIT_TEST(recipients_with_other_tags_are_converted_for_themselves);
  CPPUNIT_TEST(results_reach_the_envelope);
  CPPUNIT_TEST(what_fails_waits_and_is_given_up_in_the_end);
  CPPUNIT_TEST(who_waits_long_is_told_once);
  CPPUNIT_TEST(what_could_not_be_submitted_stays);
  CPPUNIT_TEST(orders_are_carried_out_when_it_would_wait_again);
  CPPUNIT_TEST_SUITE_END();

  const std::string upper_ = "in-type=application; override-option-file=1; command=\"P\"";

  void a_changed_message_goes_on_under_an_id_of_its_own() {
    Site site;
    CPPUNIT_ASSERT(site.waiting.put(Site::envelope({"a@example.com", "b@example.com"}), kMixed, base::WallTime{}));
    site.run(upper_, "echo x > $OUTPUT_FILE");
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.submitted.size());
    const auto [envelope, text] = site.submitted[0];
    CPPUNIT_ASSERT(mail::is_message_id(envelope.id) && envelope.id != "0123456789abcdefghijklmnop");
    CPPUNIT_ASSERT(text != kMixed && envelope.recipients.size() == 2 && envelope.recipients[0].conversion == mail::Recipient::Conversion::done);
    CPPUNIT_ASSERT(site.left().empty());
    // After a crash the same comes of it, in whatever order the recipients stand.
    CPPUNIT_ASSERT(site.waiting.put(Site::envelope({"b@example.com", "a@example.com"}), kMixed, base::WallTime{}));
    site.run(upper_, "echo x > $OUTPUT_FILE");
    CPPUNIT_ASSERT_EQUAL(envelope.id, site.submitted[1].first.id);
    // Unchanged it is the same message.
    CPPUNIT_ASSERT(site.waiting.put(Site::envelope({"b@example.com"}), kMixed, base::WallTime{}));
    site.run("in-type=image; delete=1", "");
    CPPUNIT_ASSERT_EQUAL(std::string("0123456789abcdefghijklmnop"), site.submitted[2].first.id);
    CPPUNIT_ASSERT_EQUAL(kMixed, site.submitted[2].second);
  }

  void orders_are_carried_out_when_it_would_wait_again() {
    using Order = spool::Deferred::MessageOrder;
    for (const Order order : {Order::bounce, Order::hold, Order::remove}) {
      Site site;
      const mail::Envelope envelope = Site::envelope({"a@example.com"});
      CPPUNIT_ASSERT(site.waiting.put(envelope, kMixed, base::WallTime{}));
      CPPUNIT_ASSERT(site.waiting.give_message_order(envelope.id, order));
      site.run(upper_, "kill -9 $$");
      CPPUNIT_ASSERT(site.left().empty() && site.submitted.empty() && !site.waiting.message_order(envelope.id));
      CPPUNIT_ASSERT_EQUAL(std::size_t{order == Order::bounce ? 1U : 0U}, site.told.size());
      CPPUNIT_ASSERT_EQUAL(std::size_t{order == Order::hold ? 1U : 0U}, site.held.size());
    }
  }

  void recipients_with_other_tags_are_converted_for_themselves() {
    Site site;
    mail::Envelope envelope = Site::envelope({"a@example.com", "b@example.com", "c@example.com"});
    envelope.recipients[1].conversion_tags = {"Plain"};
    envelope.recipients[2].destination_channel = "tcp_local";
    CPPUNIT_ASSERT(site.waiting.put(envelope, kMixed, base::WallTime{}));
    site.run("tag=plain; in-type=application; delete=1\nout-chan=tcp_local; in-type=text; delete=1", "");
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, site.submitted.size());
    for (const auto& [one, text] : site.submitted) {
      const std::string& address = one.recipients.at(0).address;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(address, address != "b@example.com", text.find("application/zip") != std::string::npos);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(address, address != "c@example.com", text.find("Inner text") != std::string::npos);
    }
  }

  void results_reach_the_envelope() {
    const std::pair<const char*, std::function<bool(const Site&)>> rows[] = {
        {"FORCEHOLD", [](const Site& site) { return site.submitted.at(0).first.held && site.submitted[0].first.held_by.find("part 2") != std::string::npos; }},
        {"FORCEDISCARD", [](const Site& site) { return site.submitted.at(0).first.discarded && !site.submitted[0].first.jettisoned; }},
        {"FORCEJETTISON", [](const Site& site) { return site.submitted.at(0).first.jettisoned; }},
        {"FORCEPOST", [](const Site& site) { return site.submitted.at(0).first.recipients.at(0).address == "postmaster@example.com"; }},
        {"FORCERETURN", [](const Site& site) { return site.submitted.empty() && site.told.size() == 1 && site.told[0].find("5.7.1") != std::string::npos; }}};
    for (const auto& [status, good] : rows) {
      Site site;
      CPPUNIT_ASSERT(site.waiting.put(Site::envelope({"a@example.com"}), kMixed, base::WallTime{}));
      site.run(upper_, std::string("echo STATUS=") + status + " > $OUTPUT_OPTIONS");
      CPPUNIT_ASSERT_MESSAGE(status, good(site));
      CPPUNIT_ASSERT_MESSAGE(status, site.left().empty());
    }
  }

  void what_fails_waits_and_is_given_up_in_the_end() {
    Site site;
    mail::Envelope envelope = Site::envelope({"a@example.com"});
    envelope.received -= 30 * 24h;  // it may have been held until now
    CPPUNIT_ASSERT(site.waiting.put(envelope, kMixed, base::WallTime{}));
    site.run(upper_, "kill -KILL $$");
    CPPUNIT_ASSERT(site.submitted.empty() && site.told.empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.left().size());
    const spool::DeferredEntry entry = site.left()[0];
    const auto head = site.waiting.read_head(entry).value();
    CPPUNIT_ASSERT(head.envelope.attempts == 1 && head.envelope.recipients.at(0).last_failure.diagnostic.find("signal 9") != std::string::npos);
    CPPUNIT_ASSERT(site.waiting.reschedule(entry, base::wall_now() - 1s));
    site.run(upper_, "exit 0");
    CPPUNIT_ASSERT(site.left().empty() && site.submitted.empty() && site.told.size() == 1);
    CPPUNIT_ASSERT(site.told[0].find("signal 9") != std::string::npos && site.told[0].find("5.4.7") != std::string::npos);
  }

  void who_waits_long_is_told_once() {
    Site site;
    site.channel.set_settings({queue::RetrySchedule{.first = 60s, .delay_notice = 100s}, 2, "postmaster@example.com"});
    mail::Envelope envelope = Site::envelope({"a@example.com"});
    for (const auto& [age, notices] : {std::pair{0s, 0U}, {2h, 1U}, {3h, 1U}}) {
      envelope.received = base::wall_now() - age;
      CPPUNIT_ASSERT(site.waiting.put(envelope, kMixed, base::WallTime{}));
      site.run(upper_, "kill -KILL $$");
      CPPUNIT_ASSERT_EQUAL(std::size_t{notices}, site.told.size());
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.left().size());
      envelope = site.waiting.read_head(site.left()[0]).value().envelope;
      CPPUNIT_ASSERT_EQUAL(notices == 1, envelope.recipients.at(0).delay_notified);
      CPPUNIT_ASSERT(site.waiting.remove(site.left()[0]));
    }
    CPPUNIT_ASSERT(site.told[0].find("Action: delayed") != std::string::npos && site.told[0].find("signal 9") != std::string::npos);
  }

  void what_could_not_be_submitted_stays() {
    Site site;
    site.submit_fails = true;
    CPPUNIT_ASSERT(site.waiting.put(Site::envelope({"a@example.com"}), kMixed, base::WallTime{}));
    site.run(upper_, "echo x > $OUTPUT_FILE");
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.left().size());
    CPPUNIT_ASSERT(!site.left()[0].forced() && site.left()[0].next_attempt > base::wall_now());
    // Whoever else has it is left alone.
    const auto claim = site.waiting.claim(site.left()[0]);
    site.submit_fails = false;
    CPPUNIT_ASSERT(site.waiting.reschedule(site.left()[0], base::WallTime{}));
    site.run(upper_, "");
    CPPUNIT_ASSERT(site.submitted.empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.left().size());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ChannelTest);

}  // namespace
}  // namespace postern::conversion
