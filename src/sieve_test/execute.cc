// SPDX-License-Identifier: Apache-2.0
// Carries results out on the mailboxes and the outbox of a test run (sieve-testsuite.md sections 5 and 10).
#include "base/text.h"
#include "sieve_test/session.h"

#include <algorithm>

namespace postern::sieve_test {

using namespace postern::sieve;

bool Session::execute(Run& run) {
  errors.clear();
  return carry_out(run.outcome());
}

bool Session::carry_out(const Outcome& outcome) {
  const auto is_done = [&](Action::Kind kind, const std::string& target) {
    return std::any_of(done_.begin(), done_.end(), [&](const Done& done) { return done.kind == kind && done.target == target; });
  };
  for (const Action& action : outcome.actions) {
    // A keep and a fileinto of INBOX are one.
    const std::string target = action.kind == Action::Kind::keep ? "INBOX" : action.target;
    const Action::Kind kind = action.kind == Action::Kind::keep ? Action::Kind::fileinto : action.kind;
    if (is_done(kind, target)) continue;
    if (const auto carried = carry_out(action); !carried) {
      errors.push_back(carried.error().what);
      // The message is stored somewhere, or it goes to INBOX as it came.
      if (std::none_of(done_.begin(), done_.end(), [](const Done& done) { return done.kind == Action::Kind::fileinto; })) {
        (void)store.append("INBOX", {std::string(message_.original().text()), {}});
        done_.push_back({Action::Kind::fileinto, "INBOX"});
      }
      return false;
    }
    done_.push_back({kind, target});
  }
  if (outcome.implicit_keep && !is_done(Action::Kind::fileinto, "INBOX")) {
    // As the message is now, with what the internal variable holds now: the file may have edited it since a script ran.
    const auto version = message_.version();
    (void)store.append("INBOX", {version ? version->text() : std::string(message_.original().text()), outcome.flags.value_or(std::vector<std::string>())});
    done_.push_back({Action::Kind::fileinto, "INBOX"});
  }
  return true;
}

Result<void> Session::store_copy(const std::string& mailbox, bool create, const std::string& special_use, const std::vector<std::string>& flags, const std::string& text) {
  if (create && !store.exists(mailbox))
    if (const auto made = store.create(mailbox, special_use); !made) return Error{made.error().kind, "failed to store into mailbox '" + base::printable(mailbox, 80) + "': " + made.error().what};
  return store.append(mailbox, {text, flags});
}

std::string Session::redirect_sender() const { return sender_by(settings.text("sieve_redirect_envelope_from")); }

// RFC 5228 leaves the envelope sender to policy; the null one stays null whatever is set.
std::string Session::sender_by(const std::string& setting) const {
  const std::string_view wish = base::trim(setting);
  if (from_.empty()) return {};
  if (wish == "recipient") return to_;
  if (wish == "orig_recipient") return original_to_;
  if (wish == "user_email") return settings.text("sieve_user_email").empty() ? to_ : settings.text("sieve_user_email");
  if (wish == "postmaster") return "postmaster@example.com";
  if (wish.starts_with('<') && wish.ends_with('>')) return std::string(wish.substr(1, wish.size() - 2));
  return from_;
}

Result<void> Session::carry_out(const Action& action) {
  const auto text = [&] { return action.message ? action.message->text() : std::string(message_.original().text()); };
  switch (action.kind) {
    case Action::Kind::keep: return store_copy("INBOX", false, {}, action.flags, text());
    case Action::Kind::fileinto: return store_copy(action.target, action.create, action.special_use, action.flags, text());
    case Action::Kind::redirect: {
      // Who forwards writes his name on it, and nothing that bears it goes round once more.
      const std::string user = settings.text("sieve_user_email");
      const std::string own = user.empty() ? to_ : user;
      std::vector<std::size_t> traces;
      message_.original().find("X-Sieve-Redirected-From", traces);
      for (const std::size_t trace : traces) {
        const std::string_view value = message_.original().value(trace);
        for (const std::string& mine : {user, to_, original_to_})
          if (!mine.empty() && base::equal_ignoring_case(value, mine)) return {};
      }
      send(redirect_sender(), action.target, "X-Sieve-Redirected-From: " + own + "\r\n" + text());
      return {};
    }
    case Action::Kind::reject:
    case Action::Kind::ereject:
    case Action::Kind::refuse: {
      const GeneratedMail notice = rejection_notice(action, message_.original(), envelope_, reply_settings(), moment());
      // Nobody may be told: the message is kept, as a delivery does it.
      if (notice.to.empty()) return store_copy("INBOX", false, {}, {}, std::string(message_.original().text()));
      return send_generated(notice, std::nullopt);
    }
    case Action::Kind::vacation: return send_generated(vacation_reply(*action.vacation, message_.original(), envelope_, reply_settings(), moment()), action.vacation->copy);
    case Action::Kind::notify: return send_generated(notification_mail(*action.notification, message_.original(), envelope_, reply_settings(), moment()), action.notification->copy);
    case Action::Kind::capture: return send_generated({std::string(), {action.target}, text(), std::string()}, std::nullopt);
    case Action::Kind::discard:
    case Action::Kind::jettison:
    case Action::Kind::hold: break;
  }
  return {};
}

Result<void> Session::send_generated(const GeneratedMail& mail, const std::optional<FileCopy>& copy) {
  for (const std::string& recipient : mail.to) send(mail.from, recipient, mail.text);
  // A copy of nothing is none; and one that can't be filed must not undo the mail (RFC 8580 section 3).
  if (copy && !mail.to.empty()) (void)store_copy(copy->mailbox, copy->create, copy->special_use, copy->flags, mail.text);
  return {};
}

ReplySettings Session::reply_settings() const {
  ReplySettings made;
  made.user_address = settings.text("sieve_user_email");
  made.postmaster = "postmaster@example.com";
  made.host_name = "mail.example.com";
  if (const std::string subject = settings.text("sieve_vacation_default_subject"); !subject.empty()) made.default_subject = subject;
  if (const std::string subject = settings.text("sieve_vacation_default_subject_template"); !subject.empty()) made.subject_template = subject;
  made.check_recipient = settings.yes("sieve_vacation_check_recipient");
  made.use_original_recipient = settings.yes("sieve_vacation_use_original_recipient");
  made.send_from_recipient = settings.yes("sieve_vacation_send_from_recipient");
  made.to_ignores_envelope = settings.yes("sieve_vacation_to_header_ignore_envelope");
  if (const std::string sender = settings.text("sieve_notify_mailto_envelope_from"); !sender.empty()) made.notify_sender = sender_by(sender);
  return made;
}

Moment Session::moment() {
  Moment made;
  made.now = now();
  made.zone = zone(made.now);
  made.id = "generated-" + std::to_string(++generated_);
  return made;
}

}  // namespace postern::sieve_test
