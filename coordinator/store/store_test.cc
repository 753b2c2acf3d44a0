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

// A write of several blocks, of which a power cut left some pages unwritten.
TEST_F(StoreTest, ATornLastWriteIsDroppedWhicheverOfItsPagesAreMissing) {
  constexpr size_t kPage = 4096;
  auto store = Open();
  const auto put = [&](const std::string& key, size_t size) {
    Writes writes;
    writes.Put(key, std::string(size, 'v'));
    ASSERT_TRUE(store->Write(writes).ok());
  };
  for (int i = 0; i < 3; ++i) put("k" + std::to_string(i), 3000);
  const size_t begin = std::filesystem::file_size(LogOf(folder));
  put("torn", 90'000);
  std::string copy = KilledCopy();
  const std::string good = *ReadFile(LogOf(copy));
  ASSERT_GT(good.size(), begin + 90'000);
  std::vector<std::pair<size_t, size_t>> tears;  // pages, from and to
  const size_t pages = (good.size() + kPage - 1) / kPage;
  for (size_t page = begin / kPage; page < pages; ++page) tears.emplace_back(page, page + 1);
  tears.emplace_back(begin / kPage, pages - 1);
  tears.emplace_back(begin / kPage + 5, begin / kPage + 17);
  for (const auto& [from, to] : tears) {
    std::string bad = good;
    for (size_t i = std::max(begin, from * kPage); i < std::min(bad.size(), to * kPage); ++i) {
      bad[i] = '\0';
    }
    EXPECT_EQ(*WholeWrites("log", bad), begin);
    copy = KilledCopy();
    std::ofstream(LogOf(copy), std::ios::binary) << bad;
    const auto opened = RocksStore::Open(copy);
    ASSERT_TRUE(opened.ok()) << "pages " << from << " to " << to << ": " << opened.status();
    EXPECT_EQ(CountKeys(**opened, "k"), 3u);
    EXPECT_TRUE(absl::IsNotFound((*opened)->Get("torn").status()));
  }
  // The same damage with a write after it.
  put("later", 10);
  copy = KilledCopy();
  const std::string log = LogOf(copy), all = *ReadFile(log);
  for (size_t page = begin / kPage; page < pages; ++page) {
    std::string bad = all;
    const size_t from = std::max(begin, page * kPage);
    bad.replace(from, 100, 100, '\0');
    if (from + 100 > good.size()) continue;
    EXPECT_EQ(WholeWrites("log", bad).status().code(), absl::StatusCode::kDataLoss) << page;
  }
}

TEST_F(StoreTest, ALogThatAnotherFollowsHasNoTornWrite) {
  auto store = Open();
  Writes writes;
  writes.Put("k", std::string(100, 'v'));
  ASSERT_TRUE(store->Write(writes).ok());
  const std::string good = *ReadFile(LogOf(folder));
  const std::string torn = good.substr(0, good.size() - 1);
  const auto cut = [&](const std::string& older, const std::string& newer) {
    std::ofstream(temp.path() + "/logs/000009.log", std::ios::binary) << older;
    std::ofstream(temp.path() + "/logs/000010.log", std::ios::binary) << newer;
    return CutTornWrite(temp.path() + "/logs");
  };
  std::filesystem::create_directory(temp.path() + "/logs");
  EXPECT_TRUE(cut(good, torn).ok());
  EXPECT_EQ(std::filesystem::file_size(temp.path() + "/logs/000010.log"), 0u);
  EXPECT_TRUE(cut(torn, "").ok());
  EXPECT_EQ(std::filesystem::file_size(temp.path() + "/logs/000009.log"), 0u);
  EXPECT_TRUE(absl::IsDataLoss(cut(torn, good)));
  EXPECT_EQ(std::filesystem::file_size(temp.path() + "/logs/000009.log"), torn.size());
}

// RocksDB says in one line who has it, and the log, whose end is moving, is left alone.
TEST_F(StoreTest, TheLogOfAnOpenStoreIsNotCut) {
  const auto store = Open();
  Writes writes;
  writes.Put("k", "v");
  ASSERT_TRUE(store->Write(writes).ok());
  const std::string log = LogOf(folder);
  std::ofstream(log, std::ios::binary | std::ios::app) << "the next write";
  const size_t size = std::filesystem::file_size(log);
  EXPECT_TRUE(absl::IsUnavailable(RocksStore::Open(folder).status()));
  EXPECT_EQ(std::filesystem::file_size(log), size);
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
  ASSERT_EQ(*WholeWrites("log", good), good.size());
  for (size_t i = 0; i < before_last; ++i) {
    std::string bad = good;
    bad[i] ^= 0x40;
    EXPECT_EQ(WholeWrites("log", bad).status().code(), absl::StatusCode::kDataLoss) << "byte " << i;
  }
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_TRUE(WholeWrites("log", good.substr(0, length)).ok()) << "cut at " << length;
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
