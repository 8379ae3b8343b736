// SPDX-License-Identifier: Apache-2.0
#include "policy/channels.h"

#include "base/text.h"

#include <algorithm>
#include <optional>

namespace postern::policy {
namespace {

// access-control.md 3.1 and 3.2. What a site doesn't redefine is as here.
constexpr std::string_view kShipped[] = {
    "tcp_local smtp mx switchchannel remotehost maysaslserver saslswitchchannel tcp_auth maytlsserver",
    "tcp_internal smtp mx allowswitchchannel maysaslserver saslswitchchannel tcp_auth maytlsserver",
    "tcp_auth smtp mx noswitchchannel mustsaslserver",
    "tcp_submit smtp mx noswitchchannel mustsaslserver maytlsserver",
    "tcp_lmtp smtp noswitchchannel",
    "l aliaslocal noswitchchannel",
    "ims-ms noswitchchannel",
    "conversion noswitchchannel",
    "hold noswitchchannel",
    "process noswitchchannel",
    "reprocess noswitchchannel",
    "bitbucket noswitchchannel",
    "filter_discard noswitchchannel",
    "defragment noswitchchannel",
};

constexpr std::size_t kNameBytes = 32;

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  std::size_t at = 0;
  for (;;) {
    at = text.find_first_not_of(" \t", at);
    if (at == std::string_view::npos) return found;
    const auto end = std::min(text.find_first_of(" \t", at), text.size());
    found.push_back(text.substr(at, end - at));
    at = end;
  }
}

std::string_view without_alias(std::string_view name) { return name == "tcp_intranet" ? "tcp_internal" : name; }

// Keywords that one line gave; what it did not mention can still come from the defaults.
struct Given {
  std::optional<Channel::Switching> switching;
  std::optional<Channel::Authentication> authentication;
  std::optional<std::string> tls_switch, authentication_switch, source_filter, destination_filter;
  std::optional<bool> rewrites_sender, verifies_sender_domain, defragments;
  std::optional<unsigned> notice_days;
  bool alias_local = false;
};

// What is wrong with the line's keywords, or nothing.
std::optional<std::string> read_keywords(const std::vector<std::string_view>& line, Given& given) {
  for (std::size_t i = 1; i < line.size(); ++i) {
    const std::string word = base::lower(line[i]);
    if (word == "switchchannel") given.switching = Channel::Switching::switches;
    else if (word == "allowswitchchannel") given.switching = Channel::Switching::allowed;
    else if (word == "noswitchchannel") given.switching = Channel::Switching::never;
    else if (word == "nosasl") given.authentication = Channel::Authentication::none;
    else if (word == "maysaslserver") given.authentication = Channel::Authentication::offered;
    else if (word == "mustsaslserver") given.authentication = Channel::Authentication::demanded;
    else if (word == "aliaslocal") given.alias_local = true;
    else if (word == "authrewrite" || word == "noauthrewrite") given.rewrites_sender = word == "authrewrite";
    else if (word == "mailfromdnsverify" || word == "nomailfromdnsverify") given.verifies_sender_domain = word == "mailfromdnsverify";
    else if (word == "defragment" || word == "nodefragment") given.defragments = word == "defragment";
    else if (word == "userswitchchannel") return "userswitchchannel is not available: this version switches channels by client address, TLS and login only";
    else if (word == "notices") {
      constexpr unsigned kMostDays = 365;
      const auto days = i + 1 == line.size() ? std::nullopt : base::number_from<unsigned>(line[i + 1]);
      if (!days || *days < 1 || *days > kMostDays) return "expected a number of days from 1 to " + std::to_string(kMostDays) + " behind notices";
      given.notice_days = *days;
      ++i;
    } else if (word == "nosourcefilter") given.source_filter = "";
    else if (word == "nodestinationfilter") given.destination_filter = "";
    else if (word == "sourcefilter" || word == "destinationfilter" || word == "channelfilter") {
      if (++i == line.size()) return "expected a file's name behind " + word;
      (word == "sourcefilter" ? given.source_filter : given.destination_filter) = std::string(line[i]);
    } else if (word == "saslswitchchannel" || word == "tlsswitchchannel") {
      if (++i == line.size() || !Channels::is_name(line[i])) return "expected a channel's name behind " + word;
      (word == "saslswitchchannel" ? given.authentication_switch : given.tls_switch) = std::string(without_alias(line[i]));
    } else if (word != "smtp" && word != "mx" && word != "remotehost" && word != "maytlsserver") {
      // Those four describe how mail is sent, and TLS: known, and without effect on what is received here.
      return "unknown keyword \"" + base::printable(line[i], 64) + "\"";
    }
  }
  return std::nullopt;
}

Channel make(std::string_view name, const Given& own, const Given& defaults) {
  Channel channel;
  channel.name = name;
  channel.switching = own.switching ? *own.switching : defaults.switching.value_or(Channel::Switching::allowed);
  channel.authentication = own.authentication ? *own.authentication : defaults.authentication.value_or(Channel::Authentication::none);
  channel.tls_switch = own.tls_switch ? *own.tls_switch : defaults.tls_switch.value_or("");
  channel.authentication_switch = own.authentication_switch ? *own.authentication_switch : defaults.authentication_switch.value_or("");
  channel.source_filter = own.source_filter ? *own.source_filter : defaults.source_filter.value_or("");
  channel.destination_filter = own.destination_filter ? *own.destination_filter : defaults.destination_filter.value_or("");
  channel.rewrites_sender = own.rewrites_sender ? *own.rewrites_sender : defaults.rewrites_sender.value_or(false);
  channel.verifies_sender_domain = own.verifies_sender_domain ? *own.verifies_sender_domain : defaults.verifies_sender_domain.value_or(false);
  channel.defragments = own.defragments ? *own.defragments : defaults.defragments.value_or(false);
  channel.notice_days = own.notice_days ? *own.notice_days : defaults.notice_days.value_or(channel.notice_days);
  channel.alias_local = own.alias_local || defaults.alias_local || name == "l";
  return channel;
}

}  // namespace

