// SPDX-License-Identifier: Apache-2.0
#pragma once
// What templates ask of the world, for tools that explain decisions (posternctl probe, access, rewrite).
//
// Without `ask` nobody is asked, and templates fail there: a trace says so. With it the answers are those of the running server, as far
// as asking changes nothing: the DNS through its resolver child, site daemons as sessions ask them, data: and file: URLs read as the caller may,
// ldap: URLs and attributes of domains through its directory child; counters are looked at and not counted, and of a sequence file the number
// that would come next is told and not used up.
//
// Each answer is waited for, within the time that sessions give it. Failure: nothing found, as in a session.
#include "policy/questions.h"
#include "tools/directory_access.h"
#include "tools/server_resolver.h"

namespace postern::tools {

class OutsideAnswers {
 public:
  // The context must outlive it.
  OutsideAnswers(const Context& context, bool ask);
  OutsideAnswers(const OutsideAnswers&) = delete;
  OutsideAnswers& operator=(const OutsideAnswers&) = delete;

  [[nodiscard]] policy::Questions& questions() { return questions_; }

 private:
  // Whether one more use of a counter would be too often.
  net::Awaitable<std::optional<std::string>> throttle(std::string argument);
  net::Awaitable<std::optional<std::string>> url(std::string url);
  net::Awaitable<std::optional<std::string>> attribute(std::string domain, std::string attribute);

  const Context& context_;
  ServerResolver resolver_;
  DirectoryLookups directory_;
  policy::Questions questions_;
};

// The line of `posternctl help` about the option --ask.
extern const char* const kAskDetails;

}  // namespace postern::tools
