// SPDX-License-Identifier: Apache-2.0
// postern-sendmail: hands the message on standard input to the server of this machine, with the options of sendmail (postern-sendmail(1));
// called as mailq or newaliases, what these do.
#include "config.h"

#include "base/random.h"
#include "base/text.h"
#include "conf/configuration.h"
#include "install_directories.h"
#include "tools/sendmail_message.h"
#include "tools/sendmail_submit.h"

#include <pwd.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace postern;

// A longer message is for nobody's mailbox, and must not take all memory.
constexpr std::size_t kMostMessageBytes = std::size_t{1} << 30;

constexpr std::string_view kHelp = R"(usage: postern-sendmail [options] [recipient ...] < message
       postern-sendmail -bs | -bp | -bi | -q

  -f ADDRESS   sender of the envelope; "<>" or "" is the null one (-r is the same)
  -F NAME      name in a From field that the message lacks
  -t           recipients from To, Cc and Bcc too; Bcc is removed
  -i, -oi      a line with a single dot does not end the message
  -N WORDS     when to tell the sender: never, or some of success, failure, delay
  -R full|hdrs what comes back with a notice of failure
  -V ID        the envelope's id in notices
  -bs          speak SMTP on standard input and output
  -bp          the queue (mailq)        -bi, -I  compile aliases (newaliases)    -q  try the queue now
  --server HOST[:PORT]   instead of the listener in the configuration
  --config FILE          the configuration
)";

struct Options {
  enum class Mode { submit, session, queue, aliases, flush } mode = Mode::submit;
  std::optional<std::string> sender;
  std::string full_name, notify, ret, envelope_id, server, configuration;
  bool header_recipients = false, dot_ends = true;
  std::vector<std::string> recipients;
};

[[noreturn]] void fail(int status, const std::string& what) {
  std::cerr << "postern-sendmail: " << what << "\n";
  std::exit(status);
}
[[noreturn]] void wrong_usage(const std::string& what) {
  std::cerr << "postern-sendmail: " << what << "\n" << kHelp;
  std::exit(EX_USAGE);
}

std::string notify_words(std::string_view text) {
  std::string out = base::upper(text);
  if (out == "NEVER") return out;
  for (const std::string_view word : base::split(out, ','))
    if (word != "SUCCESS" && word != "FAILURE" && word != "DELAY") wrong_usage("-N: expected never, or some of success, failure, delay with commas between");
  return out;
}

Options read_arguments(int count, char** arguments) {
  Options options;
  const std::string_view path = arguments[0];
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (name == "mailq") options.mode = Options::Mode::queue;
  if (name == "newaliases") options.mode = Options::Mode::aliases;
  int at = 1;
  // The value of an option: behind its letter, or the next word.
  const auto value = [&](std::string_view rest, std::string_view option) {
    if (!rest.empty()) return std::string(rest);
    if (at >= count) wrong_usage(std::string(option) + " needs a value");
    return std::string(arguments[at++]);
  };
  while (at < count) {
    const std::string_view argument = arguments[at++];
    if (argument == "--") break;
    if (argument.size() < 2 || argument[0] != '-') {
      options.recipients.emplace_back(argument);
      continue;
    }
    if (argument == "--help") {
      std::cout << kHelp;
      std::exit(EX_OK);
    } else if (argument == "--version") {
      std::cout << "postern-sendmail " << PACKAGE_VERSION << "\n";
      std::exit(EX_OK);
    } else if (argument == "--server") {
      options.server = value({}, argument);
    } else if (argument == "--config") {
      options.configuration = value({}, argument);
    } else if (argument.starts_with("--")) {
      wrong_usage("option " + std::string(argument) + " is not known");
    } else {
      // Letters without a value may stand together, and in front of one that has one: -ti, -itf ADDRESS.
      for (std::string_view letters = argument.substr(1); !letters.empty();) {
        const char letter = letters.front();
        letters.remove_prefix(1);
        const std::string option{'-', letter};
        const auto own_value = [&] { return value(std::exchange(letters, {}), option); };
        switch (letter) {
          case 'b': {
            const std::string mode = own_value();
            if (mode == "m") options.mode = Options::Mode::submit;
            else if (mode == "s") options.mode = Options::Mode::session;
            else if (mode == "p") options.mode = Options::Mode::queue;
            else if (mode == "i") options.mode = Options::Mode::aliases;
            else wrong_usage("-b" + mode + " is not available");
            break;
          }
          case 'f': case 'r': options.sender = own_value(); break;
          case 'F': options.full_name = own_value(); break;
          case 't': options.header_recipients = true; break;
          case 'i': options.dot_ends = false; break;
          case 'I': options.mode = Options::Mode::aliases; break;
          case 'N': options.notify = notify_words(own_value()); break;
          case 'R':
            options.ret = base::upper(own_value());
            if (options.ret != "FULL" && options.ret != "HDRS") wrong_usage("-R: expected full or hdrs");
            break;
          case 'V': options.envelope_id = own_value(); break;
          case 'q':
            options.mode = Options::Mode::flush;
            letters = {};  // how often, or which part of the queue
            break;
          case 'o': {
            const std::string what = own_value();
            if (what == "i") options.dot_ends = false;
            else if (what == "t") options.header_recipients = true;
            break;  // all others say how a sendmail of old queues and reports
          }
          case 'A': case 'B': case 'C': case 'D': case 'e': case 'h': case 'L': case 'O': case 'p': case 'X':
            static_cast<void>(own_value());
            break;
          case 'd': letters = {}; break;
          case 'G': case 'm': case 'n': case 'U': case 'v': case 'x': break;
          default: wrong_usage("option " + option + (argument.size() > 2 ? " in " + std::string(argument) : "") + " is not known");
        }
      }
    }
  }
  for (; at < count; ++at) options.recipients.emplace_back(arguments[at]);
  return options;
}

