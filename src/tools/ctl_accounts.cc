// SPDX-License-Identifier: Apache-2.0
// posternctl domain and account: through the running server, or on the database itself while none runs (doc/man/posternctl-account.8).
#include "base/files.h"
#include "directory/password.h"
#include "store/quota.h"
#include "tools/account_attributes.h"
#include "tools/client_settings.h"
#include "tools/directory_answers.h"
#include "tools/options.h"
#include "tools/posternctl.h"

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <optional>

namespace postern::tools {
namespace {

using boost::json::object;
using Arguments = std::vector<std::string>;

std::string filter_size(const object& domain) {
  const auto bytes = directory::number_in(domain, "filter_bytes").value_or(0);
  return bytes == 0 ? "-" : std::to_string(bytes) + " bytes";
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

volatile std::sig_atomic_t interruption = 0;  // the signal

// While somebody types a password: interrupted in between, the terminal would stay silent. So the signal waits until it speaks again.
class Interruptions {
 public:
  Interruptions() {
    // They come through only where the wait for a key ends by them: of one that came just before it the wait would know nothing.
    sigset_t held;
    sigemptyset(&held);
    for (const int signal : kSignals) sigaddset(&held, signal);
    ::sigprocmask(SIG_BLOCK, &held, &while_waiting_);
    struct sigaction noted {};
    noted.sa_handler = [](int signal) { interruption = signal; };  // without SA_RESTART: the wait for a key ends
    sigemptyset(&noted.sa_mask);
    for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &noted, &before_[i]);
  }
  ~Interruptions() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
    ::sigprocmask(SIG_SETMASK, &while_waiting_, nullptr);
    if (interruption != 0) ::raise(interruption);
  }
  Interruptions(const Interruptions&) = delete;
  Interruptions& operator=(const Interruptions&) = delete;
  // The signals that stay held back while a key is waited for.
  [[nodiscard]] const sigset_t* while_waiting() const { return &while_waiting_; }

