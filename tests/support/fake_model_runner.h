#ifndef RECKON_TESTS_SUPPORT_FAKE_MODEL_RUNNER_H_
#define RECKON_TESTS_SUPPORT_FAKE_MODEL_RUNNER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "actor/runner/model_runner.h"

namespace reckon {

// A model runner for tests. The distribution of the next token is a hash of the tokens before it,
// so a mistake in the history of a sequence changes what is drawn. It counts pages as the real one
// does. `salt` takes the place of the weights.
class FakeModelRunner : public ModelRunner {
 public:
  struct Options {
    int64_t vocab_size = 259;
    int64_t max_positions = 256;
    int64_t total_pages = 1000;
    int64_t page_tokens = 4;
    uint64_t salt = 1;
    absl::Duration pass_time;   // RunPass takes at least this long
    int64_t decodes_ahead = 0;  // as of a GPU: 1
    std::function<absl::Status()>
        on_pass;  // called by RunPass, which fails with its error; or null
  };

  // Sequences and pages. Runners of several versions may have one cache, as the real ones do.
  struct Cache;

  explicit FakeModelRunner(Options options, std::shared_ptr<Cache> cache = nullptr);

  int64_t vocab_size() const override { return options_.vocab_size; }
  int64_t max_positions() const override { return options_.max_positions; }
  int64_t total_pages() const override { return options_.total_pages; }
  int64_t free_pages() const override;
  int64_t default_batch() const override { return 64; }
  int64_t PagesFor(int64_t prefix, int64_t tokens) const override;
  absl::StatusOr<Sequence> Add(int64_t max_tokens) override;
  absl::StatusOr<Sequence> Fork(Sequence parent, int64_t prefix, int64_t max_tokens) override;
  void Remove(Sequence sequence) override;
  absl::StatusOr<std::vector<DrawnToken>> RunPass(absl::Span<const Row> rows) override;
  int64_t decodes_ahead() const override { return options_.decodes_ahead; }
  absl::Status StartDecode(absl::Span<const Row> rows) override;
  absl::StatusOr<std::vector<DrawnToken>> FinishDecode() override;

  // What is drawn after `history`, computed from scratch: the oracle of the engine's tests.
  DrawnToken Next(absl::Span<const uint32_t> history, const TokenDraw& draw) const;

  const std::shared_ptr<Cache>& cache() const { return cache_; }
  size_t sequences() const;
  int64_t rows_run() const { return rows_run_; }
  size_t widest_pass() const { return widest_pass_; }
  void FailNextPass(absl::Status status) { next_status_ = std::move(status); }

 private:
  struct Entry {
    std::vector<uint32_t> tokens;
    int64_t max_tokens = 0;
    std::vector<int64_t> pages;  // ids of the pages, shared ones first
  };

  absl::StatusOr<Sequence> Insert(Entry entry, int64_t new_pages);

  const Options options_;
  const std::shared_ptr<Cache> cache_;
  int64_t rows_run_ = 0;
  size_t widest_pass_ = 0;
  absl::Status next_status_;
  // Of the passes that are not finished, and what the last of them drew for each sequence.
  std::deque<absl::StatusOr<std::vector<DrawnToken>>> started_;
  std::map<Sequence, uint32_t> drawn_;
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_FAKE_MODEL_RUNNER_H_
