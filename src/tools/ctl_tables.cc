// SPDX-License-Identifier: Apache-2.0
// posternctl compile: the tables from their texts, as postern-compile makes them.
#include "tools/compile_site.h"
#include "tools/posternctl.h"

namespace postern::tools {

int run_compile(const Context& context, const std::vector<std::string>& arguments) {
  const std::string& path = context.configuration_path;
  const std::size_t slash = path.rfind('/');
  return compile_site("posternctl compile", slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash), arguments);
}

}  // namespace postern::tools