 private:
  sigset_t while_waiting_{};
  static constexpr std::array<int, 4> kSignals{SIGINT, SIGQUIT, SIGTERM, SIGHUP};
  std::array<struct sigaction, kSignals.size()> before_{};
};

// One line from a descriptor, without its end; nothing at the end of the file, or if it was interrupted. With `while_waiting`, signals that are not
// in it come through while there is nothing to read.
std::optional<std::string> read_line(int from, const sigset_t* while_waiting = nullptr) {
  std::string line;
  for (char c = 0;;) {
    pollfd waited{from, POLLIN, 0};
    if (while_waiting != nullptr && ::ppoll(&waited, 1, nullptr, while_waiting) < 0 && interruption == 0) continue;
    if (interruption != 0) return std::nullopt;
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
  const auto ask = [&](std::string_view question, const Interruptions& interruptions) {
    const ssize_t ignored = ::write(terminal.get(), question.data(), question.size());
    static_cast<void>(ignored);
    return read_line(terminal.get(), interruptions.while_waiting());
  };
  // To be stopped in the middle would leave the terminal silent as well.
  sigset_t stop, before;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTSTP);
  ::sigprocmask(SIG_BLOCK, &stop, &before);
  std::optional<std::string> first, second;
  {
    const Interruptions interruptions;
    const Silence silence(terminal.get());
    first = ask("New password: ", interruptions);
    if (first && !first->empty()) second = ask("Once more: ", interruptions);
  }
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (!first || first->empty()) return Error{Kind::invalid, "no password was given; nothing was changed"};
  if (first != second) return Error{Kind::invalid, "the two passwords differ; nothing was changed"};
  return *first;
}

struct NewPassword {
  directory::PasswordSecrets secrets;
  std::string generated;  // to be printed; empty: the administrator knows it
};

// From a file, made up, or from the terminal.
Result<NewPassword> new_password(const Context& context, const std::optional<std::string>& file, bool generate) {
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
  auto secrets = directory::make_password_secrets(password, context.configuration().sasl.scram_iterations);
  directory::wipe(password);
  if (!secrets) return secrets.error();
  result.secrets = std::move(*secrets);
  return result;
}

Arguments behind_verb(const Arguments& arguments) { return {arguments.begin() + 1, arguments.end()}; }

int show_filter(const Context& context, const std::string& kind, const std::string& name) {
  DirectoryAccess directory(context);
  const auto answer = directory.ask({{"ask", kind}, {"name", name}});
  if (!answer) return could_not(context, answer.error().what);
  const object* const record = record_in(*answer, kind.c_str());
  if (record == nullptr) return could_not(context, there_is_no(directory, kind, name));
  std::cout << directory::text_in(*record, "filter").value_or("");
  return kDone;
}

// `kind` is "domain" or "account".
int run_filter(const Context& context, const std::string& kind, const Arguments& arguments, const char* details) {
  bool none = false, show = false;
  const std::string command = kind + " filter";
  const auto words = read_options(command, {{"--none", &none}, {"--show", &show}}, behind_verb(arguments));
  if (!words) return wrong_usage(context, words.error().what, details);
  std::string mistake = words_mistake(command, none || show ? Arguments{"NAME"} : Arguments{"NAME", "FILE, --none or --show"}, *words);
  if (none && show) mistake = "--none and --show exclude each other";
  if (!mistake.empty()) return wrong_usage(context, mistake, details);
  const std::string& name = words->front();
  if (show) return show_filter(context, kind, name);
  object request{{"ask", kind + "-filter"}, {"name", name}, {"filter", ""}};
  if (!none) {
    auto source = read_filter(context, words->back(), kind == "domain");
    if (!source) return could_not(context, source.error().what);
    if (source->empty()) return could_not(context, "the filter is empty; --none removes one");
    request["filter"] = *source;
  }
  return change(context, std::move(request), [&](const object&) { return (none ? "removed" : "set") + (" the filter of " + kind + " ") + name; });
}

int list_domains(const Context& context) {
  DirectoryAccess directory(context);
  const auto list = whole_list(directory, {{"ask", "domain-list"}}, "domains");
  if (!list) return could_not(context, list.error().what);
  if (context.json) {
    print_answer(*list);
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
  const auto list = list_of_domain(context, {{"ask", "account-list"}, {"domain", domain}}, "accounts");
  if (!list) return could_not(context, list.error().what);
  if (context.json) {
    print_answer(*list);
    return kDone;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& entry : *list) {
    const object& account = entry.get_object();
    const bool enabled = directory::truth_in(account, "enabled").value_or(false);
    const bool password = directory::truth_in(account, "password").value_or(false);
    std::string state = !enabled ? "disabled" : password ? "enabled" : "no password";
    if (directory::truth_in(account, "held").value_or(false)) state += ", held";
    if (joined(account, "forwarding") != "-") state += directory::truth_in(account, "keeps_copy").value_or(false) ? ", forwards a copy" : ", forwards";
    rows.push_back({directory::text_in(account, "name").value_or(""), state, text_or_dash(account, "active_script"), created(account), directory::text_in(account, "description").value_or("")});
  }
  print_table({"ACCOUNT", "STATE", "FILTER", "CREATED", "DESCRIPTION"}, rows);
  return kDone;
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
  // If the account is there, or can't be, its mailbox is not what is wrong.
  if (const std::string reason = kept_elsewhere(directory, name); !reason.empty()) return Error{Kind::denied, name + ": " + reason};
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
  std::optional<std::string> file, hash;
  bool generate = false;
  bool adopt_mailbox = false;
  object attributes;  // as the question says them
};

// What stands behind `add` and `passwd`.
Result<PasswordOptions> password_options(const Arguments& arguments, bool add) {
  PasswordOptions given;
  AccountAttributes attributes;
  std::vector<Option> options{{"--generate", &given.generate}, {"--password-file", &given.file}, {"--password-hash", &given.hash}};
  if (add) {
    const auto more = attributes.options(false);
    options.insert(options.end(), more.begin(), more.end());
    options.push_back({"--adopt-mailbox", &given.adopt_mailbox});
  }
  const auto rest = read_options("account " + arguments[0], options, {arguments.begin() + 1, arguments.end()});
  if (!rest) return rest.error();
  if (std::string mistake = words_mistake("account " + arguments[0], {"NAME"}, *rest); !mistake.empty()) return Error{Kind::invalid, std::move(mistake)};
  if (given.generate + given.file.has_value() + given.hash.has_value() > 1)
    return Error{Kind::invalid, "--generate, --password-file and --password-hash exclude each other"};
  given.name = rest->front();
  auto request = attributes.request();
  if (!request) return request.error();
  given.attributes = std::move(*request);
  return given;
}

// Nothing if an account of this name can be added, or be given another password. The answer to that says it again; but then somebody has typed a
// password for nothing.
Result<void> check_name(DirectoryAccess& directory, const std::string& name, bool add) {
  const std::string domain = name.substr(name.rfind('@') + 1);
  const auto home = directory.ask({{"ask", "domain"}, {"name", domain}});
  if (!home) return home.error();
  if (const auto reason = directory::text_in(*home, "elsewhere")) return Error{Kind::denied, name + ": " + *reason};
  if (record_in(*home, "domain") == nullptr) return Error{Kind::not_found, "there is no domain " + domain};
  const auto answer = directory.ask({{"ask", "account"}, {"name", name}});
  if (!answer) return answer.error();
  if (!add) {
    if (record_in(*answer, "account") != nullptr) return {};
    return Error{Kind::not_found, "there is no account " + name + (record_in(*answer, "alias") != nullptr ? "; it is an alias or a group" : "")};
  }
  if (record_in(*answer, "account") != nullptr) return Error{Kind::invalid, "account " + name + " is there already"};
  if (record_in(*answer, "alias") != nullptr) return Error{Kind::invalid, "alias or group " + name + " is there already"};
  return {};
}

int set_password(const Context& context, const PasswordOptions& options, bool add) {
  // Before anybody types a password for a name that can't be.
  const auto name = directory::canonical_account(options.name);
  if (!name) return could_not(context, options.name + ": " + name.error().what);
  DirectoryAccess directory(context);
  if (add && !options.adopt_mailbox) {
    if (auto good = check_mailbox_of_new_account(context, directory, *name); !good) return could_not(context, good.error().what);
  }
  if (auto good = check_name(directory, *name, add); !good) return could_not(context, good.error().what);
  auto password = options.hash ? Result<NewPassword>(NewPassword{{*options.hash, {}, {}}, {}}) : new_password(context, options.file, options.generate);
  if (!password) return could_not(context, password.error().what);
  object request = options.attributes;
  request["ask"] = add ? "account-add" : "account-change";
  request["name"] = *name;
  request["password_hash"] = password->secrets.hash;
  request["scram_sha1"] = password->secrets.scram_sha1;
  request["scram_sha256"] = password->secrets.scram_sha256;
  auto answer = directory.ask(std::move(request));
  if (!answer) return could_not(context, answer.error().what);
  if (context.json) {
    if (options.generate) (*answer)["password"] = password->generated;
    print_answer(*answer);
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

int change_account(const Context& context, const Arguments& arguments) {
  AccountAttributes attributes;
  const auto rest = read_options("account change", attributes.options(true), {arguments.begin() + 1, arguments.end()});
  if (!rest) return wrong_usage(context, rest.error().what, kAccountDetails);
  auto request = attributes.request();
  if (!request) return wrong_usage(context, request.error().what, kAccountDetails);
  if (const std::string mistake = words_mistake("account change", {"NAME"}, *rest); !mistake.empty()) return wrong_usage(context, mistake, kAccountDetails);
  if (request->empty()) return wrong_usage(context, "account change: say what is to change", kAccountDetails);
  (*request)["ask"] = "account-change";
  (*request)["name"] = rest->front();
  return change(context, std::move(*request), [](const object& answer) { return "changed account " + value_in(answer, "account", "name"); });
}

// Nothing: the mailbox can't be looked at.
std::optional<store::Usage> usage_of(const Context& context, const object& answer) {
  const auto mail = base::open_directory(context.base_directory(), "mail");
  const auto usage = mail ? store::count_usage(mail->get(), value_in(answer, "account", "mailbox_directory")) : Result<store::Usage>(mail.error());
  return usage ? std::optional(*usage) : std::nullopt;
}

std::string used_text(const std::optional<store::Usage>& usage, std::uint64_t bytes, std::uint64_t messages) {
  if (!usage) return "can't be looked at";
  std::string text = bytes_text(usage->bytes);
  if (bytes != 0) text += " of " + bytes_text(bytes);
  text += " in " + std::to_string(usage->messages) + " messages";
  if (messages != 0) text += " of " + std::to_string(messages);
  return text;
}

void print_line(const char* what, const std::string& text) { std::printf("%-16s %s\n", what, text.c_str()); }

int show_account(const Context& context, const std::string& name) {
  DirectoryAccess directory(context);
  const auto answer = directory.ask({{"ask", "account"}, {"name", name}});
  if (!answer) return could_not(context, answer.error().what);
  const object* const account = record_in(*answer, "account");
  if (account == nullptr) return could_not(context, record_in(*answer, "alias") != nullptr ? "there is no account " + name + "; it is an alias or a group" : there_is_no(directory, "account", name));
  if (context.json) {
    object shown = *account;
    shown.erase("filter");
    if (const auto usage = usage_of(context, *answer)) {
      shown["used_bytes"] = usage->bytes;
      shown["used_messages"] = usage->messages;
    }
    print_answer(object{{"account", std::move(shown)}});
    return kDone;
  }
  const auto yes = [&](std::string_view member) { return directory::truth_in(*account, member).value_or(false); };
  const auto quota = directory::number_in(*account, "quota_bytes").value_or(0), most_messages = directory::number_in(*account, "quota_messages").value_or(0);
  const bool full = base::from_microseconds(static_cast<std::int64_t>(directory::number_in(*account, "full_until").value_or(0))) > base::wall_now();
  const std::string services = joined(*account, "services");
  print_line("account", directory::text_in(*account, "name").value_or(""));
  print_line("description", text_or_dash(*account, "description"));
  print_line("logins", !yes("enabled") ? "disabled" : services == "-" ? "all services" : services);
  print_line("mail", yes("held") ? "waits on channel hold" : "is delivered");
  print_line("mailbox", mailbox_path(context, *answer));
  print_line("quota", quota == 0 && most_messages == 0 ? "none"
                : (quota == 0 ? "" : bytes_text(quota)) + (quota != 0 && most_messages != 0 ? ", " : "") + (most_messages == 0 ? "" : std::to_string(most_messages) + " messages"));
  print_line("used", used_text(usage_of(context, *answer), quota, most_messages) + (full ? "; full, mail is refused for now" : ""));
  print_line("forwarded to", joined(*account, "forwarding"));
  if (joined(*account, "forwarding") != "-") print_line("mailbox gets", yes("keeps_copy") ? "a copy" : "nothing");
  print_line("conversion tags", joined(*account, "conversion_tags"));
  print_line("mail host", text_or_dash(*account, "mail_host"));
  print_line("filter", text_or_dash(*account, "active_script"));
  print_line("created", created(*account));
  return kDone;
}

int show_domain(const Context& context, const std::string& name) {
  DirectoryAccess directory(context);
  const auto answer = directory.ask({{"ask", "domain"}, {"name", name}});
  if (!answer) return could_not(context, answer.error().what);
  const object* const domain = record_in(*answer, "domain");
  if (domain == nullptr) return could_not(context, "there is no domain " + name);
  if (context.json) {
    object shown = *domain;
    shown.erase("filter");
    print_answer(object{{"domain", std::move(shown)}});
    return kDone;
  }
  print_line("domain", directory::text_in(*domain, "name").value_or(""));
  print_line("filter", filter_size(*domain));
  print_line("conversion tags", joined(*domain, "conversion_tags"));
  const auto* const keys = domain->if_contains("signing_keys");
  print_line("signing keys", keys != nullptr && keys->is_array() ? std::to_string(keys->get_array().size()) : "none");
  if (const auto at = directory::number_in(*domain, "created"); at && *at != 0) print_line("created", created(*domain));
  if (const auto* const attributes = domain->if_contains("attributes"); attributes != nullptr && attributes->is_object())
    for (const auto& attribute : attributes->get_object())
      if (attribute.value().is_string())
        print_line("attribute", std::string(attribute.key()) + " " + std::string(attribute.value().get_string()));
  return kDone;
}

int set_attribute(const Context& context, const Arguments& arguments) {
  bool none = false;
  const auto words = read_options("domain set", {{"--none", &none}}, behind_verb(arguments));
  if (!words) return wrong_usage(context, words.error().what, kDomainDetails);
  const std::string mistake = words_mistake("domain set", none ? Arguments{"NAME", "ATTRIBUTE"} : Arguments{"NAME", "ATTRIBUTE", "VALUE or --none"}, *words);
  if (!mistake.empty()) return wrong_usage(context, mistake, kDomainDetails);
  const std::string& attribute = (*words)[1];
  const std::string value = none ? std::string() : words->back();
  if (!none && value.empty()) return could_not(context, "the value is empty; --none takes the attribute away");
  return change(context, {{"ask", "domain-change"}, {"name", words->front()}, {"attributes", object{{attribute, value}}}}, [&](const object& answer) {
    return (none ? "removed attribute " : "set attribute ") + attribute + " of domain " + value_in(answer, "domain", "name");
  });
}

int set_tags(const Context& context, const Arguments& arguments) {
  bool none = false;
  const auto words = read_options("domain tag", {{"--none", &none}}, behind_verb(arguments));
  if (!words) return wrong_usage(context, words.error().what, kDomainDetails);
  const std::string mistake = words_mistake("domain tag", none ? Arguments{"NAME"} : Arguments{"NAME", "TAG or --none", "[TAG] ..."}, *words);
  if (!mistake.empty()) return wrong_usage(context, mistake, kDomainDetails);
  const Arguments tags(words->begin() + 1, words->end());
  return change(context, {{"ask", "domain-change"}, {"name", words->front()}, {"conversion_tags", directory::to_json(tags)}}, [&](const object& answer) {
    return (tags.empty() ? "removed the conversion tags of domain " : "set the conversion tags of domain ") + value_in(answer, "domain", "name");
  });
}

}  // namespace

const char* const kDomainDetails =
    "  posternctl domain add NAME\n"
    "  posternctl domain list\n"
    "  posternctl domain remove NAME\n"
    "  posternctl domain show NAME\n"
    "  posternctl domain set NAME ATTRIBUTE VALUE | --none\n"
    "  posternctl domain tag NAME TAG ... | --none\n"
    "  posternctl domain filter NAME FILE | - | --none | --show\n"
    "  posternctl domain autoconfig NAME thunderbird | dns [--host HOST]\n"
    "  posternctl domain autoconfig NAME apple ADDRESS [--host HOST]\n"
    "set gives the domain an attribute for tables ($}NAME,ATTRIBUTE{), or takes it away; tag sets the\n"
    "conversion tags of all mail for its mailboxes.\n"
    "autoconfig prints what mail programs look for to set up an account: Thunderbird's file for\n"
    "https://autoconfig.NAME/mail/config-v1.1.xml, a profile for Apple's devices, or SRV records.\n";

const char* const kAccountDetails =
    "  posternctl account add NAME [ATTRIBUTE ...] [--adopt-mailbox] [PASSWORD]\n"
    "  posternctl account passwd NAME [PASSWORD]\n"
    "  posternctl account change NAME ATTRIBUTE ...\n"
    "  posternctl account show NAME\n"
    "  posternctl account list [DOMAIN]\n"
    "  posternctl account enable | disable NAME\n"
    "  posternctl account remove NAME\n"
    "  posternctl account filter NAME FILE | - | --none | --show\n"
    "  posternctl account script list | get | put | activate | deactivate | rename | remove ...\n"
    "NAME is an address: user@example.com. --adopt-mailbox: with the mail that an earlier\n"
    "account of that name has left. ATTRIBUTE is one of\n"
    "  --description TEXT     one line for people\n"
    "  --forward ADDRESS      mail goes there (may be given several times); --no-forward\n"
    "  --keep-copy            and into the mailbox too; --no-keep-copy\n"
    "  --hold                 mail waits until this ends; --no-hold\n"
    "  --service NAME         logs in there only: pop3, imap, smtp, sieve, web; --all-services\n"
    "  --quota SIZE | none    size of the mailbox, like \"2 GiB\"\n"
    "  --quota-messages NUMBER | none   how many messages it holds\n"
    "  --tag TAG              conversion tag of all mail for the mailbox; --no-tags\n"
    "  --mail-host NAME       the host that has the mailbox, if it is not this one\n"
    "and PASSWORD one of\n"
    "  --password-file FILE   the first line of FILE (-: of standard input)\n"
    "  --password-hash HASH   a hash of one: of crypt(5), or {SSHA} and what other servers have\n"
    "  --generate             make one and print it\n"
    "Without it the password is asked for, twice.\n";

namespace {

int print_client_settings(const Context& context, const Arguments& arguments) {
  std::string host;
  std::vector<Option> options{{"--host", &host}};
  const auto rest = read_options("domain autoconfig", options, {arguments.begin() + 1, arguments.end()});
  if (!rest) return wrong_usage(context, rest.error().what, kDomainDetails);
  const std::string form = rest->size() < 2 ? std::string() : (*rest)[1];
  const bool known = form == "thunderbird" || form == "dns" || form == "apple";
  std::string mistake = words_mistake("domain autoconfig", form == "apple" ? Arguments{"NAME", "FORM", "ADDRESS"} : Arguments{"NAME", "thunderbird, dns or apple"}, *rest);
  if (mistake.empty() && !known) mistake = "domain autoconfig: expected thunderbird, dns or apple, found " + form;
  if (!mistake.empty()) return wrong_usage(context, mistake, kDomainDetails);
  const auto domain = directory::canonical_domain(rest->front());
  if (!domain) return could_not(context, rest->front() + ": " + domain.error().what);
  DirectoryAccess directory(context);
  const auto answer = directory.ask({{"ask", "domain"}, {"name", *domain}});
  if (!answer) return could_not(context, answer.error().what);
  if (record_in(*answer, "domain") == nullptr) return could_not(context, "there is no domain " + *domain);
  if (host.empty()) host = context.configuration().host_name;
  const auto name = directory::canonical_domain(host);
  if (!name) return could_not(context, host + ": " + name.error().what);
  const auto settings = client_settings(context.configuration(), *domain, *name);
  if (!settings) return could_not(context, settings.error().what);
  if (form == "thunderbird") {
    std::cout << thunderbird_settings(*settings);
  } else if (form == "dns") {
    std::cout << service_records(*settings);
  } else {
    const auto address = directory::canonical_account(rest->back());
    if (!address) return could_not(context, rest->back() + ": " + address.error().what);
    if (!address->ends_with("@" + *domain)) return could_not(context, *address + " is not in " + *domain);
    std::cout << apple_profile(*settings, *address);
  }
  return kDone;
}

}  // namespace

int run_domain(const Context& context, const std::vector<std::string>& arguments) {
  const std::string verb = arguments.empty() ? "" : arguments[0];
  if (verb == "autoconfig") return print_client_settings(context, arguments);
  if (verb == "filter") return run_filter(context, "domain", arguments, kDomainDetails);
  if (verb == "set") return set_attribute(context, arguments);
  if (verb == "tag") return set_tags(context, arguments);
  const auto words = read_verb("domain", {{"add", {"NAME"}}, {"list", {}}, {"remove", {"NAME"}}, {"show", {"NAME"}}}, arguments);
  if (!words) return wrong_usage(context, words.error().what, kDomainDetails);
  if (verb == "list") return list_domains(context);
  const std::string& name = words->back();
  if (verb == "show") return show_domain(context, name);
  return change(context, {{"ask", "domain-" + verb}, {"name", name}},
                [&](const object& answer) { return (verb == "add" ? "added domain " : "removed domain ") + value_in(answer, "domain", "name"); });
}

int run_account(const Context& context, const std::vector<std::string>& arguments) {
  const std::string verb = arguments.empty() ? "" : arguments[0];
  if (verb == "add" || verb == "passwd") {
    const auto options = password_options(arguments, verb == "add");
    return options ? set_password(context, *options, verb == "add") : wrong_usage(context, options.error().what, kAccountDetails);
  }
  if (verb == "change") return change_account(context, arguments);
  if (verb == "script") return run_scripts(context, behind_verb(arguments));
  if (verb == "filter") return run_filter(context, "account", arguments, kAccountDetails);
  const Verbs verbs{{"show", {"NAME"}}, {"list", {"[DOMAIN]"}}, {"enable", {"NAME"}}, {"disable", {"NAME"}}, {"remove", {"NAME"}}};
  const auto words = read_verb("account", verbs, arguments);
  if (!words) return wrong_usage(context, words.error().what, kAccountDetails);
  const std::string name = words->size() < 2 ? std::string() : (*words)[1];
  if (verb == "list") return list_accounts(context, name);
  if (verb == "show") return show_account(context, name);
  if (verb == "remove")
    return change(context, {{"ask", "account-remove"}, {"name", name}}, [&context](const object& answer) {
      return "removed account " + value_in(answer, "account", "name") + "; its mail was kept in " + mailbox_path(context, answer);
    });
  return change(context, {{"ask", "account-change"}, {"name", name}, {"enabled", verb == "enable"}},
                [&verb](const object& answer) { return verb + "d account " + value_in(answer, "account", "name"); });
}

}  // namespace postern::tools
