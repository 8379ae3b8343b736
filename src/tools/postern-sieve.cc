// SPDX-License-Identifier: Apache-2.0
// postern-sieve: checks Sieve scripts and shows what they would do with a message, formats them, runs test files, and makes rules
// from templates. Needs no server and no configuration, and carries nothing out.
#include "config.h"

#include "base/text.h"
#include "mail/header.h"
#include "tools/sieve_tool.h"

#include <algorithm>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace postern;
using namespace postern::tools;

constexpr std::string_view kHelp = R"(usage: postern-sieve check [options] SCRIPT...
       postern-sieve run [options] SCRIPT MESSAGE...
       postern-sieve test [-q] [-F] [--junit FILE] FILE.svtest...
       postern-sieve format [--write] SCRIPT...
       postern-sieve extensions [--json]
       postern-sieve template list|show|fill|read [options] ...

check       compile the scripts; report every mistake with its line and column, and what looks unintended
run         show what SCRIPT would do with each message; nothing is carried out
test        run files in the Sieve test language
format      print SCRIPT in canonical layout, comments and meaning unchanged
extensions  list what scripts may require
template    list; show TEMPLATE; fill TEMPLATE NAME=VALUE...; read RULE
            TEMPLATE is the id of a shipped template, or a file

SCRIPT and MESSAGE are files; "-" is standard input.

  --envelope-from ADDRESS  sender of the envelope; "" or "<>" is the null one
                           (default: Return-Path, else the first From address)
  --envelope-to ADDRESS    recipient of the envelope (default: Delivered-To, else the first To address)
  --envelope-auth ADDRESS  authenticated sender (default: none)
  --mailbox NAME           this mailbox exists; may be given several times (default: INBOX only)
  --spam-field FIELD       header field with the score of a spam filter, for spamtest (default: none, not tested)
  --spam-text TEXT         what stands in it in front of the number (default: nothing)
  --spam-scale SCORE       the score that is certainly spam (default: 10)
  --virus-field FIELD      header field with the verdict of a virus scanner, for virustest (default: none)
  --virus-value "TEXT N"   how that field begins, and what it means, 1 to 5; may be given several times
                           (default: "Clean 1" and "Infected 5")
  --environment ITEM=VALUE what the test environment finds for ITEM; may be given several times
  --delimiters CHARACTERS  what separates user and detail in an address (default: +)
  --folder-separators CHARACTERS
                           what stands between the parts of a folder's name in scripts and forms: "/", "." or both (default: /)
  --include DIR            where include finds personal scripts, NAME.sieve (default: the script's folder)
  --include-global DIR     where it finds global ones (default: none)
  --system                 the script is one of the server's own (access to vnd.postern.* actions)
  --cpu-time MILLISECONDS  limit for one run (default: 30000)
  --trace                  print each test and action as it is done (run)
  --write                  replace the files (format)
  -q                       print only what is not ok, and the last line (test)
  -F                       all tests must fail (test)
  --junit FILE             write the results there, too (test)
  --templates DIR          where the templates are
  --order N, --name NAME   place and name of the rule (template fill)
  --json                   machine-readable output
  --help                   this text
  --version                print the version

Exit status: 0 all is well, 1 a script has mistakes or failed while it ran, or a test failed, 2 wrong usage or unreadable file.
)";

