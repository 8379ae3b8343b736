// SPDX-License-Identifier: Apache-2.0
// postern-sieve: checks Sieve scripts and shows what they would do with a message. Needs no server and no configuration, and
// carries nothing out.
#include "config.h"

#include "mail/message.h"
#include "sieve/compile.h"
#include "sieve/run.h"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace postern;

constexpr int kGood = 0, kBad = 1, kUsage = 2;
constexpr std::size_t kLargestFile = 256 * 1024 * 1024;

constexpr std::string_view kHelp = R"(usage: postern-sieve check [options] SCRIPT...
       postern-sieve run [options] SCRIPT MESSAGE...
       postern-sieve extensions [--json]

check       compile the scripts; report every mistake with its line and column
run         show what SCRIPT would do with each message; nothing is carried out
extensions  list what scripts may require

SCRIPT and MESSAGE are files; "-" is standard input.

  --envelope-from ADDRESS  sender of the envelope; "" or "<>" is the null one
                           (default: Return-Path, else the first From address)
  --envelope-to ADDRESS    recipient of the envelope (default: Delivered-To, else the first To address)
  --envelope-auth ADDRESS  authenticated sender (default: none)
  --mailbox NAME           this mailbox exists; may be given several times (default: INBOX only)
  --delimiters CHARACTERS  what separates user and detail in an address (default: +)
  --cpu-time MILLISECONDS  limit for one run (default: 30000)
  --trace                  print each test and action as it is done (run)
  --json                   machine-readable output
  --help                   this text
  --version                print the version

Exit status: 0 all is well, 1 a script has mistakes or failed while it ran, 2 wrong usage or unreadable file.
)";

struct Options {
  std::vector<std::string> files;
  std::optional<std::string> from, to;
  std::string authenticated, delimiters = "+";
  std::vector<std::string> mailboxes;
  bool trace = false, json = false;
  sieve::Limits limits;
};

[[noreturn]] void wrong_usage(const std::string& text) {
  std::cerr << "postern-sieve: " << text << "\nTry: postern-sieve --help\n";
  std::exit(kUsage);
}

// The content of a file; nothing, and a line on standard error, if it can't be read.
std::optional<std::string> read_file(const std::string& name) {
  std::FILE* file = name == "-" ? stdin : std::fopen(name.c_str(), "rb");
  const auto complain = [&](const std::string& why) {
    std::cerr << "postern-sieve: " << name << ": " << why << '\n';
    return std::nullopt;
  };
  if (file == nullptr) return complain(std::strerror(errno));
  std::string content;
  std::array<char, 65536> buffer{};
  for (std::size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), file)) > 0 && content.size() <= kLargestFile;) content.append(buffer.data(), got);
  const int error = std::ferror(file) != 0 ? errno : 0;
  if (file != stdin) std::fclose(file);
  if (error != 0) return complain(std::strerror(error));
  if (content.size() > kLargestFile) return complain("larger than 256 MiB");
  return content;
}

