#include "coordinator/store/rocks_store.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "coordinator/store/wal_check.h"
#include "rocksdb/cache.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/options.h"
#include "rocksdb/rate_limiter.h"
#include "rocksdb/table.h"
#include "rocksdb/write_batch.h"

namespace reckon {
namespace {

rocksdb::Slice Slice(absl::string_view text) { return rocksdb::Slice(text.data(), text.size()); }
absl::string_view View(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

// Chosen for one synced write batch a tick and values of about 2 KB: blob files keep rollouts out
// of compaction, and steady background syncs keep flushes from delaying the log's sync.
rocksdb::Options MakeOptions() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.compression = rocksdb::kNoCompression;
  options.write_buffer_size = 64 << 20;
  options.max_background_jobs = 2;
  options.enable_blob_files = true;
  options.min_blob_size = 512;
  options.enable_blob_garbage_collection = true;
  options.bytes_per_sync = 1 << 20;
  options.strict_bytes_per_sync = true;
  options.rate_limiter.reset(rocksdb::NewGenericRateLimiter(100 << 20));
  options.max_total_wal_size = 256 << 20;
  // Indexes of files are in the cache as well: with a store that grows they would grow without it.
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(32 << 20);
  table.cache_index_and_filter_blocks = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.keep_log_file_num = 4;
  options.max_log_file_size = 8 << 20;
  // Accepts a torn last record, which was never acknowledged, and refuses damage before it. Logs
  // must not be recycled: their old content looks like damage.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.recycle_log_file_num = 0;
  return options;
}

std::string OneLine(const rocksdb::Status& status) {
  return absl::StrReplaceAll(status.ToString(), {{"\n", " "}});
}

// Why the store was not opened.
absl::Status OpenError(const std::string& folder, const rocksdb::Status& status) {
  const std::string why = OneLine(status);
  // RocksDB has no code of its own for a lock that another process holds.
  if (status.IsIOError() && absl::StrContains(absl::AsciiStrToLower(why), "lock")) {
    // It reports a lock of this very process as ENOLCK.
    const bool held_here = absl::StrContains(why, "held by current process") ||
                           absl::StrContains(why, "hold by current process");
    for (int error : {ENOSYS, ENOLCK, EOPNOTSUPP}) {
      if (held_here || !absl::StrContains(why, std::strerror(error))) continue;
      return absl::UnimplementedError(
          absl::StrCat("store ", folder, ": its file system does not support locks (", why,
                       "); set output_dir to a folder on a local disk"));
    }
    return absl::UnavailableError(absl::StrCat(
        "store ", folder, " is in use by another coordinator; stop it first (", why, ")"));
  }
  if (status.IsCorruption()) {
    return absl::DataLossError(absl::StrCat("store ", folder, " is damaged and was left as it is (",
                                            why, "); restore a copy or start a new run"));
  }
  return absl::InternalError(absl::StrCat("cannot open store ", folder, ": ", why));
}

}  // namespace

RocksStore::RocksStore(std::unique_ptr<rocksdb::DB> db) : db_(std::move(db)) {}

RocksStore::~RocksStore() {
  if (db_ != nullptr) db_->Close();
}

absl::StatusOr<std::unique_ptr<RocksStore>> RocksStore::Open(const std::string& folder) {
  RETURN_IF_ERROR(MakeFolders(folder));
  // Before RocksDB opens the folder, because its recovery changes what is there; with its lock,
  // because the log of a coordinator that runs ends in the middle of a write.
  rocksdb::Env* const env = rocksdb::Env::Default();
  rocksdb::FileLock* lock = nullptr;
  rocksdb::Status status = env->LockFile(folder + "/LOCK", &lock);
  if (!status.ok()) return OpenError(folder, status);
  const absl::Status cut = CutTornWrite(folder);
  env->UnlockFile(lock);
  RETURN_IF_ERROR(cut);
  rocksdb::DB* db = nullptr;
  status = rocksdb::DB::Open(MakeOptions(), folder, &db);
  if (!status.ok()) return OpenError(folder, status);
  return std::unique_ptr<RocksStore>(new RocksStore(std::unique_ptr<rocksdb::DB>(db)));
}

absl::Status RocksStore::Write(const Writes& writes) {
  // Reserved in one piece: to its key and value each operation adds a tag and two lengths, fewer
  // than 16 bytes.
  rocksdb::WriteBatch batch(writes.bytes + 16 * writes.ops.size());
  for (const Writes::Op& op : writes.ops) {
    const rocksdb::Status status =
        op.is_delete ? batch.Delete(Slice(op.key)) : batch.Put(Slice(op.key), Slice(op.value));
    if (!status.ok()) return absl::InternalError(OneLine(status));
  }
  rocksdb::WriteOptions options;
  // The acknowledgements of this commit wait for the return of Write, and promise what a power cut
  // must not undo.
  options.sync = true;
  const rocksdb::Status status = db_->Write(options, &batch);
  if (status.ok()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot write to the store: ", OneLine(status)));
}

absl::StatusOr<std::string> RocksStore::Get(absl::string_view key) const {
  std::string value;
  const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), Slice(key), &value);
  if (status.ok()) return value;
  if (status.IsNotFound()) return absl::NotFoundError("no such key");
  return absl::InternalError(absl::StrCat("cannot read the store: ", OneLine(status)));
}

absl::Status RocksStore::Scan(
    absl::string_view prefix, absl::string_view from,
    const std::function<bool(absl::string_view, absl::string_view)>& each) const {
  std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(rocksdb::ReadOptions()));
  for (it->Seek(Slice(std::max(prefix, from)));
       it->Valid() && absl::StartsWith(View(it->key()), prefix); it->Next()) {
    if (!each(View(it->key()), View(it->value()))) break;
  }
  if (it->status().ok()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot read the store: ", OneLine(it->status())));
}

absl::Status RocksStore::Compact() {
  rocksdb::CompactRangeOptions options;
  // Commits continue: their flushes are not held up by it.
  options.exclusive_manual_compaction = false;
  // Also from the newest files: what stays of each is moved, and the file is deleted.
  options.blob_garbage_collection_policy = rocksdb::BlobGarbageCollectionPolicy::kForce;
  options.blob_garbage_collection_age_cutoff = 1;
  // Without it the compaction ends at the level that holds the rollouts, whose files it keeps.
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  const rocksdb::Slice first("r"), end("s");
  const rocksdb::Status status = db_->CompactRange(options, &first, &end);
  if (status.ok()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot compact the store: ", OneLine(status)));
}

}  // namespace reckon
