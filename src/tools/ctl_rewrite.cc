// SPDX-License-Identifier: Apache-2.0
// posternctl rewrite: what becomes of an address, rule by rule: channel, aliases, access (doc/man/posternctl-probe.8).
#include "base/log.h"
#include "mail/address.h"
#include "net/run_coroutine.h"
#include "policy/access.h"
#include "policy/rewrite.h"
#include "tools/decision_report.h"
#include "tools/directory_access.h"
#include "tools/outside_answers.h"
#include "tools/posternctl.h"
#include "tools/tables_source.h"

namespace postern::tools {
namespace {

std::string outcome_of(const policy::Rewritten& rewritten) {
  switch (rewritten.outcome) {
    case policy::Rewritten::Outcome::done: return rewritten.local_part + "@" + rewritten.host + " on channel " + rewritten.channel;
    case policy::Rewritten::Outcome::no_rule: return "no rule leads anywhere";
    case policy::Rewritten::Outcome::too_many_rounds: return "the rules run in a circle";
    case policy::Rewritten::Outcome::temporary: break;
  }
  return "not known now: " + rewritten.reason;
}

}  // namespace

const std::string& rewrite_details() {
  static const std::string text =
      std::string("  --backward         as a sender's address, or a client's: no aliases, no access tables\n"
                  "  --check-expansions fail if any member of an alias leads nowhere or is refused; else one good member is enough\n"
                  "  --channel CHANNEL  source channel for the access tables (default: tcp_local)\n"
                  "  --from ADDRESS     sender for the access tables (default: the null sender)\n"
                  "  --trace            every entry of every table that was tried\n") +
      kAskDetails + kTablesSourceDetails + "Exit status: 0 the address is good, 1 it is not, 2 wrong usage or no tables.\n";
  return text;
}

int run_rewrite(const Context& context, const std::vector<std::string>& arguments) {
  const auto wrong = [&](const std::string& text) {
    print_error(context, text);
    return kUsage;
  };
  bool backward = false, check_expansions = false, ask = false, trace = false;
  std::string source_channel = "tcp_local", from;
  TablesSource source;
  std::vector<Option> options = source.options();
  options.insert(options.end(), {{"--backward", &backward}, {"--check-expansions", &check_expansions}, {"--ask", &ask}, {"--trace", &trace}, {"--channel", &source_channel}, {"--from", &from}});
  const auto addresses = read_options("rewrite", options, arguments);
  if (!addresses) return wrong(addresses.error().what);
  if (addresses->size() != 1) return wrong("rewrite needs one address");
  const std::string& given = addresses->front();
  const auto mailbox = mail::parse_mailbox(given);
  if (!mailbox) return wrong(given + ": " + mailbox.error().what);
  const auto sender = mail::parse_reverse_path("<" + from + ">");
  if (!sender) return wrong("--from: " + sender.error().what);

  const conf::Configuration& configuration = context.configuration();
  if (const auto mistakes = policy::check(configuration); !mistakes.empty()) return wrong(mistakes.front().to_string());
  const auto site = policy::Site::from(configuration);
  const policy::Channel* const channel = site->channels.find(source_channel);
  if (channel == nullptr) return wrong("there is no channel " + source_channel);
  auto tables = open_tables(context, source, true);
  if (!tables) return wrong(tables.error().what);
  base::configure_log(base::Destination::standard_error, "posternctl", base::Severity::critical);

  DecisionReport report(trace);
  OutsideAnswers outside(context, ask);
  DirectoryLookups directory(context);
  bool good = false;
  if (backward) {
    report.begin("1", "backward-pointing " + given);
    const policy::Rewritten rewritten = net::run_coroutine(
        policy::rewrite(*site, *tables, &directory, outside.questions(), policy::Direction::backward, mailbox->local_part, mailbox->domain, &report));
    good = rewritten.outcome == policy::Rewritten::Outcome::done;
    report.fact("result", outcome_of(rewritten));
  } else {
    auto facts = std::make_shared<policy::SessionFacts>();
    facts->id = "posternctl";
    facts->source_channel = channel->name;
    facts->extended = true;
    facts->from_network = false;
    const policy::Access access(site, std::move(*tables), directory, outside.questions(), &report);
    policy::TransactionAccess transaction(access, facts);
    report.begin("1", "sender <" + from + "> on channel " + channel->name);
    const policy::SenderDecision sender_decision = net::run_coroutine(transaction.mail_from(sender->path.mailbox.local_part, sender->path.mailbox.domain, from));
    report.effects(sender_decision.effects);
    if (!sender_decision.accepted) report.reply(shown_reply(sender_decision.reply), false);
    report.begin("2", "recipient " + given);
    policy::TransactionAccess::Ask ask;
    ask.local_part = mailbox->local_part;
    ask.domain = mailbox->domain;
    ask.as_given = given;
    const policy::RecipientDecision decision = net::run_coroutine(transaction.recipient(ask));
    report.effects(decision.effects);
    for (const mail::Recipient& recipient : decision.recipients)
      report.fact("goes to", recipient.address + " on channel " + recipient.destination_channel);
    report.reply(decision.accepted ? "250 2.1.5 Ok" : shown_reply(decision.reply), decision.accepted);
    good = decision.accepted && !(check_expansions && (report.dead_end() || report.refused_in_step()));
    if (decision.accepted && !good) report.fact("expansions", "not every member is good");
  }
  if (directory.failure()) {
    print_error(context, "domains and accounts can't be read: " + directory.failure()->what);
    return kUsage;
  }
  report.print(context.json, good);
  return good ? kDone : kFailed;
}

}  // namespace postern::tools
