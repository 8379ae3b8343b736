// SPDX-License-Identifier: Apache-2.0
// What the whole decision about one message with one recipient costs: PORT_ACCESS twice, INTERNAL_IP, FROM_ACCESS and the four recipient
// tables of 10,000 entries each, rewriting and the directory (in memory). CPU time of the process; also without any of the tables.
#include "directory/fixed.h"
#include "mapping/compile.h"
#include "policy/access.h"

#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

using namespace postern;

namespace {

constexpr int kEntries = 10000;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// A table of refusals with a permit behind them; `entry` makes the pattern of one of them.
template <class Entry>
std::string table(const std::string& name, Entry entry) {
  std::string text = name + "\n\n";
  for (int i = 0; i < kEntries; ++i) text += "  " + entry(std::to_string(i)) + "  $NRefused\n";
  return text + "  *  $Y\n\n";
}

std::string tables() {
  std::string text = "INTERNAL_IP\n\n  $(10.0.0.0/8)  $Y\n  *  $N\n\n";
  text += table("PORT_ACCESS", [](const std::string& i) { return "TCP|*|*|$(100." + std::to_string(std::stoi(i) / 256) + "." + std::to_string(std::stoi(i) % 256) + ".0/24)|*"; });
  text += table("FROM_ACCESS", [](const std::string& i) { return "*|*@bad" + i + ".example|*"; });
  text += table("ORIG_SEND_ACCESS", [](const std::string& i) { return "tcp_local|*@*.bad" + i + ".example|*|*"; });
  text += table("ORIG_MAIL_ACCESS", [](const std::string& i) { return "*|l|user" + i + "@example.com"; });
  text += table("SEND_ACCESS", [](const std::string& i) { return "tcp_local|spam" + i + "@*|*|*"; });
  text += table("MAIL_ACCESS", [](const std::string& i) { return "*|ims-ms|user" + i + "@example.com"; });
  return text;
}

mapping::Tables compiled(const std::string& text) {
  mapping::CompileInput input;
  input.mappings = "mappings";
  input.lint = false;
  input.read = [&](const std::string&) -> Result<std::string> { return text; };
  const mapping::Compilation compilation = mapping::compile(input);
  auto image = compilation.good() ? mapping::lay_out(compilation, 1, 0) : Result<std::string>(Error{Kind::invalid, compilation.messages.at(0).text});
  auto loaded = image ? mapping::Tables::from_bytes(std::move(*image)) : Result<mapping::Tables>(image.error());
  if (!loaded) {
    std::cerr << "access_bench: " << loaded.error().what << "\n";
    std::exit(1);
  }
  return std::move(*loaded);
}

net::Awaitable<void> messages(const policy::Access& access, int count, int& accepted) {
  policy::SessionFacts facts;
  facts.local = {*net::Address::parse("192.0.2.1"), 25};
  facts.remote = {*net::Address::parse("198.51.100.7"), 40312};
  facts.helo = "client.sender.example";
  facts.extended = true;
  for (int i = 0; i < count; ++i) {
    const auto listener = co_await access.port_access(conf::Module::smtp, facts.local, facts.remote, true);
    policy::Notes notes;
    facts.source_channel = co_await access.source_channel("tcp_local", facts.remote.address, notes);
    const auto session = co_await access.port_access(conf::Module::smtp, facts.local, facts.remote, false);
    policy::TransactionAccess transaction(access, std::make_shared<const policy::SessionFacts>(facts));
    const auto sender = co_await transaction.mail_from("a" + std::to_string(i), "sender.example", "a@sender.example");
    policy::TransactionAccess::Ask ask;
    ask.local_part = "anna";
    ask.domain = "example.com";
    const auto recipient = co_await transaction.recipient(ask);
    if (listener.accepted && session.accepted && sender.accepted && recipient.accepted) ++accepted;
  }
}

double microseconds(const std::string& text, int count) {
  directory::FixedDirectory directory;
  directory.add_account("anna@example.com");
  policy::Questions questions;
  conf::Configuration configuration;
  const policy::Access access(policy::Site::from(configuration), compiled(text), directory, questions);
  int accepted = 0;
  const double began = cpu_seconds();
  net::asio::io_context io(1);
  net::asio::co_spawn(io, messages(access, count, accepted), net::asio::detached);
  io.run();
  if (accepted != count) {
    std::cerr << "access_bench: " << count - accepted << " messages were refused\n";
    std::exit(1);
  }
  return (cpu_seconds() - began) * 1e6 / count;
}

}  // namespace

int main() {
  const double with = microseconds(tables(), 50000), without = microseconds("X\n\n  x  $Y\n", 50000);
  std::printf("%-58s %8.2f us\n%-58s %8.2f us\n", "decision about a message, 6 tables of 10,000 entries", with, "the same without tables", without);
  return 0;
}
