#include "common/base/log.h"

#include <sstream>

#include "gtest/gtest.h"
// What LibTorch's header does, between two files of a unity build.
#undef LOG
#define LOG(severity) std::ostringstream()
#undef CHECK
#define CHECK(condition) std::ostringstream()
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

class LastMessage : public google::LogSink {
 public:
  LastMessage() { google::AddLogSink(this); }
  ~LastMessage() override { google::RemoveLogSink(this); }
  using google::LogSink::send;
  void send(google::LogSeverity, const char*, const char*, int, const google::LogMessageTime&,
            const char* message, size_t length) override {
    text.assign(message, length);
  }
  std::string text;
};

TEST(LogTest, ItsMacrosAreGlogsWhateverWasIncludedBefore) {
  LastMessage last;
  LOG(WARNING) << "heard";
  EXPECT_EQ(last.text, "heard");
  const auto die = [&] { CHECK(last.text.empty()) << "why"; };
  EXPECT_DEATH(die(), "why");
}

}  // namespace
}  // namespace reckon
