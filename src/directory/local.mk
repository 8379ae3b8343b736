# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_directory.a
libpostern_directory_a_SOURCES = \
  src/directory/account_source.h \
  src/directory/administration.h src/directory/administration.cc \
  src/directory/client.h src/directory/client.cc \
  src/directory/database.h src/directory/database.cc src/directory/database_scripts.cc src/directory/database_load.cc \
  src/directory/directory.h \
  src/directory/dump.h src/directory/dump.cc \
  src/directory/file_check.h src/directory/file_check.cc \
  src/directory/fixed.h src/directory/fixed.cc \
  src/directory/generation.h src/directory/generation.cc \
  src/directory/handles.h src/directory/handles.cc \
  src/directory/keys.h \
  src/directory/ldap_filter.h src/directory/ldap_filter.cc \
  src/directory/ldap_record.h src/directory/ldap_record.cc \
  src/directory/mechanisms.cc \
  src/directory/logins.h src/directory/logins.cc \
  src/directory/names.cc \
  src/directory/outside.h src/directory/outside.cc \
  src/directory/password.h src/directory/password.cc \
  src/directory/protocol.h src/directory/protocol.cc \
  src/directory/record.h src/directory/record.cc \
  src/directory/sasl.h src/directory/sasl.cc \
  src/directory/scram_shapes.h src/directory/scram_shapes.cc \
  src/directory/server.h src/directory/server.cc \
  src/directory/signing.h src/directory/signing.cc \
  src/directory/token.h src/directory/token.cc \
  src/directory/verifier.h src/directory/verifier.cc
if LDAP
libpostern_directory_a_SOURCES += \
  src/directory/ldap_accounts.h src/directory/ldap_accounts.cc \
  src/directory/ldap_connection.h src/directory/ldap_connection.cc \
  src/directory/ldap_pool.h src/directory/ldap_pool.cc
endif
libpostern_directory_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_directory_a_OBJECTS): $(ASIO_PCH)
