// SPDX-License-Identifier: Apache-2.0
#include "roles/loader.h"

#include "mapping/loader.h"
#include "mapping/tables.h"

namespace postern::roles {

int run_loader(service::Start& start) {
  const int file = start.get("compiled");
  if (file < 0) return 1;
  auto image = mapping::load(file);
  if (!image) return service::answer_refusal(start, image.error().what) ? 0 : 1;
  auto copy = image->duplicate();
  if (!copy) return 1;
  const auto tables = mapping::Tables::map(std::move(*copy));
  const auto sent = tables ? service::answer_image(start, image->get(), tables->generation()) : service::answer_refusal(start, tables.error().what);
  return sent ? 0 : 1;
}

}  // namespace postern::roles
