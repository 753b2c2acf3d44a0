#ifndef RECKON_COMMON_BASE_LOG_H_
#define RECKON_COMMON_BASE_LOG_H_

// Includes glog. Every file that logs includes this header, and includes it last, because a header
// of LibTorch (c10/util/Logging.h) defines macros with the names of glog's.

#ifdef LOG
#undef LOG
#undef VLOG
#undef LOG_IF
#undef CHECK
#undef CHECK_EQ
#undef CHECK_NE
#undef CHECK_LT
#undef CHECK_LE
#undef CHECK_GT
#undef CHECK_GE
#undef CHECK_NOTNULL
#undef DCHECK
#undef DCHECK_EQ
#undef DCHECK_NE
#undef DCHECK_LT
#undef DCHECK_LE
#undef DCHECK_GT
#undef DCHECK_GE
#undef LOG_EVERY_N
#undef VLOG_IS_ON
#undef DLOG
#undef DLOG_IF
#endif

#include <glog/logging.h>

namespace reckon {

// Sends the log to stderr. Call it once, first in main, with argv[0].
void InitLogging(const char* program);

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_LOG_H_
