// SPDX-License-Identifier: Apache-2.0
#pragma once
// What templates and channels ask of the DNS (access-control.md 8.2; mappings(5), CALL-OUTS; postern-channels(5)).
#include "net/resolver.h"
#include "policy/access.h"
#include "policy/questions.h"

#include <optional>
#include <string>

namespace postern::policy {

// Adds to `questions`, and lets the routine `client` go by the names of addresses too (listeners.md A-12):
//   dns_verify,NAME                  succeeds with an empty text if the name has an MX record or an address
//   dns_verify,NAME,TEXT             succeeds with TEXT then
//   dns_verify,NAME,TEXT,OTHER       and with OTHER if it has not
//   dnsbl,ADDRESS,LIST               succeeds with an empty text if the DNS list has the address (RFC 5782)
//   spf                              succeeds with what SPF says of the session's sender ("pass"); of what is no mail transaction it says nothing
//   spf,RESULT,RESULT…               succeeds with an empty text if it is one of these
//   spf,explanation                  succeeds after a "fail", with what the domain explains
// When nobody knows (time limit, failing servers, a forged answer), each of them fails. `resolver` must outlive `questions`.
void add_dns_questions(Questions& questions, net::Resolver& resolver);

// The channel keyword mailfromdnsverify: why mail from `domain` is refused, or nothing. The domain of an address literal is not looked up.
//   553 5.1.8   it has neither MX record nor address
//   550 5.7.27  it accepts no mail (RFC 7505 section 4.2), so answers could not reach the sender
//   451 4.1.8   nobody knows
net::Awaitable<std::optional<Reply>> check_sender_domain(net::Resolver& resolver, std::string domain, std::string as_given);

}  // namespace postern::policy
