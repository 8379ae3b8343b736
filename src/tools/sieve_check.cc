// SPDX-License-Identifier: Apache-2.0
// postern-sieve check, format and extensions, and how it reads files and shows mistakes.
#include "base/files.h"
#include "delivery/scripts.h"
#include "mail/address.h"
#include "sieve/format.h"
#include "sieve/lint.h"
#include "sieve/templates.h"
#include "tools/sieve_tool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>

namespace postern::tools {

namespace {

constexpr std::size_t kLargestFile = 256 * 1024 * 1024;

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

// The text of an included script, as `include` asks for it.
std::optional<std::string> included(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name + ".sieve";
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return std::nullopt;
  std::fclose(file);
  return read_input(path);
}

}  // namespace

void wrong_usage(const std::string& text) {
  std::cerr << "postern-sieve: " << text << "\nTry: postern-sieve --help\n";
  std::exit(kUsage);
}

std::optional<std::string> read_input(const std::string& name) {
  const auto complain = [&](const std::string& why) {
    std::cerr << "postern-sieve: " << name << ": " << why << '\n';
    return std::nullopt;
  };
  const base::Descriptor opened(name == "-" ? -1 : ::open(name.c_str(), O_RDONLY | O_CLOEXEC));
  const int file = name == "-" ? STDIN_FILENO : opened.get();
  if (file < 0) return complain(std::strerror(errno));
  std::string content;
  std::array<char, 65536> buffer;  // not cleared, which would take longer than to read a message
  for (;;) {
    const ssize_t got = ::read(file, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return complain(std::strerror(errno));
    if (got == 0) return content;
    content.append(buffer.data(), static_cast<std::size_t>(got));
    if (content.size() > kLargestFile) return complain("larger than 256 MiB");
  }
}

// Tabs stay tabs, so that both lines agree; control bytes are not shown.
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

void put_rule(boost::json::object& entry, const sieve::RulePlace& rule) {
  if (rule.name.empty()) return;
  entry["rule"] = rule.name;
  entry["rule_line"] = rule.line;
}

void print_mistakes(const std::string& name, std::string_view source, const std::vector<sieve::Mistake>& mistakes) {
  for (const auto& mistake : mistakes) {
    std::cerr << sieve::place_in_file(mistake.script.empty() ? name : "included script " + mistake.script, mistake.rule, mistake.line, mistake.column) << ": "
              << (mistake.warning ? "warning: " : "error: ") << mistake.text << '\n';
    if (mistake.script.empty()) print_place(source, mistake.line, mistake.column);
  }
}

boost::json::array to_json(const std::vector<sieve::Mistake>& mistakes) {
  boost::json::array list;
  for (const auto& mistake : mistakes) {
    boost::json::object entry{{"line", mistake.line}, {"column", mistake.column}, {"severity", mistake.warning ? "warning" : "error"}, {"text", mistake.text}};
    if (!mistake.script.empty()) entry["script"] = mistake.script;
    put_rule(entry, mistake.rule);
    list.push_back(std::move(entry));
  }
  return list;
}

std::string envelope_address(const std::string& given, bool null_allowed) {
  std::string text = given;
  if (text.size() >= 2 && text.front() == '<' && text.back() == '>') text = text.substr(1, text.size() - 2);
  if (text.empty() && null_allowed) return text;
  const auto mailbox = mail::parse_mailbox(text);
  if (!mailbox) wrong_usage("\"" + given + "\" is no address: " + mailbox.error().what);
  return mailbox->to_string();
}

sieve::CompileOptions compile_options(const SieveOptions& options, const std::string& name) {
  sieve::CompileOptions made;
  made.system_script = options.system_script;
  made.run_limits = options.limits;
  const auto slash = name.rfind('/');
  const std::string beside = options.personal_scripts.value_or(slash == std::string::npos ? "." : name.substr(0, slash));
  made.script = [beside, global = options.global_scripts](sieve::ScriptPlace place, const std::string& wanted) -> std::optional<std::string> {
    if (place == sieve::ScriptPlace::personal) return included(beside, wanted);
    return global ? included(*global, wanted) : std::nullopt;
  };
  // Which lists there are is the server's business; here all of them are, and empty.
  made.list_exists = [](const std::string&) { return true; };
  return made;
}

namespace {

// The file behind a link, with the mode that it has.
Result<void> rewrite(const std::string& name, const std::string& text) {
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(name.c_str(), nullptr), std::free);
  struct stat status {};
  if (real == nullptr || ::stat(real.get(), &status) != 0) return system_error(errno, name);
  const std::string path = real.get();
  const auto slash = path.rfind('/');
  const auto folder = base::open_directory(AT_FDCWD, slash == 0 ? "/" : path.substr(0, slash));
  if (!folder) return folder.error();
  return base::replace_file(base::system_files(), folder->get(), path.substr(slash + 1), text, status.st_mode & 0777);
}

}  // namespace

int sieve_check(const SieveOptions& options) {
  if (options.files.empty()) wrong_usage("check needs a script");
  int status = kGood;
  boost::json::array all;
  for (const std::string& name : options.files) {
    auto source = read_input(name);
    if (!source) return kUsage;
    *source = sieve::joined_rules(*source);
    sieve::CompileOptions how = compile_options(options, name);
    const sieve::Compiled compiled = sieve::compile(*source, how);
    how.abilities = delivery::kFilterAbilities;   // what is valid but would be refused there is worth a word
    std::vector<sieve::Mistake> mistakes = compiled.mistakes;
    if (compiled.program) {
      const auto remarks = sieve::lint(*source, how);
      mistakes.insert(mistakes.end(), remarks.begin(), remarks.end());
      std::stable_sort(mistakes.begin(), mistakes.end(), [](const auto& a, const auto& b) { return a.line != b.line ? a.line < b.line : a.column < b.column; });
    } else {
      status = kBad;
    }
    if (options.json) {
      all.push_back({{"script", name}, {"valid", compiled.program != nullptr}, {"mistakes", to_json(mistakes)}});
      continue;
    }
    print_mistakes(name, *source, mistakes);
    const auto errors = std::count_if(mistakes.begin(), mistakes.end(), [](const auto& mistake) { return !mistake.warning; });
    if (compiled.program) std::cout << name << ": valid\n";
    else std::cout << name << ": " << errors << (errors == 1 ? " mistake\n" : " mistakes\n");
  }
  if (options.json) std::cout << boost::json::serialize(all) << '\n';
  return status;
}

int sieve_format(const SieveOptions& options) {
  if (options.files.empty()) wrong_usage("format needs a script");
  if (options.files.size() > 1 && !options.write) wrong_usage("format takes one script, or --write");
  int status = kGood;
  for (const std::string& name : options.files) {
    const auto source = read_input(name);
    if (!source) return kUsage;
    const sieve::Formatted done = sieve::format(*source);
    if (!done.text) {
      print_mistakes(name, *source, done.mistakes);
      status = kBad;
    } else if (!options.write || name == "-") {
      std::cout << *done.text;
    } else if (*done.text != *source) {
      const auto written = rewrite(name, *done.text);
      if (!written) {
        std::cerr << "postern-sieve: " << name << ": " << written.error().what << '\n';
        return kUsage;
      }
    }
  }
  return status;
}

int sieve_extensions(const SieveOptions& options) {
  if (!options.files.empty()) wrong_usage("extensions takes no files");
  boost::json::array list;
  const auto delivered = sieve::capabilities(delivery::kFilterAbilities);
  for (const auto& capability : sieve::capabilities()) {
    const bool in_delivery = std::any_of(delivered.begin(), delivered.end(), [&](const auto& other) { return other.name == capability.name; });
    if (options.json) {
      list.push_back({{"name", capability.name}, {"standard", capability.standard}, {"summary", capability.summary}, {"system_only", capability.system_only}, {"delivery", in_delivery}});
      continue;
    }
    std::printf("%-29s %-14s %s%s%s\n", capability.name.c_str(), capability.standard.c_str(), capability.summary.c_str(), capability.system_only ? "; system scripts only" : "",
                in_delivery ? "" : "; not in delivery yet");
  }
  if (options.json) std::cout << boost::json::serialize(list) << '\n';
  return kGood;
}

}  // namespace postern::tools
