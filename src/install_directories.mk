# SPDX-License-Identifier: Apache-2.0
# Where the installation puts things, for the few files that include "install_directories.h". In a header of the build tree rather than
# in every command line, so that a cache of compilations serves builds that differ in their prefix alone.
INSTALL_DIRECTORIES = install_directories.h
# A header that would say the same keeps its time: nothing is compiled anew.
$(INSTALL_DIRECTORIES): config.status
	$(AM_V_GEN){ echo '#pragma once'; \
	echo '#define POSTERN_SYSCONFDIR "$(pkgsysconfdir)"'; \
	echo '#define POSTERN_STATEDIR "$(pkgstatedir)"'; \
	echo '#define POSTERN_DATADIR "$(pkgdatadir)"'; \
	echo '#define POSTERN_SBINDIR "$(sbindir)"'; \
	echo '#define POSTERN_TEMPLATES "$(templatesdir)"'; } > $@.new && \
	if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
CLEANFILES += $(INSTALL_DIRECTORIES)
$(libpostern_conf_a_OBJECTS) $(posternd_OBJECTS) $(posternctl_OBJECTS) $(postern_compile_OBJECTS) $(postern_sendmail_OBJECTS) $(postern_sieve_OBJECTS): | $(INSTALL_DIRECTORIES)
