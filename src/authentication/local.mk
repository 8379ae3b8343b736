# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_authentication.a
libpostern_authentication_a_SOURCES = \
  src/authentication/arc.h src/authentication/arc.cc \
  src/authentication/canonical.h src/authentication/canonical.cc \
  src/authentication/dmarc.h src/authentication/dmarc.cc \
  src/authentication/key_record.h src/authentication/key_record.cc \
  src/authentication/keys.h src/authentication/keys.cc \
  src/authentication/public_suffixes.h src/authentication/public_suffixes.cc \
  src/authentication/results.h src/authentication/results.cc \
  src/authentication/signature.h src/authentication/signature.cc \
  src/authentication/signing.h src/authentication/signing.cc \
  src/authentication/spf.h src/authentication/spf.cc \
  src/authentication/spf_record.h src/authentication/spf_record.cc \
  src/authentication/srs.h src/authentication/srs.cc \
  src/authentication/tag_list.h src/authentication/tag_list.cc \
  src/authentication/verification.h src/authentication/verification.cc
libpostern_authentication_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_authentication_a_OBJECTS): $(ASIO_PCH)