std::string_view line_of(std::string_view source, int line) {
  if (source.starts_with("\xef\xbb\xbf")) source.remove_prefix(3);
  for (; line > 1; --line) {
    const auto end = source.find('\n');
    if (end == std::string_view::npos) return {};
    source.remove_prefix(end + 1);
  }
  std::string_view text = source.substr(0, source.find('\n'));
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

// The line with a caret below the column. Tabs stay tabs, so that both lines agree; control bytes are not shown.
void print_place(std::string_view source, int line, int column) {
  constexpr int kLongest = 160;
  std::string shown, caret;
  int character = 0;
  for (const char c : line_of(source, line)) {
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) ++character;
    if (character > kLongest) break;
    shown += (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f ? '?' : c;
    if (character < column && (static_cast<unsigned char>(c) & 0xc0) != 0x80) caret += c == '\t' ? '\t' : ' ';
  }
  std::cerr << "    " << shown << '\n';
  if (column <= kLongest) std::cerr << "    " << caret << "^\n";
}

void print_mistakes(const std::string& name, std::string_view source, const std::vector<sieve::Mistake>& mistakes) {
  for (const auto& mistake : mistakes) {
    std::cerr << name << ':' << mistake.line << ':' << mistake.column << ": " << (mistake.warning ? "warning: " : "error: ") << mistake.text << '\n';
    print_place(source, mistake.line, mistake.column);
  }
}

boost::json::array to_json(const std::vector<sieve::Mistake>& mistakes) {
  boost::json::array list;
  for (const auto& mistake : mistakes)
    list.push_back({{"line", mistake.line}, {"column", mistake.column}, {"severity", mistake.warning ? "warning" : "error"}, {"text", mistake.text}});
  return list;
}

int check(const Options& options) {
  if (options.files.empty()) wrong_usage("check needs a script");
  int status = kGood;
  boost::json::array all;
  for (const std::string& name : options.files) {
    const auto source = read_file(name);
    if (!source) return kUsage;
    const sieve::Compiled compiled = sieve::compile(*source);
    if (!compiled.program) status = kBad;
    if (options.json) {
      all.push_back({{"script", name}, {"valid", compiled.program != nullptr}, {"mistakes", to_json(compiled.mistakes)}});
      continue;
    }
    print_mistakes(name, *source, compiled.mistakes);
    const auto errors = std::count_if(compiled.mistakes.begin(), compiled.mistakes.end(), [](const auto& mistake) { return !mistake.warning; });
    if (compiled.program) std::cout << name << ": valid\n";
    else std::cout << name << ": " << errors << (errors == 1 ? " mistake\n" : " mistakes\n");
  }
  if (options.json) std::cout << boost::json::serialize(all) << '\n';
  return status;
}

class ToolHost : public sieve::Host {
 public:
  ToolHost(const Options& options, std::string script) : options_(options), script_(std::move(script)) {}
  bool mailbox_exists(const std::string& name) override {
    return name == "INBOX" || std::find(options_.mailboxes.begin(), options_.mailboxes.end(), name) != options_.mailboxes.end();
  }
  std::string_view sub_address_delimiters() override { return options_.delimiters; }
  bool wants_trace() override { return options_.trace; }
  void trace(int line, int column, const std::string& text) override { std::cerr << script_ << ':' << line << ':' << column << ": " << text << '\n'; }

 private:
  const Options& options_;
  std::string script_;
};

// The first address of the first of these fields.
std::string address_from(const mail::MessageView& message, std::initializer_list<std::string_view> names) {
  std::vector<std::size_t> fields;
  for (const auto name : names) {
    message.find(name, fields);
    for (const auto field : fields)
      for (const auto& entry : message.addresses(field).addresses)
        if (entry.valid)
          if (const auto mailbox = mail::parse_mailbox(mail::quoted_local_part(entry.local_part) + "@" + entry.domain)) return mailbox->to_string();
    // "Return-Path: <>" says that there is none.
    if (!fields.empty() && name == "Return-Path") return {};
  }
  return {};
}

std::string envelope_address(const std::string& given, bool null_allowed) {
  std::string text = given;
  if (text.size() >= 2 && text.front() == '<' && text.back() == '>') text = text.substr(1, text.size() - 2);
  if (text.empty() && null_allowed) return text;
  const auto mailbox = mail::parse_mailbox(text);
  if (!mailbox) wrong_usage("\"" + given + "\" is no address: " + mailbox.error().what);
  return mailbox->to_string();
}

boost::json::object to_json(const sieve::Action& action) {
  boost::json::object object{{"action", to_string(action.kind)}, {"line", action.line}, {"column", action.column}};
  if (action.kind == sieve::Action::Kind::fileinto) object["mailbox"] = action.target;
  if (action.kind == sieve::Action::Kind::redirect) object["address"] = action.target;
  if (action.copy) object["copy"] = true;
  if (action.create) object["create"] = true;
  if (!action.flags.empty()) object["flags"] = boost::json::value_from(action.flags);
  return object;
}

int run(const Options& options) {
  if (options.files.size() < 2) wrong_usage("run needs a script and at least one message");
  const std::string& name = options.files.front();
  const auto source = read_file(name);
  if (!source) return kUsage;
  const sieve::Compiled compiled = sieve::compile(*source);
  if (!compiled.program) {
    if (options.json) std::cout << boost::json::serialize(boost::json::object{{"script", name}, {"valid", false}, {"mistakes", to_json(compiled.mistakes)}}) << '\n';
    else print_mistakes(name, *source, compiled.mistakes);
    return kBad;
  }
  if (!options.json) print_mistakes(name, *source, compiled.mistakes);
  int status = kGood;
  ToolHost host(options, name);
  boost::json::array results;
  for (std::size_t i = 1; i < options.files.size(); ++i) {
    const auto text = read_file(options.files[i]);
    if (!text) return kUsage;
    const mail::MessageView message(*text);
    const std::string from = options.from ? envelope_address(*options.from, true) : address_from(message, {"Return-Path", "From"});
    const std::string to = options.to ? envelope_address(*options.to, false) : address_from(message, {"Delivered-To", "To"});
    const sieve::EnvelopeView envelope{from, to, to, options.authenticated};
    const sieve::Outcome outcome = sieve::run(*compiled.program, message, envelope, host, options.limits);
    if (outcome.error) status = kBad;
    if (options.json) {
      boost::json::array actions;
      for (const auto& action : outcome.actions) actions.push_back(to_json(action));
      boost::json::object object{{"message", options.files[i]}, {"actions", actions}, {"implicit_keep", outcome.implicit_keep},
                                 {"explicit", outcome.decided_explicitly}, {"steps", outcome.steps_used}, {"cpu_microseconds", outcome.cpu_used.count()}};
      if (!outcome.keep_flags.empty()) object["keep_flags"] = boost::json::value_from(outcome.keep_flags);
      if (outcome.error) object["error"] = {{"line", outcome.error->line}, {"column", outcome.error->column}, {"text", outcome.error->text}};
      results.push_back(object);
      continue;
    }
    std::cout << options.files[i] << ":\n";
    if (outcome.error) {
      std::cout << "  keep (implicit: the script failed)\n";
      std::cout.flush();
      std::cerr << name << ':' << outcome.error->line << ':' << outcome.error->column << ": run-time error: " << outcome.error->text << '\n';
      print_place(*source, outcome.error->line, outcome.error->column);
      continue;
    }
    for (const auto& action : outcome.actions) std::cout << "  " << to_string(action) << "  (line " << action.line << ")\n";
    if (outcome.implicit_keep) {
      sieve::Action keep;
      keep.implicit = true;
      keep.flags = outcome.keep_flags;
      std::cout << "  " << to_string(keep) << '\n';
    }
  }
  if (options.json) std::cout << boost::json::serialize(results) << '\n';
  return status;
}

int list_extensions(const Options& options) {
  if (!options.files.empty()) wrong_usage("extensions takes no files");
  boost::json::array list;
  for (const auto& capability : sieve::capabilities()) {
    if (options.json) {
      list.push_back({{"name", capability.name}, {"standard", capability.standard}, {"summary", capability.summary}});
      continue;
    }
    std::printf("%-28s %-9s %s\n", capability.name.c_str(), capability.standard.c_str(), capability.summary.c_str());
  }
  if (options.json) std::cout << boost::json::serialize(list) << '\n';
  return kGood;
}

Options options_from(const std::vector<std::string>& arguments) {
  Options options;
  options.limits.cpu_time = std::chrono::seconds(30);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 >= arguments.size()) wrong_usage(word + " needs a value");
      return arguments[++i];
    };
    if (word == "--envelope-from") options.from = value();
    else if (word == "--envelope-to") options.to = value();
    else if (word == "--envelope-auth") options.authenticated = envelope_address(value(), false);
    else if (word == "--mailbox") options.mailboxes.push_back(value());
    else if (word == "--delimiters") options.delimiters = value();
    else if (word == "--trace") options.trace = true;
    else if (word == "--json") options.json = true;
    else if (word == "--cpu-time") {
      const std::string& text = value();
      char* end = nullptr;
      const long number = std::strtol(text.c_str(), &end, 10);
      if (text.empty() || *end != '\0' || number < 1 || number > 3600000) wrong_usage("--cpu-time: expected 1 to 3600000, found \"" + text + "\"");
      options.limits.cpu_time = std::chrono::milliseconds(number);
    } else if (word == "--") {
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
  if (arguments.empty()) wrong_usage("expected check, run or extensions");
  const Options options = options_from({arguments.begin() + 1, arguments.end()});
  if (arguments.front() == "check") return check(options);
  if (arguments.front() == "run") return run(options);
  if (arguments.front() == "extensions") return list_extensions(options);
  wrong_usage("unknown command " + arguments.front());
}
