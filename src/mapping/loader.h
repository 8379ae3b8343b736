// SPDX-License-Identifier: Apache-2.0
#pragma once
// From a compiled file to the image that the children map. Run in the loader: a short-lived child without rights.
#include "base/descriptor.h"

namespace postern::mapping {

// Checks the compiled file behind the descriptor as a whole, lays out the image and seals it. Kind::corrupt or Kind::invalid, with
// the reason, for a file that can't be used; nothing of it is then used.
[[nodiscard]] Result<base::Descriptor> load(int compiled_file);

}  // namespace postern::mapping