SieveOptions options_from(const std::vector<std::string>& arguments) {
  SieveOptions options;
  options.limits.cpu_time = std::chrono::seconds(30);
  bool virus_values_given = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 >= arguments.size()) wrong_usage(word + " needs a value");
      return arguments[++i];
    };
    const auto number = [&](unsigned least, unsigned most) {
      const std::string& text = value();
      const auto found = base::number_from<unsigned>(text);
      if (!found || *found < least || *found > most)
        wrong_usage(word + ": expected " + std::to_string(least) + " to " + std::to_string(most) + ", found \"" + text + "\"");
      return *found;
    };
    const auto field = [&]() -> const std::string& {
      const std::string& name = value();
      if (!mail::is_field_name(name)) wrong_usage(word + ": expected the name of a header field, found \"" + name + "\"");
      return name;
    };
    if (word == "--envelope-from") options.from = value();
    else if (word == "--envelope-to") options.to = value();
    else if (word == "--envelope-auth") options.authenticated = envelope_address(value(), false);
    else if (word == "--mailbox") options.mailboxes.push_back(value());
    else if (word == "--spam-field") options.scores.spam_field = field();
    else if (word == "--spam-text") options.scores.spam_text = value();
    else if (word == "--spam-scale") options.scores.spam_scale = number(1, 10'000);
    else if (word == "--virus-field") options.scores.virus_field = field();
    else if (word == "--virus-value") {
      const std::string& text = value();
      const auto blank = text.rfind(' ');
      const auto score = blank == std::string::npos ? std::nullopt : base::number_from<int>(std::string_view(text).substr(blank + 1));
      if (!score || *score < 1 || *score > 5 || blank == 0) wrong_usage(word + ": expected how the field begins, a blank, and 1 to 5, found \"" + text + "\"");
      if (!std::exchange(virus_values_given, true)) options.scores.virus_values.clear();
      options.scores.virus_values.emplace_back(text.substr(0, blank), *score);
    } else if (word == "--environment") {
      const std::string& text = value();
      const auto equals = text.find('=');
      if (equals == 0 || equals == std::string::npos) wrong_usage(word + ": expected ITEM=VALUE, found \"" + text + "\"");
      options.environment[base::lower(text.substr(0, equals))] = text.substr(equals + 1);
    } else if (word == "--delimiters") options.delimiters = value();
    else if (word == "--folder-separators") {
      const std::string& separators = options.limits.mailbox_separators = value();
      if (separators != "/" && separators != "." && separators != "/." && separators != "./") wrong_usage(word + ": expected \"/\", \".\" or both, found \"" + separators + "\"");
    } else if (word == "--include") options.personal_scripts = value();
    else if (word == "--include-global") options.global_scripts = value();
    else if (word == "--templates") options.templates = value();
    else if (word == "--junit") options.junit = value();
    else if (word == "--name") options.name = value();
    else if (word == "--order") options.order = number(0, 1000000);
    else if (word == "--cpu-time") options.limits.cpu_time = std::chrono::milliseconds(number(1, 3600000));
    else if (word == "--system") options.system_script = true;
    else if (word == "--trace") options.trace = true;
    else if (word == "--write") options.write = true;
    else if (word == "--json") options.json = true;
    else if (word == "-q") options.quiet = true;
    else if (word == "-F") options.expect_failure = true;
    else if (word == "--") {
      options.files.insert(options.files.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, arguments.end());
      break;
    } else if (word.size() > 1 && word.front() == '-') {
      wrong_usage("unknown option " + word);
    } else {
      options.files.push_back(word);
    }
  }
  return options;
}

}  // namespace

int main(int count, char** words) {
  const std::vector<std::string> arguments(words + std::min(count, 1), words + count);
  if (std::find(arguments.begin(), arguments.end(), "--help") != arguments.end() || (!arguments.empty() && arguments.front() == "help")) {
    std::cout << kHelp;
    return kGood;
  }
  if (!arguments.empty() && arguments.front() == "--version") {
    std::cout << "postern-sieve " << PACKAGE_VERSION << '\n';
    return kGood;
  }
  if (arguments.empty()) wrong_usage("expected check, run, test, format, extensions or template");
  const SieveOptions options = options_from({arguments.begin() + 1, arguments.end()});
  if (arguments.front() == "check") return sieve_check(options);
  if (arguments.front() == "run") return sieve_run(options);
  if (arguments.front() == "test") return sieve_test(options);
  if (arguments.front() == "format") return sieve_format(options);
  if (arguments.front() == "extensions") return sieve_extensions(options);
  if (arguments.front() == "template") return sieve_template(options);
  wrong_usage("unknown command " + arguments.front());
}
