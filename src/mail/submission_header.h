// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a submission server completes in the header of a message (RFC 6409 sections 6 and 8).
//
// Put in where they are missing, or stand there empty: Date, Message-ID, From; the empty field goes. Sender: where From has several addresses and there is none (RFC 5322 section
// 3.6.2 demands one), and, if asked for, where From is not the account: then in place of any other. Taken out: Bcc and Resent-Bcc, which would
// tell everybody what nobody is to know, and Return-Path, which is for whoever delivers (RFC 5321 section 4.4). Addresses without a domain
// get that of the account, in fields that have no groups. Everything else stays as it is, byte for byte.
//
// Nothing that is put in is UTF-8 unless the message was sent with SMTPUTF8 (RFC 6531 section 3.6). RFC 6409 section 8 allows these fields to be
// added and demands none of them, so: where the account's address is not of ASCII, the reverse-path stands for it, and where that is not either, nothing.
//
// A signature of the sender's own program over a field that is taken out or changed does not survive; programs sign after submission.
//
// Never fails. Limits: those of mail/header.h and of address lists; a header beyond them is left alone.
#include "base/clock.h"

#include <optional>
#include <string>
#include <string_view>

namespace postern::mail {

struct SubmissionFacts {
  std::string account;     // canonical address of who logged in
  std::string message_id;  // "id@host", for a Message-ID field
  std::string reverse_path;  // of the envelope
  bool utf8 = false;         // sent with SMTPUTF8
  base::WallTime now{};
  bool complete = true;    // false: nothing but the Sender that add_sender asks for
  bool add_sender = false;
};

// `header` as it stands in the message, without the empty line behind it. Nothing: it is complete.
std::optional<std::string> completed_header(std::string_view header, const SubmissionFacts& facts);

// Whether the header of `message` is cut off by a line that is no field, and a Bcc or Resent-Bcc field stands behind that, before the next empty
// line: other programs read on there, so the blind recipients would not be blind.
bool hides_blind_copies(std::string_view message);

}  // namespace postern::mail
