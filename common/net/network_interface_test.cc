#include "common/net/network_interface.h"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace reckon {
namespace {

TEST(NetworkInterface, IsFoundByAddressOrName) {
  const auto interface = InterfaceOf("127.0.0.1");
  ASSERT_TRUE(interface.ok()) << interface.status();
  EXPECT_EQ(*interface, "lo");
  EXPECT_EQ(*InterfaceOf("127.0.1.1"), "lo") << "as Debian names the machine";
  EXPECT_EQ(*InterfaceOf("localhost"), "lo");
  // 192.0.2.0/24 is for documentation: no machine has it.
  EXPECT_EQ(InterfaceOf("192.0.2.7").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(InterfaceOf("[2001:db8::7]").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(InterfaceOf("no such name").status().code(), absl::StatusCode::kUnavailable);
}

TEST(NetworkInterface, NcclIsBoundUnlessTheOperatorHasDoneSo) {
  ASSERT_EQ(unsetenv("NCCL_SOCKET_IFNAME"), 0);
  ASSERT_TRUE(BindCollectives("127.0.0.1").ok());
  EXPECT_STREQ(getenv("NCCL_SOCKET_IFNAME"), "=lo");
  ASSERT_EQ(setenv("NCCL_SOCKET_IFNAME", "ib0", 1), 0);
  ASSERT_TRUE(BindCollectives("127.0.0.1").ok());
  EXPECT_STREQ(getenv("NCCL_SOCKET_IFNAME"), "ib0");
  EXPECT_FALSE(BindCollectives("192.0.2.7").ok());
  unsetenv("NCCL_SOCKET_IFNAME");
}

TEST(NetworkInterface, ALostMemberOfAGroupDoesNotEndTheProcess) {
  ASSERT_EQ(unsetenv("TORCH_NCCL_ASYNC_ERROR_HANDLING"), 0);
  ASSERT_TRUE(BindCollectives("127.0.0.1").ok());
  EXPECT_STREQ(getenv("TORCH_NCCL_ASYNC_ERROR_HANDLING"), "0");
  ASSERT_EQ(setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "3", 1), 0);
  ASSERT_TRUE(BindCollectives("127.0.0.1").ok());
  EXPECT_STREQ(getenv("TORCH_NCCL_ASYNC_ERROR_HANDLING"), "3");
  EXPECT_STREQ(getenv("TORCH_FR_BUFFER_SIZE"), "0");
  for (const char* name :
       {"TORCH_NCCL_ASYNC_ERROR_HANDLING", "TORCH_FR_BUFFER_SIZE", "NCCL_SOCKET_IFNAME"}) {
    unsetenv(name);
  }
}

}  // namespace
}  // namespace reckon
