#ifndef RECKON_COMMON_TESTING_HOSTILE_H_
#define RECKON_COMMON_TESTING_HOSTILE_H_

#include <sys/resource.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/testing/cpu_time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {

// Measures how a reader refuses one hostile file, from construction to Expect.
class HostileReading {
 public:
  // Expects an error of one line that contains `names`, within a second of computing, and a peak of
  // memory less than 64 MiB and the file's own size above the earlier peak. Sanitizers get ten
  // times as much.
  void Expect(const absl::Status& status, absl::string_view names, size_t file_bytes) const {
    EXPECT_FALSE(status.ok());
    const absl::string_view text = status.message();
    EXPECT_THAT(std::string(text), ::testing::HasSubstr(std::string(names)));
    EXPECT_LT(text.size(), 400u) << text;
    EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }))
        << text;
    EXPECT_LT(ThreadCpuTime() - begin_, absl::Seconds(kSlowdown)) << text;
    EXPECT_LT(PeakKiB() - peak_, kSlowdown * (64 * 1024 + static_cast<long>(file_bytes / 1024)))
        << text;
  }

 private:
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static constexpr int kSlowdown = 10;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  static constexpr int kSlowdown = 10;
#else
  static constexpr int kSlowdown = 1;
#endif
#else
  static constexpr int kSlowdown = 1;
#endif

  static long PeakKiB() {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  }

  const absl::Duration begin_ = ThreadCpuTime();
  const long peak_ = PeakKiB();
};

}  // namespace reckon

#endif  // RECKON_COMMON_TESTING_HOSTILE_H_
