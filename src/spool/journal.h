// SPDX-License-Identifier: Apache-2.0
#pragma once
// The spool: what has been accepted and is not yet finished. Its one promise: a message that was answered "250" is found again
// after any crash, until somebody has noted that nothing is left to do for it.
//
// Below the spool directory: journal/ (segments and the notes beside them), large/ (messages too large for a segment),
// deferred/ (what has to wait), held/ (what the administrator must let go), corrupt/ (what could not be read). Formats and recovery: doc/design/journal.md.
#include "spool/back_pressure.h"
#include "spool/deferred.h"
#include "spool/earlier_records.h"
#include "spool/held.h"
#include "spool/journal_reader.h"
#include "spool/journal_writer.h"
#include "spool/large_message.h"
#include "spool/position.h"
#include "spool/shared_state.h"
#include "spool/verdict_marker.h"
