// SPDX-License-Identifier: Apache-2.0
#include "roles/loader.h"

#include "mapping/loader.h"

namespace postern::roles {

int run_loader(service::Start& start) {
  const int file = start.get("compiled");
  if (file < 0) return 1;
  auto image = mapping::load(file);
  const auto sent = image ? service::answer_image(start, image->get()) : service::answer_refusal(start, image.error().what);
  return sent ? 0 : 1;
}

}  // namespace postern::roles