struct Site {
  std::string host = "127.0.0.1", port = "25", host_name;
};

// The first socket for SMTP without TLS from the first byte, and the name of addresses without a domain. A user who may not read the
// configuration gets what is usual.
Site find_site(const Options& options) {
  Site site;
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) == 0) site.host_name = name.data();
  const std::string path = options.configuration.empty() ? POSTERN_SYSCONFDIR "/postern.conf" : options.configuration;
  if (::access(path.c_str(), R_OK) == 0) {
    const conf::Loaded loaded = conf::load(path);
    if (loaded.readable && !loaded.configuration.host_name.empty()) site.host_name = loaded.configuration.host_name;
    for (const conf::Listener& listener : loaded.configuration.listeners)
      for (const conf::SocketRow& row : listener.sockets) {
        if (listener.module != conf::Module::smtp || row.port == 0 || row.proxy || row.init_tls != conf::InitTls::off) continue;
        site.port = std::to_string(row.port);
        if (row.address.kind == conf::LocalAddress::Kind::one) site.host = row.address.to_string();
        if (row.address.kind == conf::LocalAddress::Kind::all_ipv6) site.host = "::1";
        return site;
      }
  } else if (!options.configuration.empty()) {
    fail(EX_CONFIG, system_error(errno, path).what);
  }
  return site;
}

std::string read_message() {
  std::string text;
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(EX_IOERR, system_error(errno, "standard input").what);
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > kMostMessageBytes) fail(EX_DATAERR, "the message is too long");
  }
}

// Another program of ours in the place of this one.
[[noreturn]] void become(const Options& options, std::vector<std::string> words) {
  std::string program = POSTERN_SBINDIR "/posternctl";
  words.insert(words.begin(), program);
  if (!options.configuration.empty()) words.insert(words.begin() + 1, {"--config", options.configuration});
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execv(program.c_str(), pointers.data());
  fail(EX_OSFILE, system_error(errno, program).what);
}

std::string user_name(std::string& full_name) {
  const passwd* const user = ::getpwuid(::getuid());
  if (user == nullptr) return "nobody";
  if (full_name.empty() && user->pw_gecos != nullptr) {
    full_name = std::string(base::trim(std::string_view(user->pw_gecos).substr(0, std::string_view(user->pw_gecos).find(','))));
    if (!base::is_utf8(full_name)) full_name.clear();
  }
  return user->pw_name;
}

std::string bare(std::string_view address) {
  if (address.size() >= 2 && address.front() == '<' && address.back() == '>') address = address.substr(1, address.size() - 2);
  return std::string(address);
}

int submit(const Options& options, const Site& site) {
  tools::Submission submission;
  submission.host = site.host;
  submission.port = site.port;
  submission.helo = site.host_name.empty() ? "localhost" : site.host_name;
  submission.notify = options.notify;
  submission.ret = options.ret;
  submission.envelope_id = options.envelope_id;

  tools::SendmailFacts facts;
  facts.full_name = options.full_name;
  facts.host_name = submission.helo;
  const std::string user = user_name(facts.full_name) + "@" + facts.host_name;
  submission.sender = options.sender ? bare(*options.sender) : user;
  if (!submission.sender.empty() && submission.sender.find('@') == std::string::npos) submission.sender += "@" + facts.host_name;
  facts.sender = submission.sender.empty() ? user : submission.sender;
  facts.message_id = base::random_name() + "." + base::random_name() + "@" + facts.host_name;
  facts.now = base::wall_now();
  facts.dot_ends = options.dot_ends;
  facts.header_recipients = options.header_recipients;

  std::vector<std::string> unusable;
  for (const std::string& given : options.recipients) tools::add_recipients(given, facts.host_name, submission.recipients, unusable);
  if (submission.recipients.empty() && unusable.empty() && !options.header_recipients) wrong_usage("expected recipients, or -t");
  tools::SendmailMessage message = tools::sendmail_message(read_message(), facts);
  for (std::string& address : message.recipients)
    if (std::find(submission.recipients.begin(), submission.recipients.end(), address) == submission.recipients.end()) submission.recipients.push_back(std::move(address));
  unusable.insert(unusable.end(), message.unusable.begin(), message.unusable.end());
  if (!unusable.empty()) fail(EX_NOUSER, "nothing was sent; this is no address: " + base::printable(unusable.front(), 200));
  if (submission.recipients.empty()) fail(EX_DATAERR, "nothing was sent; the message names no recipients");
  submission.text = std::move(message.text);
  if (const auto failure = tools::submit(submission)) fail(failure->status, failure->what);
  return EX_OK;
}

}  // namespace

int main(int count, char** arguments) {
  std::signal(SIGPIPE, SIG_IGN);
  const Options options = read_arguments(count, arguments);
  switch (options.mode) {
    case Options::Mode::queue: become(options, {"queue", "list"});
    case Options::Mode::aliases: become(options, {"compile"});
    case Options::Mode::flush: become(options, {"queue", "flush"});
    default: break;
  }
  Site site = find_site(options);
  if (!options.server.empty()) {
    const auto colon = options.server.rfind(':');
    const bool has_port = colon != std::string::npos && options.server.find(':') == colon;
    site.host = options.server.substr(0, has_port ? colon : std::string::npos);
    if (has_port) site.port = options.server.substr(colon + 1);
  }
  if (options.mode == Options::Mode::session) {
    if (const auto failure = tools::pass_session(site.host, site.port)) fail(failure->status, failure->what);
    return EX_OK;
  }
  return submit(options, site);
}
