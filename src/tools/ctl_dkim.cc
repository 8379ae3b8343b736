// SPDX-License-Identifier: Apache-2.0
// posternctl dkim (doc/man/posternctl-dkim.8).
#include "authentication/signing.h"
#include "base/text.h"
#include "directory/password.h"
#include "directory/signing.h"
#include "tools/directory_answers.h"
#include "tools/options.h"
#include "tools/server_resolver.h"

#include <chrono>
#include <cstdio>

namespace postern::tools {
namespace {

using boost::json::array;
using boost::json::object;
using Arguments = std::vector<std::string>;
using Type = directory::SigningKey::Type;

// What the domain's zone must have, and where.
struct Published {
  std::string name, text;
};

Published published(const std::string& domain, const directory::SigningKey& key) {
  const auto type = key.type == Type::rsa ? authentication::KeyType::rsa : authentication::KeyType::ed25519;
  return {key.selector + "._domainkey." + domain, authentication::key_record_text(type, key.public_key)};
}

std::string canonical_name(const std::string& domain) {
  auto canonical = directory::canonical_domain(domain);
  return canonical ? std::move(*canonical) : domain;
}

object described(const std::string& domain, const directory::SigningKey& key) {
  const Published record = published(domain, key);
  object out;
  out["domain"] = domain;
  out["selector"] = key.selector;
  out["algorithm"] = directory::to_string(key.type);
  out["signs"] = key.signs;
  out["created"] = base::to_microseconds(key.created);
  out["record_name"] = record.name;
  out["record_text"] = record.text;
  out["zone_line"] = record.name + ". IN TXT ( " + authentication::zone_file_strings(record.text) + " )";
  return out;
}

// "202611" and a letter: the month and the kind, so that the next key has another name.
std::string usual_selector(Type type, base::WallTime now) {
  const std::string day = base::iso8601(now);
  return "p" + day.substr(0, 4) + day.substr(5, 2) + (type == Type::rsa ? "r" : "e");
}

int make(const Context& context, const Arguments& arguments) {
  std::string selector, algorithm = "rsa";
  bool inactive = false;
  const auto rest = read_options("dkim make", {{"--selector", &selector}, {"--algorithm", &algorithm}, {"--inactive", &inactive}}, {arguments.begin() + 1, arguments.end()});
  if (!rest) return wrong_usage(context, rest.error().what, kDkimDetails);
  const auto type = directory::signing_type_from(algorithm);
  if (const std::string mistake = words_mistake("dkim make", {"DOMAIN"}, *rest); !mistake.empty()) return wrong_usage(context, mistake, kDkimDetails);
  if (!type) return wrong_usage(context, "expected --algorithm rsa or ed25519, found " + algorithm, kDkimDetails);
  const auto domain = directory::canonical_domain(rest->front());
  if (!domain) return could_not(context, rest->front() + ": " + domain.error().what);
  const base::WallTime now = base::wall_now();
  const auto canonical = directory::canonical_selector(selector.empty() ? usual_selector(*type, now) : selector);
  if (!canonical) return could_not(context, selector + ": " + canonical.error().what);
  auto made = directory::make_signing_key(*type, *canonical, now);
  if (!made) return could_not(context, made.error().what);
  made->key.signs = !inactive;
  object request = directory::to_json(made->key);
  request["ask"] = "dkim-add";
  request["name"] = *domain;
  request["private_key_hex"] = directory::to_hex(made->private_key);
  directory::wipe(made->private_key);
  DirectoryAccess access(context);
  const auto answer = access.ask(std::move(request));
  if (!answer) return could_not(context, answer.error().what);
  object shown = described(*domain, made->key);
  if (context.json) {
    print_answer(std::move(shown));
    return kDone;
  }
  std::printf("made key %s of %s (%s); %s:\n\n%s\n", made->key.selector.c_str(), domain->c_str(), std::string(directory::to_string(*type)).c_str(),
              inactive ? "it signs once this is published and it has been activated"
                       : "mail of the domain is signed with it from now on, and the world can check that once this is published",
              shown["zone_line"].as_string().c_str());
  return kDone;
}

int list(const Context& context, const std::string& name) {
  DirectoryAccess access(context, DirectoryAccess::Purpose::look_up);
  std::vector<std::string> domains{name};
  if (name.empty()) {
    domains.clear();
    const auto all = whole_list(access, {{"ask", "domain-list"}}, "domains");
    if (!all) return could_not(context, all.error().what);
    for (const auto& entry : *all) domains.push_back(directory::text_in(entry.get_object(), "name").value_or(""));
  }
  array shown;
  std::vector<std::vector<std::string>> rows;
  for (const std::string& domain : domains) {
    const auto answer = access.ask({{"ask", "dkim-list"}, {"name", domain}});
    if (!answer) return could_not(context, answer.error().what);
    const auto* const keys = answer->if_contains("keys");
    if (keys == nullptr || !keys->is_array()) return could_not(context, "the answer was not understood");
    for (const auto& entry : keys->get_array()) {
      const auto key = directory::signing_key_from(entry.get_object());
      if (!key) return could_not(context, key.error().what);
      const std::string canonical = canonical_name(domain);
      rows.push_back({canonical, key->selector, std::string(directory::to_string(key->type)), key->signs ? "yes" : "no", created(entry.get_object()), published(canonical, *key).name});
      shown.push_back(described(canonical, *key));
    }
  }
  if (context.json) print_answer(std::move(shown));
  else print_table({"DOMAIN", "SELECTOR", "ALGORITHM", "SIGNS", "CREATED", "RECORD"}, rows);
  return kDone;
}

Result<directory::SigningKey> find_key(const Context& context, const std::string& name, const std::string& selector) {
  DirectoryAccess access(context, DirectoryAccess::Purpose::look_up);
  const auto answer = access.ask({{"ask", "dkim-list"}, {"name", name}});
  if (!answer) return answer.error();
  if (const auto* const keys = answer->if_contains("keys"); keys != nullptr && keys->is_array())
    for (const auto& entry : keys->get_array()) {
      auto key = directory::signing_key_from(entry.get_object());
      if (key && base::equal_ignoring_case(key->selector, selector)) return std::move(*key);
    }
  return Error{Kind::not_found, "there is no key " + selector + " of " + name};
}

// One key as its zone must have it.
int show(const Context& context, const std::string& name, const std::string& selector) {
  const auto key = find_key(context, name, selector);
  if (!key) return could_not(context, key.error().what);
  object shown = described(canonical_name(name), *key);
  if (context.json) print_answer(std::move(shown));
  else std::printf("%s\n", shown["zone_line"].as_string().c_str());
  return kDone;
}

// Why receivers could not check what the key signs; empty: its record is there, as the server's resolver sees it.
std::string trouble_with_record(const Context& context, const std::string& domain, const directory::SigningKey& key) {
  const Published record = published(domain, key);
  const auto wanted = authentication::parse_key_record(record.text);
  ServerResolver resolver(context);
  const auto answer = resolver.ask({record.name, net::dns::kTxt});
  if (!answer) return record.name + (answer.error().kind == Kind::not_found ? " is not published yet" : " can't be looked up: " + answer.error().what);
  for (const std::string& text : answer->texts())
    if (const auto found = authentication::parse_key_record(text); found && wanted && found->type == wanted->type && found->key == wanted->key) return {};
  return record.name + " has another record than that of this key";
}

int activate(const Context& context, const Arguments& arguments) {
  bool unpublished = false;
  const auto words = read_options("dkim activate", {{"--unpublished", &unpublished}}, {arguments.begin() + 1, arguments.end()});
  if (!words) return wrong_usage(context, words.error().what, kDkimDetails);
  if (const std::string mistake = words_mistake("dkim activate", {"DOMAIN", "SELECTOR"}, *words); !mistake.empty()) return wrong_usage(context, mistake, kDkimDetails);
  const std::string &name = words->front(), &selector = words->back();
  const auto key = find_key(context, name, selector);
  if (!key) return could_not(context, key.error().what);
  if (!unpublished)
    if (const std::string trouble = trouble_with_record(context, canonical_name(name), *key); !trouble.empty())
      return could_not(context, trouble + "; see posternctl dkim show; --unpublished activates the key all the same");
  return change(context, {{"ask", "dkim-use"}, {"name", name}, {"selector", selector}, {"signs", true}},
                [&](const object&) { return "mail of " + name + " is signed with " + selector + " from now on"; });
}

}  // namespace

const char* const kDkimDetails =
    "  posternctl dkim make DOMAIN [--selector NAME] [--algorithm rsa|ed25519] [--inactive]\n"
    "  posternctl dkim activate DOMAIN SELECTOR [--unpublished]\n"
    "  posternctl dkim deactivate DOMAIN SELECTOR\n"
    "  posternctl dkim list [DOMAIN]\n"
    "  posternctl dkim show DOMAIN SELECTOR\n"
    "  posternctl dkim remove DOMAIN SELECTOR\n"
    "Mail of the domain is signed with all its active keys. make and show print the record that\n"
    "the domain's zone must have; the private key stays in the directory. A key that was made with\n"
    "--inactive signs once it is activated, for which its record must be seen in the DNS.\n";

int run_dkim(const Context& context, const Arguments& arguments) {
  const std::string verb = arguments.empty() ? "" : arguments[0];
  if (verb == "make") return make(context, arguments);
  if (verb == "activate") return activate(context, arguments);
  const auto words = read_verb("dkim", {{"list", {"[DOMAIN]"}}, {"show", {"DOMAIN", "SELECTOR"}}, {"deactivate", {"DOMAIN", "SELECTOR"}}, {"remove", {"DOMAIN", "SELECTOR"}}}, arguments);
  if (!words) return wrong_usage(context, words.error().what, kDkimDetails);
  const std::string domain = words->size() < 2 ? std::string() : (*words)[1];
  if (verb == "list") return list(context, domain);
  const std::string& selector = words->back();
  if (verb == "show") return show(context, domain, selector);
  if (verb == "deactivate")
    return change(context, {{"ask", "dkim-use"}, {"name", domain}, {"selector", selector}, {"signs", false}},
                  [&](const object&) { return "key " + selector + " of " + domain + " signs no more"; });
  return change(context, {{"ask", "dkim-remove"}, {"name", domain}, {"selector", selector}}, [&](const object&) { return "removed key " + selector + " of " + domain; });
}

}  // namespace postern::tools