Channels::Channels() {
  for (const std::string_view text : kShipped) {
    const auto line = words(text);
    Given given;
    const auto wrong = read_keywords(line, given);
    POSTERN_ASSERT(!wrong);
    channels_.emplace(line[0], make(line[0], given, {}));
  }
}

Channels Channels::parse(const std::vector<conf::TextLine>& lines, std::vector<conf::Mistake>& mistakes) {
  Channels channels;
  Given defaults;
  std::vector<std::pair<std::string, Given>> own;
  std::vector<std::pair<std::string, conf::Place>> named;  // channels that others switch to
  bool has_defaults = false;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto line = words(lines[i].text);
    if (line.empty() || line[0].front() == '!') continue;
    const std::string setting = "channels[" + std::to_string(i) + "]";
    const auto mistake = [&](std::string text) { mistakes.push_back({lines[i].place, setting, std::move(text)}); };
    Given given;
    if (auto wrong = read_keywords(line, given)) {
      mistake(std::move(*wrong));
      continue;
    }
    for (const auto& target : {given.tls_switch, given.authentication_switch})
      if (target) named.emplace_back(*target, lines[i].place);
    if (line[0] == "defaults") {
      if (has_defaults) mistake("expected one line of defaults, found a second one");
      has_defaults = true;
      defaults = given;
      continue;
    }
    if (!is_name(line[0])) {
      mistake("expected a channel's name (at most 32 of a-z, 0-9, '_', '$', '-'), found \"" + base::printable(line[0], 64) + "\"");
      continue;
    }
    const std::string name(without_alias(line[0]));
    if (std::any_of(own.begin(), own.end(), [&](const auto& other) { return other.first == name; })) {
      mistake("channel " + name + " is defined twice");
      continue;
    }
    own.emplace_back(name, given);
  }
  for (const auto& [name, given] : own) channels.channels_.insert_or_assign(name, make(name, given, defaults));
  for (const auto& [name, place] : named)
    if (channels.find(name) == nullptr) mistakes.push_back({place, "channels", "there is no channel \"" + name + "\" to switch to"});
  return channels;
}

const Channel* Channels::find(std::string_view name) const {
  const auto found = channels_.find(without_alias(name));
  return found == channels_.end() ? nullptr : &found->second;
}

bool Channels::is_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytes) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || base::is_digit(c) || c == '_' || c == '$' || c == '-'; });
}

bool is_deferred(std::string_view channel) { return channel == "process" || channel == "reprocess" || channel == "defragment"; }
bool is_visible(std::string_view channel) { return channel != "reprocess" && channel != "defragment"; }
bool is_sent_on(std::string_view channel) { return channel.starts_with("tcp_"); }

std::string initial_channel(conf::Module module, const conf::SocketRow& row) {
  if (!row.channel.empty()) return std::string(without_alias(row.channel));
  if (module == conf::Module::lmtp) return "tcp_lmtp";
  return row.port == 587 || row.port == 465 ? "tcp_submit" : "tcp_local";
}

}  // namespace postern::policy
