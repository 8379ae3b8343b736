// SPDX-License-Identifier: Apache-2.0
// posternctl filter: a Sieve script over the messages that are in a mailbox already, to see what it would do, or to have it done
// (doc/man/posternctl-filter.8). Works on the files, with the server running or not.
#include "base/files.h"
#include "base/text.h"
#include "delivery/deliverer.h"
#include "delivery/filter_settings.h"
#include "delivery/filtering.h"
#include "delivery/scripts.h"
#include "net/run_coroutine.h"
#include "sieve/templates.h"
#include "store/mailbox.h"
#include "store/names.h"
#include "store/refiling.h"
#include "tools/directory_access.h"
#include "tools/mailbox_access.h"
#include "tools/options.h"
#include "tools/posternctl.h"
#include "tools/progress.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>

namespace postern::tools {
namespace {

using boost::json::array;
using boost::json::object;
using ActionKind = sieve::Action::Kind;

constexpr const char* kTrash = "Trash";
constexpr std::size_t kMostMessageBytes = std::size_t{1} << 30;
constexpr std::size_t kMessagesInSync = 200;

int complain(const Context& context, const std::string& text) {
  print_error(context, text);
  return kFailed;
}

struct Request {
  bool apply = false;
  std::string account, script;       // of a file, "-" for standard input; empty: the account's own
  std::vector<std::string> folders;  // "INBOX", "Lists/Postern"
  std::optional<std::size_t> last;   // of each folder
};

std::string folder_argument(const std::string& name) { return base::equal_ignoring_case(name, "INBOX") ? "" : name; }

std::string read_script(const std::string& path, bool& good) {
  std::ifstream file;
  if (path != "-") file.open(path, std::ios::binary);
  std::istream& in = path == "-" ? std::cin : file;
  std::string text{std::istreambuf_iterator<char>(in), {}};
  good = !in.bad() && (path == "-" || file.is_open());
  return text;
}

// What becomes of one message.
struct Plan {
  using Flags = store::RefiledFolder::Flags;
  struct Copy {
    std::string folder;  // "" is the inbox
    Flags flags;
    bool create = false;
  };
  std::vector<Copy> copies;           // in other folders
  bool stays = true;
  Flags flags;                        // for where it stays
  std::vector<std::string> actions;   // for people
  std::vector<std::string> not_done;  // what only a delivery does
  bool failed = false;
};

Plan plan_of(const sieve::Decision& decision, const std::string& folder, bool create_folders) {
  Plan plan;
  if (!decision.errors.empty()) {
    const sieve::LevelError& error = decision.errors.front();
    plan.failed = true;
    plan.actions.push_back("error in " + sieve::shown_place(error.rule, error.line) + ": " + error.text);
    return plan;
  }
  bool keeps = false, moves = false;
  const auto into = [&](const std::string& target, const sieve::Action& action, bool create) {
    Plan::Flags flags{delivery::maildir_flags(action.flags), delivery::keywords_among(action.flags)};
    if (target == folder) {
      keeps = true;
      plan.flags.letters += flags.letters;
      plan.flags.keywords.insert(plan.flags.keywords.end(), flags.keywords.begin(), flags.keywords.end());
    } else {
      plan.copies.push_back({target, std::move(flags), create});
      if (!action.copy) moves = true;
    }
  };
  if (decision.jettisoned || decision.discarded) {
    into(kTrash, {}, true);
    plan.actions.emplace_back(decision.jettisoned ? "jettison" : "discard");
  }
  for (const sieve::Action& action : decision.actions) {
    plan.actions.push_back(sieve::to_string(action));
    switch (action.kind) {
      case ActionKind::keep: into(folder, action, false); break;
      case ActionKind::fileinto: into(folder_argument(action.target), action, action.create || create_folders); break;
      case ActionKind::discard:
      case ActionKind::jettison: break;
      default: plan.not_done.push_back(sieve::to_string(action)); break;
    }
  }
  // A message is only taken away by what puts it somewhere else.
  plan.stays = keeps || !moves;
  return plan;
}

class Work {
 public:
  Work(const Context& context, Request request, directory::Account account) : context_(context), request_(std::move(request)), account_(std::move(account)) {}

