// SPDX-License-Identifier: Apache-2.0
// posternctl resolve: asks the running server's resolver child, by the same way and from the same cache as sessions do.
#include "tools/ctl_ask.h"

#include "net/frames.h"
#include "net/resolver_protocol.h"
#include "tools/server_resolver.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <cstdio>
#include <iostream>

namespace postern::tools {
namespace {

using boost::json::object;

// "10 mx.example.com"; what has no form of its own as RFC 3597 section 5 writes it.
std::vector<std::string> record_texts(const net::DnsAnswer& answer) {
  std::vector<std::string> lines;
  for (const std::string& record : answer.records) {
    net::DnsAnswer one;
    one.type = answer.type;
    one.records = {record};
    std::string line;
    for (const auto& address : one.addresses()) line = address.to_string();
    for (const auto& host : one.mail_exchangers()) line = std::to_string(host.preference) + " " + host.host;
    for (const auto& name : one.names()) line = name;
    for (const auto& text : one.texts()) {
      line = "\"";
      for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        char escaped[5];
        std::snprintf(escaped, sizeof escaped, "\\%03u", byte);
        if (c == '"' || c == '\\') (line += '\\') += c;
        else if (byte < 0x20 || byte > 0x7e) line += escaped;
        else line += c;
      }
      line += '"';
    }
    if (line.empty()) line = "\\# " + std::to_string(record.size()) + " " + net::to_hex(record);
    lines.push_back(std::move(line));
  }
  return lines;
}

// How the question ended, in the words of the exit status.
int answer_to(const Context& context, ServerResolver& resolver, const net::DnsQuestion& question, boost::json::array& found, std::vector<std::vector<std::string>>& rows) {
  const auto records = resolver.ask(question);
  object entry{{"name", question.name}, {"type", net::dns_type_name(question.type)}};
  if (!records) {
    entry["error"] = records.error().what;
    entry["kind"] = to_string(records.error().kind);
    found.push_back(entry);
    if (!context.json) std::cerr << "posternctl: " << question.name << " " << net::dns_type_name(question.type) << ": " << records.error().what << "\n";
    return kFailed;
  }
  boost::json::array texts;
  for (std::string& line : record_texts(*records)) {
    texts.emplace_back(line);
    rows.push_back({question.name, net::dns_type_name(question.type), std::to_string(records->time_to_live.count()), records->secure ? "yes" : "no", std::move(line)});
  }
  entry["canonical_name"] = records->canonical_name;
  entry["ttl"] = records->time_to_live.count();
  entry["secure"] = records->secure;
  entry["cut"] = records->cut;
  entry["records"] = std::move(texts);
  found.push_back(entry);
  if (records->cut && !context.json) std::cerr << "posternctl: " << question.name << ": further records are cut off (resolver.answer_bytes)\n";
  return kDone;
}

}  // namespace

const char* const kResolveDetails =
    "TYPE is A, AAAA, MX, TXT, PTR, CNAME, NS, SOA, SRV, TLSA, CAA, DS, DNSKEY or TYPEnnn; without it, the addresses of a name, or the\n"
    "names of an address. An address with a type is asked for by its reverse name.\n";

int run_resolve(const Context& context, const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.size() > 2) return wrong_usage(context, "resolve");
  const auto address = net::Address::parse(arguments[0]);
  const auto name = net::canonical_dns_name(address ? net::reverse_name(*address) : arguments[0]);
  if (!name) {
    print_error(context, arguments[0] + ": " + name.error().what);
    return kUsage;
  }
  std::vector<std::uint16_t> types;
  if (arguments.size() == 2) {
    const auto type = net::dns_type_from(arguments[1]);
    if (!type || *type == 0) {
      print_error(context, arguments[1] + " is no type of records");
      return kUsage;
    }
    types = {*type};
  } else if (address) {
    types = {net::dns::kPtr};
  } else {
    types = {net::dns::kA, net::dns::kAaaa};
  }
  if (auto directory = server_directory(context); !directory) return fail(context, directory.error());
  ServerResolver resolver(context);
  boost::json::array found;
  std::vector<std::vector<std::string>> rows;
  bool any = false;
  for (const std::uint16_t type : types) any = answer_to(context, resolver, {*name, type}, found, rows) == kDone || any;
  if (context.json) print_json({{"answers", std::move(found)}});
  else if (any) print_table({"NAME", "TYPE", "TTL", "SECURE", "RECORD"}, rows);
  return any ? kDone : kFailed;
}

}  // namespace postern::tools
