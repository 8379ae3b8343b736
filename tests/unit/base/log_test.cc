// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include "base/descriptor.h"

#include <cppunit/extensions/HelperMacros.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace postern;
using base::Severity;

namespace {

class LogTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(LogTest);
  CPPUNIT_TEST(values_are_quoted_when_they_must_be);
  CPPUNIT_TEST(a_line_is_one_event);
  CPPUNIT_TEST(lesser_lines_are_dropped);
  CPPUNIT_TEST(severities_have_names);
  CPPUNIT_TEST(lines_may_be_gathered_and_stay_in_order);
  CPPUNIT_TEST(a_forked_process_logs_its_own_number);
  CPPUNIT_TEST_SUITE_END();

  void values_are_quoted_when_they_must_be() {
    const struct {
      std::string value, want;
    } rows[] = {
        {"plain", "plain"}, {"", "\"\""}, {"a b", "\"a b\""}, {"a=b", "\"a=b\""}, {"say \"x\"", "\"say \\\"x\\\"\""}, {"back\\slash", "\"back\\\\slash\""},
        {"a\r\nforged event", "\"a\\x0d\\x0aforged event\""}, {std::string("a\0b", 3), "\"a\\x00b\""}, {"\x1b[31m\x7f", "\"\\x1b[31m\\x7f\""}, {"\xc3\xa4", "\xc3\xa4"},
        {std::string(512, 'x'), std::string(512, 'x')}, {std::string(513, 'x'), "\"" + std::string(512, 'x') + "...\""},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(row.want, base::quoted_for_log(row.value));
  }

  std::string written(void (*write)()) {
    const base::Descriptor file(::memfd_create("log", 0));
    base::set_log_descriptor(file.get());
    write();
    base::set_log_descriptor(STDERR_FILENO);
    base::configure_log(base::Destination::standard_error, "postern", Severity::info);
    return *base::read_all(file.get(), 100'000);
  }

  void a_line_is_one_event() {
    const std::string text = written([] {
      base::configure_log(base::Destination::standard_error, "posternd smtp[2]", Severity::info);
      base::log_event(Severity::warning, "connection-refused", {{"remote", "192.0.2.1"}, {"count", 7}, {"text", std::string("a\nb")}});
    });
    const std::string tail = " posternd smtp[2][" + std::to_string(::getpid()) + "] warning: connection-refused remote=192.0.2.1 count=7 text=\"a\\x0ab\"\n";
    CPPUNIT_ASSERT_MESSAGE(text, text.ends_with(tail));
    // "2026-11-21T20:05:00.123Z"
    CPPUNIT_ASSERT_EQUAL(std::size_t{24}, text.size() - tail.size());
    CPPUNIT_ASSERT(text[10] == 'T' && text[19] == '.' && text[23] == 'Z');
  }

  void lesser_lines_are_dropped() {
    CPPUNIT_ASSERT_EQUAL(std::string(), written([] {
      base::configure_log(base::Destination::standard_error, "x", Severity::error);
      base::log_event(Severity::warning, "not-written");
      CPPUNIT_ASSERT(!base::log_enabled(Severity::warning) && base::log_enabled(Severity::error) && base::log_enabled(Severity::critical));
    }));
  }

  void severities_have_names() {
    for (const Severity severity : {Severity::debug, Severity::info, Severity::notice, Severity::warning, Severity::error, Severity::critical}) {
      Severity back = Severity::debug;
      CPPUNIT_ASSERT(base::severity_from(base::to_string(severity), back) && back == severity);
    }
    Severity unchanged = Severity::notice;
    CPPUNIT_ASSERT(!base::severity_from("loud", unchanged) && unchanged == Severity::notice);
  }

  static std::string events(const std::string& text) {
    std::string out;
    for (std::size_t at = 0; (at = text.find(": ", at)) != std::string::npos; at += 2) out += text.substr(at + 2, text.find_first_of(" \n", at + 2) - at - 2) + " ";
    return out;
  }

  void lines_may_be_gathered_and_stay_in_order() {
    const base::Descriptor file(::memfd_create("log", 0));
    base::set_log_descriptor(file.get());
    base::configure_log(base::Destination::standard_error, "p", Severity::info);
    const auto so_far = [&] { return events(*base::read_all(file.get(), 1'000'000)); };
    base::log_event_gathered(Severity::info, "first", {});
    base::log_event_gathered(Severity::info, "second", {});
    CPPUNIT_ASSERT(base::log_gathered());
    CPPUNIT_ASSERT_EQUAL(std::string(), so_far());
    base::flush_log();
    CPPUNIT_ASSERT(!base::log_gathered());
    CPPUNIT_ASSERT_EQUAL(std::string("first second "), so_far());
    base::log_event_gathered(Severity::info, "third", {});
    base::log_event(Severity::info, "fourth");
    CPPUNIT_ASSERT_EQUAL(std::string("first second third fourth "), so_far());
    // What is too much does not wait.
    for (int i = 0; i < 20; ++i) base::log_event_gathered(Severity::info, "long", {{"text", std::string(400, 'x')}});
    CPPUNIT_ASSERT(base::log_gathered());
    const std::size_t before = std::string("first second third fourth ").size(), each = std::string("long ").size();
    const std::size_t some = so_far().size();
    CPPUNIT_ASSERT_MESSAGE(so_far(), some >= before + 9 * each && some < before + 20 * each);
    base::flush_log();
    CPPUNIT_ASSERT_EQUAL(before + 20 * each, so_far().size());
    base::log_event(Severity::info, "last");
    CPPUNIT_ASSERT(so_far().ends_with("long last "));
    base::set_log_descriptor(STDERR_FILENO);
    base::configure_log(base::Destination::standard_error, "postern", Severity::info);
  }

  void a_forked_process_logs_its_own_number() {
    const base::Descriptor file(::memfd_create("log", 0));
    base::set_log_descriptor(file.get());
    base::log_event(Severity::info, "parent");
    const pid_t child = ::fork();
    if (child == 0) {
      base::log_event(Severity::info, "child");
      ::_exit(0);
    }
    int status = 0;
    CPPUNIT_ASSERT_EQUAL(child, ::waitpid(child, &status, 0));
    base::set_log_descriptor(STDERR_FILENO);
    const std::string text = *base::read_all(file.get(), 100'000);
    CPPUNIT_ASSERT_MESSAGE(text, text.find("[" + std::to_string(::getpid()) + "] info: parent") != std::string::npos);
    CPPUNIT_ASSERT_MESSAGE(text, text.find("[" + std::to_string(child) + "] info: child") != std::string::npos);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(LogTest);

}  // namespace
