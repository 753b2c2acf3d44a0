#include "learner/publish/version_buffers.h"

#include <sys/resource.h>

#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace reckon {
namespace {

constexpr uint64_t kBytes = 8 << 20;

std::shared_ptr<WeightBytes> TakeFrom(VersionBuffers* buffers, uint64_t bytes = kBytes) {
  auto taken = buffers->Take(bytes);
  EXPECT_TRUE(taken.ok()) << taken.status();
  return *std::move(taken);
}

// Pages that the kernel had to give while the buffer was filled.
int64_t PagesGiven(WeightBytes* buffer) {
  rusage before, after;
  ::getrusage(RUSAGE_THREAD, &before);
  std::memset(buffer->data(), 1, buffer->bytes().size());
  ::getrusage(RUSAGE_THREAD, &after);
  return after.ru_minflt - before.ru_minflt;
}

TEST(VersionBuffers, WhatIsPreparedHasItsPages) {
  constexpr int64_t kPages = kBytes / 4096;
  VersionBuffers buffers;
  buffers.Prepare(kBytes, 2);
  buffers.FinishPreparing();
  const auto first = TakeFrom(&buffers), second = TakeFrom(&buffers), third = TakeFrom(&buffers);
  EXPECT_LT(PagesGiven(first.get()), kPages / 20);
  EXPECT_LT(PagesGiven(second.get()), kPages / 20);
  EXPECT_GE(PagesGiven(third.get()), kPages / 2)
      << "new memory, which the others are compared with";
}

TEST(VersionBuffers, AFilledBufferIsTakenAgainWhenNobodyReadsIt) {
  VersionBuffers buffers;
  buffers.Prepare(kBytes, 1);
  buffers.FinishPreparing();
  auto buffer = TakeFrom(&buffers);
  buffer->EndFill();
  const HostMemory first = buffer->where();
  // A reader in another place than this process's own pointers.
  auto reader = *WeightBytes::Map(first, kBytes);
  buffer = nullptr;
  EXPECT_NE(TakeFrom(&buffers)->where().name(), first.name());
  reader = nullptr;
  buffer = TakeFrom(&buffers);
  EXPECT_EQ(buffer->where().name(), first.name());
  EXPECT_EQ(buffer->where().fill(), first.fill() + 1);
}

TEST(VersionBuffers, NoMoreAreKeptThanAreReadAtOnce) {
  constexpr size_t kKept = VersionBuffers::kUsed + 1;
  VersionBuffers buffers;
  const auto take_two_more = [&] {
    std::vector<std::shared_ptr<WeightBytes>> taken;
    std::set<std::string> names;
    while (taken.size() < kKept + 2) {
      names.insert(taken.emplace_back(TakeFrom(&buffers, 64))->where().name());
    }
    for (const auto& buffer : taken) buffer->EndFill();
    return names;
  };
  std::set<std::string> all = take_two_more();
  all.merge(take_two_more());
  EXPECT_EQ(all.size(), kKept + 2 + 2);
}

TEST(VersionBuffers, WhatWasTakenCountsAsPrepared) {
  VersionBuffers buffers;
  const auto taken = TakeFrom(&buffers);
  buffers.Prepare(kBytes, 1);
  buffers.FinishPreparing();
  EXPECT_GE(PagesGiven(TakeFrom(&buffers).get()), int64_t{kBytes / 4096 / 2})
      << "one too many was made";
}

TEST(VersionBuffers, OtherSizesAreForgotten) {
  VersionBuffers buffers;
  buffers.Prepare(kBytes, 2);
  buffers.FinishPreparing();
  EXPECT_EQ(TakeFrom(&buffers, 2 * kBytes)->bytes().size(), 2 * kBytes);
  buffers.Prepare(kBytes, 1);
  // Ends the one before.
  buffers.Prepare(2 * kBytes, 1);
  buffers.FinishPreparing();
  const auto buffer = TakeFrom(&buffers, 2 * kBytes);
  EXPECT_EQ(buffer->bytes().size(), 2 * kBytes);
  EXPECT_LT(PagesGiven(buffer.get()), int64_t{2 * kBytes / 4096 / 20});
}

}  // namespace
}  // namespace reckon
