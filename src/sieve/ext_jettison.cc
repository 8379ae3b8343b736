// SPDX-License-Identifier: Apache-2.0
// vnd.postern.jettison (access-control.md 6.2, 6.3): removes the message, whatever the scripts of other levels say. Any level may.
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

namespace postern::sieve {

namespace {

class Jettison : public Step {
 public:
  bool perform(Run& run) const override {
    Action action;
    action.kind = Action::Kind::jettison;
    run.act(std::move(action));
    return true;
  }
  void carry(Archive& /*archive*/) override {}
};

std::unique_ptr<Step> compile_jettison(Compiler&, const Arguments&) { return std::make_unique<Jettison>(); }

}  // namespace

const Extension& jettison_extension() {
  static const Extension extension = {"vnd.postern.jettison", "Postern", "remove the message whatever other scripts decide", false, {{"jettison", {}, kNoTags, false, step<Jettison>(compile_jettison)}}, {}, {}};
  return extension;
}

}  // namespace postern::sieve
