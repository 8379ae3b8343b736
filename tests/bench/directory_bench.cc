// SPDX-License-Identifier: Apache-2.0
// What the account database costs by its size: loading a dump, looking up a recipient, the look-up of a login.
//
//   directory_bench [--accounts 1000,1000000] [--seconds 2] [DIRECTORY]
//
// For each size a database is made in a directory of its own below DIRECTORY (default: $TMPDIR or /var/tmp) by the questions that
// posternctl directory load asks, each batch of 500 accounts durable. Then, in turn for all sizes, names are asked for at random:
//   database   the record of an account, in the process that has the store (what a login asks before its hash is checked)
//   rcpt       account and alias of a recipient over run/directory.sock, nothing cached by the asker; half of the names are nobody's
//   login      the first message of a SCRAM login over the same socket: everything a login looks up, and no hash
#include "base/descriptor.h"
#include "directory/administration.h"
#include "directory/client.h"
#include "directory/dump.h"
#include "directory/protocol.h"
#include "directory/server.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

using namespace postern;
using Clock = std::chrono::steady_clock;

namespace {

constexpr const char* kHash = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7";

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string name_of(std::size_t number) {
  char text[64];
  std::snprintf(text, sizeof text, "user%07zu@d%03zu.example", number, number % 100);
  return text;
}

struct Site {
  std::size_t accounts = 0;
  std::string path;
  base::Descriptor place;
  std::optional<directory::Database> database;
  directory::Generations generations = directory::Generations::create().value();
  double load_seconds = 0, load_cpu = 0;
  std::uint64_t bytes = 0;
  std::vector<double> database_us, rcpt_us, login_us;
};

void load(Site& site) {
  site.place = base::Descriptor(::open(site.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  site.database.emplace(directory::Database::open(site.place.get()).value());
  const auto put = [&](const std::string& text) {
    const auto done = directory::administer(*site.database, {{"ask", "directory-load"}, {"text", text}});
    if (const auto error = directory::error_in(done->answer)) {
      std::fprintf(stderr, "%s\n", error->what.c_str());
      std::exit(1);
    }
  };
  // In the order of a dump: by domain, then by name.
  std::string text;
  for (std::size_t domain = 0; domain < 100; ++domain) text += "domain " + name_of(domain).substr(12) + "\n";
  put(text);
  const auto start = Clock::now();
  const double cpu = cpu_seconds();
  text.clear();
  std::size_t count = 0;
  for (std::size_t domain = 0; domain < 100; ++domain)
    for (std::size_t number = domain; number < site.accounts; number += 100) {
      text += "account " + name_of(number) + "\n  created 2026-11-22T06:30:00.000000Z\n  password " + kHash + "\n  description User " + std::to_string(number) + "\n";
      if (++count % 500 == 0 || count == site.accounts) {
        put(text);
        text.clear();
      }
    }
  site.load_seconds = seconds_since(start);
  site.load_cpu = cpu_seconds() - cpu;
  for (const auto& entry : std::filesystem::directory_iterator(site.path))
    if (entry.is_regular_file()) site.bytes += entry.file_size();
}

void ask_database(Site& site, double seconds, std::mt19937_64& random) {
  const auto start = Clock::now();
  std::size_t count = 0;
  for (; count % 64 != 0 || seconds_since(start) < seconds; ++count)
    if (!site.database->account(name_of(random() % site.accounts)).value()) std::abort();
  site.database_us.push_back(seconds_since(start) * 1e6 / static_cast<double>(count));
}

void ask_server(Site& site, double seconds, std::mt19937_64& random) {
  net::asio::io_context io(1);
  directory::ServerSettings settings;
  settings.users = {::geteuid()};
  directory::Server server(io, net::listen_unix(site.place.get(), "directory.sock", 0600).value(), *site.database, site.generations, settings);
  server.start();
  directory::ClientSettings asking;
  asking.socket = "directory.sock";
  asking.cache_entries = 1;
  auto client = std::make_unique<directory::Client>(io, site.place.get(), site.generations, asking);
  net::asio::co_spawn(io, [&]() -> net::Awaitable<void> {
    const auto start = Clock::now();
    std::size_t count = 0;
    for (; count % 64 != 0 || seconds_since(start) < seconds; ++count) {
      const std::string name = (count % 2 == 0 ? "" : "no-") + name_of(random() % site.accounts);
      const auto account = co_await client->account(name);
      const auto alias = co_await client->alias(name);
      if (!account || !alias || (*account != nullptr) != (count % 2 == 0)) std::abort();
    }
    site.rcpt_us.push_back(seconds_since(start) * 1e6 / static_cast<double>(count));
    const auto logins = Clock::now();
    std::size_t logged = 0;
    for (; logged % 64 != 0 || seconds_since(logins) < seconds; ++logged) {
      directory::SaslRequest request;
      request.mechanism = "SCRAM-SHA-256";
      request.service = "pop3";
      const auto exchange = client->begin_sasl(std::move(request));
      const std::string first = "n,,n=" + name_of(random() % site.accounts) + ",r=fyko+d2lbbFgONRv9qkxdawL";
      const auto step = co_await exchange->step(first);
      if (step.kind != directory::SaslStep::Kind::challenge) std::abort();
    }
    site.login_us.push_back(seconds_since(logins) * 1e6 / static_cast<double>(logged));
    client = nullptr;
    server.stop();
    io.stop();
  }, net::asio::detached);
  io.run();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<std::size_t> sizes{1000, 1000000};
  double seconds = 2;
  const char* temporary = std::getenv("TMPDIR");
  std::string top = temporary != nullptr ? temporary : "/var/tmp";
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(arguments[i], "--accounts") == 0 && i + 1 < count) {
      sizes.clear();
      for (char* text = arguments[++i]; *text != '\0'; text += *text == ',' ? 1 : 0) sizes.push_back(std::strtoul(text, &text, 10));
    } else if (std::strcmp(arguments[i], "--seconds") == 0 && i + 1 < count) {
      seconds = std::strtod(arguments[++i], nullptr);
    } else {
      top = arguments[i];
    }
  }
  std::vector<std::unique_ptr<Site>> sites;
  for (const std::size_t size : sizes) {
    std::string path = top + "/postern-directory-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) {
      std::perror(path.c_str());
      return 1;
    }
    auto& site = *sites.emplace_back(std::make_unique<Site>());
    site.accounts = size;
    site.path = path;
    load(site);
  }
  std::mt19937_64 random(1);
  for (int round = 0; round < 3; ++round)
    for (auto& site : sites) {
      ask_database(*site, seconds / 3, random);
      ask_server(*site, seconds / 3, random);
    }
  std::printf("%10s %12s %10s %10s %12s %10s %10s\n", "accounts", "loaded/s", "CPU us", "MB", "database us", "rcpt us", "login us");
  for (const auto& site : sites)
    std::printf("%10zu %12.0f %10.1f %10.1f %12.2f %10.1f %10.1f\n", site->accounts, static_cast<double>(site->accounts) / site->load_seconds,
                site->load_cpu * 1e6 / static_cast<double>(site->accounts), static_cast<double>(site->bytes) / 1e6, median(site->database_us), median(site->rcpt_us),
                median(site->login_us));
  if (sites.size() > 1)
    std::printf("factor of the last to the first: database %.2f, rcpt %.2f, login %.2f\n", median(sites.back()->database_us) / median(sites.front()->database_us),
                median(sites.back()->rcpt_us) / median(sites.front()->rcpt_us), median(sites.back()->login_us) / median(sites.front()->login_us));
  for (auto& site : sites) {
    const std::string path = site->path;
    site = nullptr;
    std::filesystem::remove_all(path);
  }
  return 0;
}