  int run() {
    const conf::Configuration& configuration = context_.configuration();
    std::string source = account_.filter, name = "filter of " + account_.name;
    if (!request_.script.empty()) {
      bool good = false;
      name = request_.script == "-" ? "standard input" : request_.script;
      source = read_script(request_.script, good);
      if (!good) return complain(context_, "can't read " + name);
    }
    if (source.empty()) return complain(context_, account_.name + " has no filter; name a file");
    // As a delivery reads it: stored rules are joined, and what it includes is asked for.
    delivery::Scripts compiled;
    compiled.set_options(delivery::compile_options(configuration));
    delivery::ScriptOf script_of = [this](std::string account, std::string script) -> net::Awaitable<Result<std::optional<std::string>>> {
      co_return look_up_script(context_, account, script);
    };
    std::vector<sieve::LevelScript> scripts;
    auto read = net::run_coroutine(delivery::add_script(compiled, scripts, sieve::Level::user, name, source, account_.name, std::move(script_of)));
    if (!read) return complain(context_, read.error().what);
    if (scripts.empty()) return complain(context_, name + " has only rules that are switched off");
    if (scripts.front().program == nullptr) return complain_of_mistakes(name, source);
    script_ = std::move(scripts.front());
    auto mail = open_mailboxes(context_);
    if (!mail) return complain(context_, mail.error().what);
    mail_ = std::move(*mail);
    auto store = store::Store::open(base::system_files(), mail_.get());
    if (!store) return complain(context_, store.error().what);
    store_ = &*store;
    DirectoryLookups lookups(context_);
    delivery::Filtering filtering(*store, lookups);
    delivery::FilterSettings settings = delivery::filter_settings(configuration);
    create_folders_ = configuration.delivery.create_folders;
    filtering.set_settings(std::move(settings));
    if (auto lists = net::run_coroutine(filtering.lists().refresh()); !lists) return complain(context_, lists.error().what);
    auto shared = std::make_shared<directory::Account>(account_);
    owner_ = shared;
    return request_.apply ? apply(filtering) : rehearse(filtering);
  }

 private:
  struct Found {
    std::size_t folder = 0;  // number among the request's
    store::RefiledFolder::Message message;
  };

  Result<void> find_messages() {
    for (std::size_t i = 0; i < request_.folders.size(); ++i) {
      auto folder = store::RefiledFolder::open(base::system_files(), mail_.get(), account_.mailbox_directory, folder_argument(request_.folders[i]), false);
      if (!folder && folder.error().kind == Kind::not_found && folder_argument(request_.folders[i]).empty()) continue;  // no mail has come yet
      if (!folder) return Error{folder.error().kind, "folder " + request_.folders[i] + ": " + folder.error().what};
      auto messages = folder->list();
      if (!messages) return messages.error();
      const std::size_t skipped = request_.last && messages->size() > *request_.last ? messages->size() - *request_.last : 0;
      for (std::size_t n = skipped; n < messages->size(); ++n) found_.push_back({i, std::move((*messages)[n])});
      folders_.emplace(folder_argument(request_.folders[i]), std::move(*folder));
    }
    return {};
  }

  // All of them: what a delivery remembers of a script is the first one only.
  int complain_of_mistakes(const std::string& name, const std::string& source) {
    sieve::CompileOptions options = delivery::compile_options(context_.configuration());
    options.script = [this, of_site = std::move(options.script)](sieve::ScriptPlace place, const std::string& script) -> std::optional<std::string> {
      if (place == sieve::ScriptPlace::global) return of_site(place, script);
      const auto text = look_up_script(context_, account_.name, script);
      return text && *text ? std::optional(sieve::joined_rules(**text)) : std::nullopt;
    };
    for (const sieve::Mistake& mistake : sieve::compile(sieve::joined_rules(source), options).mistakes)
      if (!mistake.warning)
        std::cerr << sieve::place_in_file(mistake.script.empty() ? name : "included script " + mistake.script, mistake.rule, mistake.line, mistake.column) << ": " << mistake.text << "\n";
    return complain(context_, name + " has mistakes and was not run");
  }

  store::RefiledFolder& folder_of(const Found& found) { return folders_.at(folder_argument(request_.folders[found.folder])); }

  Plan plan(delivery::Filtering& filtering, const Found& found, const mail::MessageView& message) {
    mail::Envelope envelope;
    // So that what `duplicate` remembers of this very message is no earlier one.
    envelope.id = store::delivery_id(found.message.name);
    envelope.received = base::from_microseconds(static_cast<std::int64_t>(store::name_seconds(found.message.name)) * 1'000'000);
    const auto path = message.first("Return-Path");
    const std::string text = path ? std::string(base::trim(*path)) : std::string();
    if (const auto parsed = mail::parse_reverse_path(text); parsed && !text.empty()) envelope.reverse_path = parsed->path.mailbox.to_string();
    envelope.recipients.resize(1);
    mail::Recipient& recipient = envelope.recipients.front();
    recipient.address = recipient.original = recipient.account = account_.name;
    recipient.destination_channel = "ims-ms";
    const delivery::FilterSubject subject(envelope, recipient, owner_, context_.configuration().recipient_delimiter);
    return plan_of(filtering.decide(std::span(&script_, 1), message, subject), folder_argument(request_.folders[found.folder]), create_folders_);
  }

