// SPDX-License-Identifier: Apache-2.0
#include "directory/outside.h"

#include "base/text.h"
#include "directory/administration.h"
#include "directory/protocol.h"

#include <boost/json/array.hpp>

namespace postern::directory {
namespace {

using boost::json::object;

void send(const Outside::Peer& peer, std::uint64_t id, object answer) {
  answer["id"] = id;
  peer->send(answer);
}

object found_answer(bool found) {
  object answer;
  answer["found"] = found;
  return answer;
}

object outcome_answer(ScriptOutcome outcome) {
  object answer;
  answer["outcome"] = to_string(outcome);
  return answer;
}

// Sends what a question for one text comes to.
std::function<void(const Result<std::optional<std::string>>&)> send_text(const Outside::Peer& peer, std::uint64_t id) {
  return [peer, id](const Result<std::optional<std::string>>& text) {
    if (!text) return send(peer, id, error_answer(text.error()));
    object answer = found_answer(text->has_value());
    if (text->has_value()) answer["text"] = **text;
    send(peer, id, std::move(answer));
  };
}

void set_time(object& answer, std::chrono::milliseconds good_for) { answer["good_for_ms"] = std::max<std::int64_t>(0, good_for.count()); }

}  // namespace

bool Outside::has(std::string_view name) {
  if (source_ == nullptr) return false;
  const std::string domain(name.substr(name.rfind('@') + 1));
  if (source_->has(domain)) return true;
  if (!source_->may_have_others()) return false;
  const auto here = database_.domain(domain);
  return here && !here->has_value();
}

bool Outside::look_up(const Peer& peer, std::uint64_t id, std::string_view ask, const object& request) {
  if (ask == "ldap-url") {
    const auto url = text_in(request, "url");
    if (!url) return false;
    if (source_ == nullptr) {
      send(peer, id, error_answer({Kind::permanent, "ldap.servers of postern.conf names no server"}));
      return true;
    }
    source_->url(*url, send_text(peer, id));
    return true;
  }
  const auto name = source_ == nullptr ? std::nullopt : text_in(request, "name");
  if (!name) return false;
  const bool of_domain = ask == "domain" || ask == "ldap-attribute";
  const auto canonical = of_domain ? canonical_domain(*name) : canonical_alias(*name);
  if (!canonical || !has(*canonical)) return false;
  if (ask == "ldap-attribute") {
    const auto attribute = text_in(request, "attribute");
    if (!attribute || !canonical_attribute(*attribute)) return false;
    source_->domain_attribute(*canonical, *attribute, send_text(peer, id));
    return true;
  }
  if (ask == "domain") {
    // Its filter may stand in the database.
    if (const auto here = database_.domain(*canonical); !here || here->has_value()) return false;
    domain(peer, id, *canonical);
    return true;
  }
  if (ask == "account") {
    account(peer, id, *canonical);
    return true;
  }
  if (ask != "account-script") return false;
  if (text_in(request, "script") != kMainScript) {
    send(peer, id, found_answer(false));
    return true;
  }
  source_->script(*canonical, [peer, id](const Result<std::optional<AccountSource::Script>>& script) {
    if (!script) return send(peer, id, error_answer(script.error()));
    const bool found = script->has_value() && !(*script)->text.empty();
    object answer = found_answer(found);
    if (found) answer["text"] = (*script)->text;
    send(peer, id, std::move(answer));
  });
  return true;
}

void Outside::domain(const Peer& peer, std::uint64_t id, const std::string& name) {
  source_->find_domain(name, [peer, id, name](const Result<AccountSource::FoundDomain>& found) {
    if (!found) return send(peer, id, error_answer(found.error()));
    object answer = found_answer(found->found);
    if (found->found) {
      Domain domain{name, {}, {}};
      domain.conversion_tags = found->conversion_tags;
      domain.attributes.emplace(kBaseDn, found->base_dn);
      if (!found->entry.empty()) domain.attributes.emplace(kDomainDn, found->entry);
      answer["domain"] = to_json(domain, true);
      answer["elsewhere"] = kept_in_ldap(name);
    }
    set_time(answer, found->good_for);
    send(peer, id, std::move(answer));
  });
}

void Outside::account(const Peer& peer, std::uint64_t id, const std::string& name) {
  source_->find(name, [this, peer, id](const Result<AccountSource::Found>& found) {
    if (!found) return send(peer, id, error_answer(found.error()));
    object answer = found->put_off.empty() ? object() : error_answer({Kind::temporary, found->put_off});
    answer["found"] = found->account.has_value();
    if (found->account) complete_(answer.emplace("account", to_json(found->account->account, true)).first->value().get_object());
    else if (found->alias) answer["alias"] = to_json(*found->alias);
    set_time(answer, found->good_for);
    send(peer, id, std::move(answer));
  });
}

void Outside::own_script(const Peer& peer, std::uint64_t id, const std::string& account, const object& request, const Limits& limits,
                         std::function<void(std::string_view change)> changed) {
  const std::string ask = text_in(request, "ask").value_or("");
  const auto name = text_in(request, "script");
  const auto text = text_in(request, "text");
  const auto bytes = ask == "script-space" ? number_in(request, "bytes").value_or(0) : text ? text->size() : 0;
  const auto answer = [peer, id](ScriptOutcome outcome) { send(peer, id, outcome_answer(outcome)); };
  if ((ask == "script-put" || ask == "script-space") && !source_->keeps_scripts()) return answer(ScriptOutcome::denied);
  if (bytes > limits.script_bytes) return answer(ScriptOutcome::too_large);
  if (text && (!base::is_utf8(*text) || text->find('\0') != std::string::npos)) return answer(ScriptOutcome::not_text);
  // The one name that there is; no other can be made here.
  if ((ask == "script-put" || ask == "script-space") && name != kMainScript) return answer(ScriptOutcome::denied);
  if (ask == "script-rename") return answer(name == kMainScript ? ScriptOutcome::denied : ScriptOutcome::not_found);
  source_->script(account, [=, this, changed = std::move(changed)](const Result<std::optional<AccountSource::Script>>& found) {
    if (!found) return send(peer, id, error_answer(found.error()));
    // Disabled meanwhile: what the login would say now.
    if (!found->has_value() || !(*found)->enabled) return answer(ScriptOutcome::logged_out);
    const AccountSource::Script& script = **found;
    const bool is_there = name == kMainScript && !script.text.empty();
    const auto put = [&](AccountSource::Script changed_script) {
      source_->put_script(account, std::move(changed_script), [=](const Result<bool>& done) {
        if (!done) return send(peer, id, error_answer(done.error()));
        if (*done) changed(ask);
        answer(*done ? ScriptOutcome::done : ScriptOutcome::denied);
      });
    };
    if (ask == "script-list") {
      object list = outcome_answer(ScriptOutcome::done);
      boost::json::array entries;
      if (!script.text.empty()) entries.push_back(to_json(ScriptEntry{std::string(kMainScript), script.text.size(), script.active, {}}));
      list["scripts"] = std::move(entries);
      return send(peer, id, std::move(list));
    }
    if (ask == "script-get") {
      object got = outcome_answer(is_there ? ScriptOutcome::done : ScriptOutcome::not_found);
      if (is_there) got["text"] = script.text;
      return send(peer, id, std::move(got));
    }
    if (ask == "script-space") return answer(ScriptOutcome::done);
    if (ask == "script-put") return put({*text, script.active});
    if (ask == "script-activate" && name && name->empty()) return script.active ? put({script.text, false}) : answer(ScriptOutcome::done);
    if (!is_there) return answer(ScriptOutcome::not_found);
    if (ask == "script-activate") return script.active ? answer(ScriptOutcome::done) : put({script.text, true});
    if (script.active) return answer(ScriptOutcome::active);
    put({{}, false});
  });
}

}  // namespace postern::directory
