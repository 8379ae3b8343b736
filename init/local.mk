# SPDX-License-Identifier: Apache-2.0
# The LSB script and the systemd unit, with the paths of this installation.
EXTRA_DIST += init/postern.in init/postern.service.in init/init_test
CLEANFILES += init/postern init/postern.service

initscriptdir = $(initdir)
nodist_initscript_SCRIPTS = init/postern
systemdunitdir = $(systemdsystemunitdir)
nodist_systemdunit_DATA = init/postern.service

INIT_PATHS = sed -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' -e 's|@pkgsysconfdir[@]|$(pkgsysconfdir)|g' \
  -e 's|@localstatedir[@]|$(localstatedir)|g'
init/postern: $(srcdir)/init/postern.in Makefile
	$(AM_V_GEN)$(MKDIR_P) init && $(INIT_PATHS) $(srcdir)/init/postern.in > $@.new && chmod 755 $@.new && mv $@.new $@
init/postern.service: $(srcdir)/init/postern.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) init && $(INIT_PATHS) $(srcdir)/init/postern.service.in > $@.new && mv $@.new $@