  // A delivery would fail there, and keep the message.
  void say_what_is_missing(Plan& planned) {
    for (const Plan::Copy& copy : planned.copies) {
      if (copy.create || copy.folder.empty()) continue;
      const auto exists = store_->folder_exists(account_.mailbox_directory, copy.folder);
      if (!exists || *exists) continue;
      planned.failed = true;
      planned.actions.push_back("error: there is no folder \"" + copy.folder + "\"");
    }
  }

  static std::string joined(const std::vector<std::string>& texts) {
    std::string all;
    for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
    return all;
  }

  int rehearse(delivery::Filtering& filtering) {
    if (auto listed = find_messages(); !listed) return complain(context_, listed.error().what);
    array answers;
    std::vector<std::vector<std::string>> rows;
    std::map<std::string, std::size_t> totals;
    Progress progress;
    std::size_t looked_at = 0;
    for (const Found& found : found_) {
      progress.show(++looked_at, found_.size());
      auto text = folder_of(found).read(found.message, kMostMessageBytes);
      if (!text) continue;  // somebody has taken it away meanwhile
      const mail::MessageView message(*text, {}, filtering.settings().mime);
      Plan planned = plan(filtering, found, message);
      say_what_is_missing(planned);
      const std::string received = base::iso8601(base::from_microseconds(static_cast<std::int64_t>(store::name_seconds(found.message.name)) * 1'000'000));
      const auto value = [&](std::string_view field, std::size_t most) {
        std::vector<std::size_t> numbers;
        message.find(field, numbers);
        return numbers.empty() ? std::string() : base::printable(message.decoded_value(numbers.front()), most);
      };
      ++totals[joined(planned.actions)];
      if (context_.json) {
        array actions;
        for (const std::string& action : planned.actions) actions.emplace_back(action);
        answers.push_back(object{{"folder", request_.folders[found.folder]}, {"received", received}, {"from", value("From", 500)}, {"subject", value("Subject", 500)},
                                 {"file", base::printable(found.message.name, 500)}, {"actions", std::move(actions)}, {"failed", planned.failed}});
      } else {
        rows.push_back({request_.folders[found.folder], received, value("From", 40), value("Subject", 40), joined(planned.actions)});
      }
    }
    progress.clear();
    if (context_.json) {
      std::cout << boost::json::serialize(answers) << "\n";
      return kDone;
    }
    print_table({"FOLDER", "RECEIVED", "FROM", "SUBJECT", "WOULD"}, rows);
    std::cout << "\n" << rows.size() << " messages; nothing was changed\n";
    for (const auto& [actions, number] : totals) std::cout << "  " << number << "  " << actions << "\n";
    return kDone;
  }

  Result<store::RefiledFolder*> target(const Plan::Copy& copy) {
    if (const auto known = folders_.find(copy.folder); known != folders_.end()) return &known->second;
    auto opened = store::RefiledFolder::open(base::system_files(), mail_.get(), account_.mailbox_directory, copy.folder, copy.create);
    if (!opened) return Error{opened.error().kind, "folder " + copy.folder + ": " + opened.error().what};
    return &folders_.emplace(copy.folder, std::move(*opened)).first->second;
  }

  // What is put somewhere else stands there before it is taken away here. Returns whether flags of what stays were changed.
  Result<bool> carry_out(const Found& found, const Plan& planned) {
    store::RefiledFolder& here = folder_of(found);
    for (std::size_t i = 0; i < planned.copies.size(); ++i) {
      auto there = target(planned.copies[i]);
      if (!there) return there.error();
      const bool last = i + 1 == planned.copies.size();
      if (auto put = here.put(found.message, **there, planned.copies[i].flags, planned.stays || !last); !put) return put.error();
    }
    if (!planned.stays || planned.flags.empty()) return false;
    return here.put(found.message, here, planned.flags, false);
  }

  Result<void> sync() {
    for (auto& [name, folder] : folders_)
      if (auto synced = folder.sync(); !synced) return synced;
    return {};
  }

