# SPDX-License-Identifier: Apache-2.0
# The example always goes to $(pkgdatadir)/examples; the site's own files are made from it once and never touched again.
SITE_FILES = conf/postern.conf conf/mappings conf/general.txt conf/aliases
exampledir = $(pkgdatadir)/examples
dist_example_DATA = $(SITE_FILES)

install-data-local: install-site-files
.PHONY: install-site-files
# The master makes the base directory itself, with the right owner, but not what it stands in.
install-site-files:
	$(MKDIR_P) "$(DESTDIR)$(pkgsysconfdir)" "$(DESTDIR)$(localstatedir)/lib"
	@for file in $(SITE_FILES); do \
	  to="$(DESTDIR)$(pkgsysconfdir)/`basename $$file`"; \
	  if test -e "$$to"; then echo "kept: $$to"; \
	  else echo "installed: $$to"; $(INSTALL_DATA) "$(srcdir)/$$file" "$$to" || exit 1; fi; \
	done

# The tables of a small company, and a filter that goes with them, to learn from.
companydir = $(pkgdatadir)/examples/company
dist_company_DATA = conf/company/mappings conf/company/before.filter
