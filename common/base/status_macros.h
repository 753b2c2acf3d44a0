#ifndef RECKON_COMMON_BASE_STATUS_MACROS_H_
#define RECKON_COMMON_BASE_STATUS_MACROS_H_

// Return an error to the caller:
//   RETURN_IF_ERROR(Write(path));
//   ASSIGN_OR_RETURN(std::string text, Read(path));
// ASSIGN_OR_RETURN is two statements, so it needs braces below an if.

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define RECKON_CONCAT_INNER(a, b) a##b
#define RECKON_CONCAT(a, b) RECKON_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expr)                           \
  do {                                                  \
    if (absl::Status status_ = (expr); !status_.ok()) { \
      return status_;                                   \
    }                                                   \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_INNER(RECKON_CONCAT(statusor_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_INNER(tmp, lhs, expr) \
  auto tmp = (expr);                           \
  if (!tmp.ok()) return tmp.status();          \
  lhs = std::move(tmp).value()

#endif  // RECKON_COMMON_BASE_STATUS_MACROS_H_