  int apply(delivery::Filtering& filtering) {
    auto account = base::open_directory(mail_.get(), account_.mailbox_directory);
    if (!account) return complain(context_, account.error().kind == Kind::not_found ? account_.name + " has no mail yet" : account.error().what);
    const auto lock = store::lock_mailbox(base::system_files(), account->get());
    if (!lock) return complain(context_, lock.error().kind == Kind::denied ? "a POP3 session has the mailbox of " + account_.name + "; try again later" : lock.error().what);
    if (auto listed = find_messages(); !listed) return complain(context_, listed.error().what);
    std::map<std::string, std::size_t> totals;
    std::size_t done = 0, moved = 0, copied = 0, flagged = 0, failed = 0, left_out = 0;
    Progress progress;
    std::string trouble;
    for (const Found& found : found_) {
      progress.show(done, found_.size(), "filing");
      if (++done % kMessagesInSync == 0)
        if (auto synced = sync(); !synced) return complain(context_, synced.error().what);
      auto text = folder_of(found).read(found.message, kMostMessageBytes);
      if (!text) continue;
      const mail::MessageView message(*text, {}, filtering.settings().mime);
      const Plan planned = plan(filtering, found, message);
      failed += planned.failed ? 1 : 0;
      left_out += planned.not_done.empty() ? 0 : 1;
      const auto carried = carry_out(found, planned);
      if (!carried) {
        if (carried.error().kind == Kind::not_found && !planned.copies.empty() && trouble.empty()) trouble = carried.error().what;
        else if (carried.error().kind != Kind::not_found) return complain(context_, carried.error().what);
        continue;
      }
      moved += planned.stays ? 0 : 1;
      copied += planned.copies.size() - (planned.stays ? 0 : 1);
      flagged += *carried ? 1 : 0;
    }
    if (auto synced = sync(); !synced) return complain(context_, synced.error().what);
    progress.clear();
    if (context_.json)
      std::cout << boost::json::serialize(object{{"messages", done}, {"moved", moved}, {"copied", copied}, {"flagged", flagged}, {"failed", failed}, {"left_out", left_out}}) << "\n";
    else
      std::cout << done << " messages: " << moved << " moved, " << copied << " copied, " << flagged << " flagged, " << failed << " with an error of the script, " << left_out
                << " with actions that only a delivery carries out\n";
    return trouble.empty() ? kDone : complain(context_, trouble);
  }

  const Context& context_;
  Request request_;
  directory::Account account_;
  std::shared_ptr<const directory::Account> owner_;
  sieve::LevelScript script_;
  base::Descriptor mail_;
  store::Store* store_ = nullptr;      // while run() runs
  bool create_folders_ = true;
  std::map<std::string, store::RefiledFolder> folders_;
  std::vector<Found> found_;
};

}  // namespace

const char* const kFilterDetails =
    "  posternctl filter rehearse ACCOUNT [FILE] [--folder NAME …] [--last N]   what a script would do with the messages that are there\n"
    "  posternctl filter apply ACCOUNT [FILE] --folder NAME … [--last N]        file and flag them as it says; discarded ones go to Trash\n"
    "Without FILE (\"-\": standard input) the account's own script.\n";

int run_filter(const Context& context, const std::vector<std::string>& arguments) {
  Request request;
  std::optional<std::string> last;
  const auto words = read_options("filter", {{"--folder", &request.folders}, {"--last", &last}}, arguments);
  const auto wrong = [&](const std::string& text) {
    print_error(context, text);
    std::cerr << "usage:\n" << kFilterDetails;
    return kUsage;
  };
  if (!words) return wrong(words.error().what);
  if (words->size() < 2 || words->size() > 3) return wrong("filter needs a command and an account");
  request.apply = words->front() == "apply";
  if (!request.apply && words->front() != "rehearse") return wrong("filter has no command " + words->front());
  request.account = (*words)[1];
  if (words->size() == 3) request.script = (*words)[2];
  if (last) {
    request.last = base::number_from<std::size_t>(*last);
    if (!request.last || *request.last == 0) return wrong("--last expects a number from 1 on, found \"" + *last + "\"");
  }
  if (request.apply && request.folders.empty()) return wrong("apply needs --folder, as often as there are folders to be filed anew");
  if (request.folders.empty()) request.folders.emplace_back("INBOX");
  static_cast<void>(context.configuration());
  auto account = look_up_account(context, request.account);
  if (!account) return complain(context, account.error().what);
  return Work(context, std::move(request), std::move(*account)).run();
}

}  // namespace postern::tools
