#include "coordinator/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/base/files.h"
#include "common/testing/temp_folder.h"
#include "coordinator/store/rocks_store.h"
#include "coordinator/store/store_keys.h"
#include "coordinator/store/wal_check.h"
#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class StoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<RocksStore> Open() {
    auto store = RocksStore::Open(folder);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  // The log that a killed process leaves: copied while the store is open.
  std::string KilledCopy() {
    const std::string copy = folder + "/killed";
    std::filesystem::remove_all(copy);
    std::filesystem::create_directory(copy);
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.is_regular_file() && entry.path().filename() != "LOCK") {
        std::filesystem::copy(entry.path(), copy / entry.path().filename());
      }
    }
    return copy;
  }
  static std::string LogOf(const std::string& folder) {
    std::string log;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() == ".log" && entry.file_size() > 0) log = entry.path();
    }
    return log;
  }

  const TempFolder temp;
  const std::string& folder = temp.path();
};

void FillAndRead(Store* store) {
  Writes writes;
  writes.Put("b2", "two");
  writes.Put("b1", std::string(2000, 'x'));
  writes.Put("c", "");
  writes.Put("a", "gone");
  writes.Delete("a");
  ASSERT_TRUE(store->Write(writes).ok());
  EXPECT_EQ(*store->Get("b2"), "two");
  EXPECT_TRUE(absl::IsNotFound(store->Get("a").status()));
  std::vector<std::string> seen;
  const auto collect = [&](absl::string_view key, absl::string_view) {
    seen.emplace_back(key);
    return true;
  };
  ASSERT_TRUE(store->Scan("b", "", collect).ok());
  EXPECT_THAT(seen, ElementsAre("b1", "b2"));
  seen.clear();
  ASSERT_TRUE(store->Scan("b", "b2", collect).ok());
  EXPECT_THAT(seen, ElementsAre("b2"));
}

TEST_F(StoreTest, MemoryAndDiskAnswerAlike) {
  MemoryStore memory;
  FillAndRead(&memory);
  auto disk = Open();
  FillAndRead(disk.get());
  disk.reset();
  EXPECT_EQ(*Open()->Get("b1"), std::string(2000, 'x'));
}

TEST_F(StoreTest, ByteOrderOfKeysIsTheOrderOfNumbers) {
  EXPECT_LT(store_keys::Item("p", 255), store_keys::Item("p", 256));
  EXPECT_LT(store_keys::Batch("p", 9), store_keys::Batch("p", 10));
  EXPECT_EQ(store_keys::LastNumber(store_keys::Batch("p", 77)), 77u);
  EXPECT_NE(store_keys::Item("p", 1).substr(0, 3), store_keys::Item("pq", 1).substr(0, 3));
}

TEST_F(StoreTest, ASecondCoordinatorCannotOpenTheSameStore) {
  auto first = Open();
  const auto second = RocksStore::Open(folder);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use by another coordinator"));
}

TEST_F(StoreTest, WhatWasWrittenSurvivesAKill) {
  auto store = Open();
  for (int i = 0; i < 50; ++i) {
    Writes writes;
    writes.Put("k" + std::to_string(i), std::string(3000, 'v'));
    ASSERT_TRUE(store->Write(writes).ok());
  }
  auto copy = RocksStore::Open(KilledCopy());
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ(CountKeys(**copy, "k"), 50u);
}

TEST_F(StoreTest, ATornLastWriteIsDroppedAndTheRestIsThere) {
  auto store = Open();
  for (int i = 0; i < 5; ++i) {
    Writes writes;
    writes.Put("k" + std::to_string(i), std::string(300, 'v'));
    ASSERT_TRUE(store->Write(writes).ok());
  }
  const std::string copy = KilledCopy();
  const std::string log = LogOf(copy);
  std::filesystem::resize_file(log, std::filesystem::file_size(log) - 100);
  auto torn = RocksStore::Open(copy);
  ASSERT_TRUE(torn.ok()) << torn.status();
  EXPECT_EQ(CountKeys(**torn, "k"), 4u);
}

TEST_F(StoreTest, ACompactionGivesTheRoomOfDeletedRolloutsBack) {
  auto store = Open();
  const auto bytes = [&] {
    uint64_t sum = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      sum += entry.is_regular_file() ? entry.file_size() : 0;
    }
    return sum;
  };
  RolloutKey key;
  key.set_plan("p");
  const auto write = [&](uint64_t first, uint64_t last, auto op) {
    Writes writes;
    for (uint64_t group = first; group < last; ++group) {
      key.set_group(group);
      op(writes, store_keys::Rollout(key), group);
    }
    ASSERT_TRUE(store->Write(writes).ok());
  };
  for (uint64_t group = 0; group < 4000; group += 500) {
    write(group, group + 500, [](Writes& writes, std::string key, uint64_t) {
      writes.Put(std::move(key), std::string(4000, 'x'));
    });
  }
  ASSERT_TRUE(store->Compact().ok());
  EXPECT_GT(bytes(), 4000u * 4000);
  // One of ten is kept, as a selection does: no file of rollouts is free of them.
  write(0, 4000, [](Writes& writes, std::string key, uint64_t group) {
    if (group % 10 != 0) writes.Delete(std::move(key));
  });
  ASSERT_TRUE(store->Compact().ok());
  EXPECT_LT(bytes(), 4000u * 4000 / 4);
  EXPECT_EQ(CountKeys(*store, "r"), 400u);
  store.reset();
  EXPECT_EQ(CountKeys(*Open(), "r"), 400u);
}

// Every byte of every record but the last, one at a time: damage is never taken for a torn tail.
TEST_F(StoreTest, ADamagedMiddleIsRefusedWhereverItIs) {
  auto store = Open();
  size_t before_last = 0;
  for (int i = 0; i < 6; ++i) {
    const std::string log = LogOf(folder);
    if (!log.empty()) before_last = std::filesystem::file_size(log);
    Writes writes;
    writes.Put("k" + std::to_string(i), std::string(100, 'v'));
    ASSERT_TRUE(store->Write(writes).ok());
  }
  const std::string copy = KilledCopy();
  const std::string log = LogOf(copy);
  const std::string good = *ReadFile(log);
  ASSERT_TRUE(CheckLog("log", good).ok());
  for (size_t i = 0; i < before_last; ++i) {
    std::string bad = good;
    bad[i] ^= 0x40;
    EXPECT_EQ(CheckLog("log", bad).code(), absl::StatusCode::kDataLoss) << "byte " << i;
  }
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_TRUE(CheckLog("log", good.substr(0, length)).ok()) << "cut at " << length;
  }
  std::string bad = good;
  bad[before_last / 2] ^= 0x40;
  std::ofstream(log, std::ios::binary) << bad;
  const auto refused = RocksStore::Open(copy);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(refused.status().message().find('\n'), absl::string_view::npos);
}

}  // namespace
}  // namespace reckon
