#include "common/model/broadcast/device_broadcast.h"

#include <future>
#include <string>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

constexpr size_t kBytes = (40 << 20) + 12345;  // two whole pieces and a part

// A group of threads whose backend is Gloo, on the CPU as the device.
std::vector<std::unique_ptr<BroadcastGroup>> MakeGroup(int world,
                                                       absl::Duration silence = kBroadcastSilence) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::future<std::unique_ptr<BroadcastGroup>>> making;
  for (int rank = 0; rank < world; ++rank) {
    making.push_back(std::async(std::launch::async, [=] {
      auto options = c10d::ProcessGroupGloo::Options::create(std::chrono::minutes(3));
      options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
      return MakeDeviceBroadcast(
          c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, world, options), c10::kCPU,
          silence);
    }));
  }
  std::vector<std::unique_ptr<BroadcastGroup>> group;
  for (auto& one : making) group.push_back(one.get());
  return group;
}

std::string Bytes() {
  std::string bytes(kBytes, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 2654435761u >> 24);
  return bytes;
}

TEST(DeviceBroadcastTest, EveryMemberGetsTheBytesOfTheFirst) {
  const auto group = MakeGroup(3);
  const std::string sent = Bytes();
  for (int version = 0; version < 2; ++version) {
    std::vector<std::future<void>> members;
    for (size_t rank = 0; rank < group.size(); ++rank) {
      members.push_back(std::async(std::launch::async, [&, rank] {
        std::string bytes = rank == 0 ? sent : std::string(kBytes, 'x');
        uint64_t here = 0;
        const absl::Status status = group[rank]->Pass(absl::MakeSpan(bytes), absl::InfiniteFuture(),
                                                      std::stop_token(), [&](uint64_t n) {
                                                        EXPECT_GT(n, here);
                                                        here = n;
                                                      });
        EXPECT_TRUE(status.ok()) << status;
        EXPECT_TRUE(bytes == sent) << rank;
        EXPECT_EQ(here, rank == 0 ? 0 : kBytes);
      }));
    }
    for (auto& member : members) member.get();
  }
}

TEST(DeviceBroadcastTest, AMemberThatIsGoneOrAStopEndsIt) {
  std::string bytes = Bytes();
  auto group = MakeGroup(2);
  group[1].reset();
  EXPECT_FALSE(
      group[0]
          ->Pass(absl::MakeSpan(bytes), absl::InfiniteFuture(), std::stop_token(), [](uint64_t) {})
          .ok());
  group = MakeGroup(2);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(absl::IsCancelled(group[1]->Pass(absl::MakeSpan(bytes), absl::InfiniteFuture(),
                                               stop.get_token(), [](uint64_t) {})));
}

TEST(DeviceBroadcastTest, AMemberThatIsSilentIsWaitedForAsLongAsTheGroupSays) {
  std::string bytes = Bytes();
  const auto group = MakeGroup(2, absl::Milliseconds(50));
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(absl::IsDeadlineExceeded(group[1]->Pass(absl::MakeSpan(bytes), absl::InfiniteFuture(),
                                                      std::stop_token(), [](uint64_t) {})));
  EXPECT_LT(absl::Now() - begin, kBroadcastSilence);
}

}  // namespace
}  // namespace reckon
