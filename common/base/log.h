// Includes glog. Every .cc file that logs includes this header, and includes it last, because a
// header of LibTorch (c10/util/Logging.h) defines macros with the names of glog's, whose messages
// go nowhere. In a unity build that header may come between two of these files, so what glog made
// of the names is kept, and restored each time.

#ifndef RECKON_COMMON_BASE_LOG_H_
#define RECKON_COMMON_BASE_LOG_H_

#undef LOG
#undef LOG_IF
#undef LOG_EVERY_N
#undef VLOG
#undef VLOG_IS_ON
#undef DLOG
#undef DLOG_IF
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

#include <glog/logging.h>

namespace reckon {

// Sends the log to stderr. Call it once, first in main, with argv[0].
void InitLogging(const char* program);

}  // namespace reckon

#else

#pragma pop_macro("LOG")
#pragma pop_macro("LOG_IF")
#pragma pop_macro("LOG_EVERY_N")
#pragma pop_macro("VLOG")
#pragma pop_macro("VLOG_IS_ON")
#pragma pop_macro("DLOG")
#pragma pop_macro("DLOG_IF")
#pragma pop_macro("CHECK")
#pragma pop_macro("CHECK_EQ")
#pragma pop_macro("CHECK_NE")
#pragma pop_macro("CHECK_LT")
#pragma pop_macro("CHECK_LE")
#pragma pop_macro("CHECK_GT")
#pragma pop_macro("CHECK_GE")
#pragma pop_macro("CHECK_NOTNULL")
#pragma pop_macro("DCHECK")
#pragma pop_macro("DCHECK_EQ")
#pragma pop_macro("DCHECK_NE")
#pragma pop_macro("DCHECK_LT")
#pragma pop_macro("DCHECK_LE")
#pragma pop_macro("DCHECK_GT")
#pragma pop_macro("DCHECK_GE")

#endif  // RECKON_COMMON_BASE_LOG_H_

#pragma push_macro("LOG")
#pragma push_macro("LOG_IF")
#pragma push_macro("LOG_EVERY_N")
#pragma push_macro("VLOG")
#pragma push_macro("VLOG_IS_ON")
#pragma push_macro("DLOG")
#pragma push_macro("DLOG_IF")
#pragma push_macro("CHECK")
#pragma push_macro("CHECK_EQ")
#pragma push_macro("CHECK_NE")
#pragma push_macro("CHECK_LT")
#pragma push_macro("CHECK_LE")
#pragma push_macro("CHECK_GT")
#pragma push_macro("CHECK_GE")
#pragma push_macro("CHECK_NOTNULL")
#pragma push_macro("DCHECK")
#pragma push_macro("DCHECK_EQ")
#pragma push_macro("DCHECK_NE")
#pragma push_macro("DCHECK_LT")
#pragma push_macro("DCHECK_LE")
#pragma push_macro("DCHECK_GT")
#pragma push_macro("DCHECK_GE")
