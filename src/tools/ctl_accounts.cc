// SPDX-License-Identifier: Apache-2.0
// posternctl domain and account: through the running server, or on the database itself while none runs (doc/man/posternctl-account.8).
#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "delivery/filter_settings.h"
#include "directory/password.h"
#include "directory/protocol.h"
#include "sieve/compile.h"
#include "tools/directory_access.h"
#include "tools/posternctl.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <functional>
#include <iostream>
#include <optional>

namespace postern::tools {
namespace {

using boost::json::array;
using boost::json::object;
using Arguments = std::vector<std::string>;

int complain(const Context& context, const std::string& text) {
  print_error(context, text);
  return kFailed;
}

int wrong_usage(const Context& context, const char* details) {
  if (context.json) print_error(context, "wrong usage");
  std::cerr << "usage:\n" << details;
  return kUsage;
}

std::string created(const object& record) {
  const auto at = directory::number_in(record, "created").value_or(0);
  return base::iso8601(base::from_microseconds(static_cast<std::int64_t>(at)));
}

// For people's programs: times as text, nothing of the protocol.
void make_readable(object& record) {
  if (directory::number_in(record, "created").value_or(0) == 0) record.erase("created");
  else record["created"] = created(record);
}
void print_json(object answer) {
  answer.erase("id");
  for (const char* kind : {"domain", "account"})
    if (auto* record = answer.if_contains(kind); record != nullptr && record->is_object()) make_readable(record->get_object());
  std::cout << boost::json::serialize(answer) << "\n";
}
void print_json(array list) {
  for (auto& entry : list) make_readable(entry.get_object());
  std::cout << boost::json::serialize(list) << "\n";
}

std::string filter_size(const object& domain) {
  const auto bytes = directory::number_in(domain, "filter_bytes").value_or(0);
  return bytes == 0 ? "-" : std::to_string(bytes) + " bytes";
}

std::string text_or_dash(const object& record, std::string_view member) {
  const auto text = directory::text_in(record, member).value_or("");
  return text.empty() ? "-" : text;
}

// Stops a terminal from showing what is typed, until it goes.
class Silence {
 public:
  explicit Silence(int terminal) : terminal_(terminal) {
    if (::tcgetattr(terminal_, &before_) != 0) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    silent.c_lflag |= ECHONL;
    active_ = ::tcsetattr(terminal_, TCSAFLUSH, &silent) == 0;
  }
  ~Silence() {
    if (active_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  int terminal_;
  termios before_{};
  bool active_ = false;
};

// One line from a descriptor, without its end; nothing at the end of the file.
std::optional<std::string> read_line(int from) {
  std::string line;
  for (char c = 0;;) {
    const ssize_t got = ::read(from, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return line.empty() ? std::nullopt : std::optional(line);
    if (c == '\n') break;
    line += c;
    if (line.size() > 4096) break;
  }
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

Result<std::string> prompt_for_password() {
  base::Descriptor terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!terminal) return Error{Kind::invalid, "there is no terminal to ask for the password on; use --password-file or --generate"};
  const auto ask = [&](std::string_view question) {
    const ssize_t ignored = ::write(terminal.get(), question.data(), question.size());
    static_cast<void>(ignored);
    return read_line(terminal.get());
  };
  // Interrupted in between, the terminal would stay silent.
  sigset_t interruptions, before;
  sigemptyset(&interruptions);
  for (const int signal : {SIGINT, SIGQUIT, SIGTSTP, SIGTERM, SIGHUP}) sigaddset(&interruptions, signal);
  ::sigprocmask(SIG_BLOCK, &interruptions, &before);
  std::optional<std::string> first, second;
  {
    const Silence silence(terminal.get());
    first = ask("New password: ");
    if (first && !first->empty()) second = ask("Once more: ");
  }
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (!first || first->empty()) return Error{Kind::invalid, "no password was given; nothing was changed"};
  if (first != second) return Error{Kind::invalid, "the two passwords differ; nothing was changed"};
  return *first;
}

struct NewPassword {
  std::string hash;
  std::string generated;  // to be printed; empty: the administrator knows it
};

// From a file, made up, or from the terminal.
Result<NewPassword> new_password(const std::optional<std::string>& file, bool generate) {
  NewPassword result;
  std::string password;
  if (generate) {
    password = result.generated = directory::generate_password();
  } else if (file) {
    base::Descriptor opened;
    if (*file != "-") {
      opened = base::Descriptor(::open(file->c_str(), O_RDONLY | O_CLOEXEC));
      if (!opened) return system_error(errno, *file);
    }
    const auto line = read_line(*file == "-" ? STDIN_FILENO : opened.get());
    if (!line || line->empty()) return Error{Kind::invalid, *file + ": its first line is empty"};
    password = *line;
  } else {
    auto typed = prompt_for_password();
    if (!typed) return typed.error();
    password = std::move(*typed);
  }
  auto hash = directory::hash_password(password);
  directory::wipe(password);
  if (!hash) return hash.error();
  result.hash = std::move(*hash);
  return result;
}

// The text of a filter from a file or standard input, checked: mistakes are printed as FILE:LINE:COLUMN.
Result<std::string> read_filter(const Context& context, const std::string& file, bool system_script) {
  base::Descriptor opened;
  if (file != "-") {
    opened = base::Descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened) return system_error(errno, file);
  }
  std::string source;
  for (char piece[8192];;) {
    const ssize_t got = ::read(file == "-" ? STDIN_FILENO : opened.get(), piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, file);
    if (got == 0) break;
    source.append(piece, static_cast<std::size_t>(got));
    if (source.size() > directory::kMaxFilterBytes)
      return Error{Kind::invalid, file + ": longer than " + std::to_string(directory::kMaxFilterBytes) + " bytes"};
  }
  if (!base::is_utf8(source)) return Error{Kind::invalid, file + ": not UTF-8 text"};
  sieve::CompileOptions options = delivery::compile_options(context.configuration());
  options.system_script = system_script;
  const sieve::Compiled compiled = sieve::compile(source, options);
  const std::string name = file == "-" ? "standard input" : file;
  for (const sieve::Mistake& mistake : compiled.mistakes)
    std::cerr << name << ":" << mistake.line << ":" << mistake.column << ": " << (mistake.warning ? "warning: " : "") << mistake.text << "\n";
  if (!compiled.program) return Error{Kind::invalid, name + " is not a correct filter; nothing was changed"};
  return source;
}

// `kind` is "domain" or "account".
int run_filter(const Context& context, const std::string& kind, const std::string& name, const std::string& what) {
  DirectoryAccess directory(context);
  if (what == "--show") {
    const auto answer = directory.ask({{"ask", kind}, {"name", name}});
    if (!answer) return complain(context, answer.error().what);
    const auto* record = answer->if_contains(kind);
    if (record == nullptr || !record->is_object()) return complain(context, "there is no " + kind + " " + name);
    std::cout << directory::text_in(record->get_object(), "filter").value_or("");
    return kDone;
  }
  object request{{"ask", kind + "-filter"}, {"name", name}, {"filter", ""}};
  if (what != "--none") {
    auto source = read_filter(context, what, kind == "domain");
    if (!source) return complain(context, source.error().what);
    if (source->empty()) return complain(context, "the filter is empty; --none removes one");
    request["filter"] = *source;
  }
  const auto answer = directory.ask(std::move(request));
  if (!answer) return complain(context, answer.error().what);
  if (context.json) print_json(*answer);
  else std::cout << (what == "--none" ? "removed" : "set") << " the filter of " << kind << " " << name << "\n";
  return kDone;
}

// All entries of a list, asked for a thousand at a time.
Result<array> whole_list(DirectoryAccess& directory, object request, const char* member) {
  array all;
  for (;;) {
    auto answer = directory.ask(request);
    if (!answer) return answer.error();
    const auto* found = answer->if_contains(member);
    if (found == nullptr || !found->is_array()) return Error{Kind::temporary, "the answer was not understood"};
    const array& entries = found->get_array();
    for (const auto& entry : entries) {
      if (!entry.is_object()) return Error{Kind::temporary, "the answer was not understood"};
      all.push_back(entry);
    }
    if (!directory::truth_in(*answer, "more").value_or(false) || entries.empty()) return all;
    request["after"] = directory::text_in(all.back().get_object(), "name").value_or("");
  }
}

int list_domains(const Context& context) {
  DirectoryAccess directory(context);
  const auto list = whole_list(directory, {{"ask", "domain-list"}}, "domains");
  if (!list) return complain(context, list.error().what);
  if (context.json) {
    print_json(*list);
    return kDone;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& entry : *list) {
    const object& domain = entry.get_object();
    rows.push_back({directory::text_in(domain, "name").value_or(""), filter_size(domain), created(domain)});
  }
  print_table({"DOMAIN", "FILTER", "CREATED"}, rows);
  return kDone;
}

int list_accounts(const Context& context, const std::string& domain) {
  DirectoryAccess directory(context);
  const auto list = whole_list(directory, {{"ask", "account-list"}, {"domain", domain}}, "accounts");
  if (!list) return complain(context, list.error().what);
  if (context.json) {
    print_json(*list);
    return kDone;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& entry : *list) {
    const object& account = entry.get_object();
    const bool enabled = directory::truth_in(account, "enabled").value_or(false);
    const bool password = directory::truth_in(account, "password").value_or(false);
    rows.push_back({directory::text_in(account, "name").value_or(""), !enabled ? "disabled" : password ? "enabled" : "no password",
                    text_or_dash(account, "active_script"), created(account), directory::text_in(account, "description").value_or("")});
  }
  print_table({"ACCOUNT", "STATE", "FILTER", "CREATED", "DESCRIPTION"}, rows);
  return kDone;
}

// Asks for one change and says what was done.
int change(const Context& context, object request, const std::function<std::string(const object& answer)>& said) {
  DirectoryAccess directory(context);
  const auto answer = directory.ask(std::move(request));
  if (!answer) return complain(context, answer.error().what);
  if (context.json) print_json(*answer);
  else std::cout << said(*answer) << "\n";
  return kDone;
}

// The member `name` of the record of kind `kind` in an answer.
std::string value_in(const object& answer, const char* kind, const char* name) {
  const auto* record = answer.if_contains(kind);
  return record != nullptr && record->is_object() ? directory::text_in(record->get_object(), name).value_or("") : std::string();
}

std::string mailbox_path(const Context& context, const object& answer) {
  return context.configuration().base_directory + "/mail/" + value_in(answer, "account", "mailbox_directory");
}

// Whether a mailbox is there that an account of this name would get: mail of an earlier one. "postmaster" has its mailbox before
// there is an account (RFC 5321 section 4.5.1), so that one is its own.
Result<bool> finds_a_mailbox(const Context& context, const std::string& name) {
  if (name.starts_with("postmaster@")) return false;
  const auto mailbox = base::open_directory(context.base_directory(), "mail/" + directory::mailbox_directory_for(name));
  if (!mailbox && mailbox.error().kind == Kind::not_found) return false;
  if (!mailbox) return mailbox.error();
  const auto entries = base::list_directory(mailbox->get(), 1);
  if (!entries) return entries.error();
  return !entries->empty();
}

// Nothing if `name` may become an account; else why not. Looks before Directory::ask() gives up root, and before anybody types a
// password.
Result<void> check_mailbox_of_new_account(const Context& context, DirectoryAccess& directory, const std::string& name) {
  const auto found = finds_a_mailbox(context, name);
  if (found && !*found) return {};
  // If the account is there, its mailbox is not what is wrong.
  const auto answer = directory.ask({{"ask", "account"}, {"name", name}});
  if (!answer) return answer.error();
  if (const auto* account = answer->if_contains("account"); account != nullptr && account->is_object())
    return Error{Kind::invalid, "account " + name + " is there already"};
  const std::string path = context.configuration().base_directory + "/mail/" + directory::mailbox_directory_for(name);
  if (!found) return Error{Kind::denied, "cannot see whether an earlier account of this name left mail in " + path + ": " + found.error().what};
  return Error{Kind::invalid, "the mailbox of an earlier account is still there: " + path +
                                  ": move it away, or give it to the new account with --adopt-mailbox"};
}

struct PasswordOptions {
  std::string name;
  std::optional<std::string> file;
  std::optional<std::string> description;
  bool generate = false;
  bool adopt_mailbox = false;
};

// What stands behind `add` and `passwd`; nothing if it is not right.
std::optional<PasswordOptions> password_options(const Arguments& arguments, bool add) {
  PasswordOptions options;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    const bool has_value = i + 1 < arguments.size();
    if (word == "--generate") options.generate = true;
    else if (word == "--password-file" && has_value) options.file = arguments[++i];
    else if (word == "--adopt-mailbox" && add) options.adopt_mailbox = true;
    else if (word == "--description" && add && has_value) options.description = arguments[++i];
    else if (word.starts_with("-") || !options.name.empty()) return std::nullopt;
    else options.name = word;
  }
  if (options.name.empty() || (options.generate && options.file)) return std::nullopt;
  return options;
}

int set_password(const Context& context, const PasswordOptions& options, bool add) {
  // Before anybody types a password for a name that can't be.
  const auto name = directory::canonical_account(options.name);
  if (!name) return complain(context, options.name + ": " + name.error().what);
  DirectoryAccess directory(context);
  if (add && !options.adopt_mailbox) {
    if (auto good = check_mailbox_of_new_account(context, directory, *name); !good) return complain(context, good.error().what);
  }
  auto password = new_password(options.file, options.generate);
  if (!password) return complain(context, password.error().what);
  object request{{"ask", add ? "account-add" : "account-change"}, {"name", *name}, {"password_hash", password->hash}};
  if (options.description) request["description"] = *options.description;
  auto answer = directory.ask(std::move(request));
  if (!answer) return complain(context, answer.error().what);
  if (context.json) {
    if (options.generate) (*answer)["password"] = password->generated;
    print_json(*answer);
    return kDone;
  }
  const std::string said = add ? "added account " + *name + "; its mail goes to " + mailbox_path(context, *answer) : "changed the password of account " + *name;
  if (!options.generate) {
    std::cout << said << "\n";
    return kDone;
  }
  // Nothing but the password on standard output, for scripts.
  std::cerr << said << "\n";
  std::cout << password->generated << "\n";
  return kDone;
}

}  // namespace

const char* const kDomainDetails =
    "  posternctl domain add NAME\n"
    "  posternctl domain list\n"
    "  posternctl domain remove NAME\n"
    "  posternctl domain filter NAME FILE | - | --none | --show\n";

const char* const kAccountDetails =
    "  posternctl account add NAME [--description TEXT] [--adopt-mailbox] [PASSWORD-OPTION]\n"
    "  posternctl account passwd NAME [PASSWORD-OPTION]\n"
    "  posternctl account list [DOMAIN]\n"
    "  posternctl account enable | disable NAME\n"
    "  posternctl account remove NAME\n"
    "  posternctl account filter NAME FILE | - | --none | --show\n"
    "NAME is an address: user@example.com. --adopt-mailbox: with the mail that an earlier\n"
    "account of that name has left. PASSWORD-OPTION is one of\n"
    "  --password-file FILE   the first line of FILE (-: of standard input)\n"
    "  --generate             make one and print it\n"
    "and without it the password is asked for, twice.\n";

int run_domain(const Context& context, const std::vector<std::string>& arguments) {
  const std::string verb = arguments.empty() ? "" : arguments[0];
  if (verb == "add" && arguments.size() == 2)
    return change(context, {{"ask", "domain-add"}, {"name", arguments[1]}},
                  [](const object& answer) { return "added domain " + value_in(answer, "domain", "name"); });
  if (verb == "remove" && arguments.size() == 2)
    return change(context, {{"ask", "domain-remove"}, {"name", arguments[1]}},
                  [](const object& answer) { return "removed domain " + value_in(answer, "domain", "name"); });
  if (verb == "list" && arguments.size() == 1) return list_domains(context);
  if (verb == "filter" && arguments.size() == 3) return run_filter(context, "domain", arguments[1], arguments[2]);
  return wrong_usage(context, kDomainDetails);
}

int run_account(const Context& context, const std::vector<std::string>& arguments) {
  const std::string verb = arguments.empty() ? "" : arguments[0];
  if (verb == "add" || verb == "passwd") {
    const auto options = password_options(arguments, verb == "add");
    return options ? set_password(context, *options, verb == "add") : wrong_usage(context, kAccountDetails);
  }
  if (verb == "list" && arguments.size() <= 2) return list_accounts(context, arguments.size() == 2 ? arguments[1] : "");
  if ((verb == "enable" || verb == "disable") && arguments.size() == 2)
    return change(context, {{"ask", "account-change"}, {"name", arguments[1]}, {"enabled", verb == "enable"}},
                  [&verb](const object& answer) { return verb + "d account " + value_in(answer, "account", "name"); });
  if (verb == "remove" && arguments.size() == 2)
    return change(context, {{"ask", "account-remove"}, {"name", arguments[1]}}, [&context](const object& answer) {
      return "removed account " + value_in(answer, "account", "name") + "; its mail was kept in " + mailbox_path(context, answer);
    });
  if (verb == "filter" && arguments.size() == 3) return run_filter(context, "account", arguments[1], arguments[2]);
  return wrong_usage(context, kAccountDetails);
}

}  // namespace postern::tools
