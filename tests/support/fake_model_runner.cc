#include "tests/support/fake_model_runner.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
// Last.
#include "common/base/log.h"

namespace reckon {

struct FakeModelRunner::Cache {
  int64_t free_pages = 0;
  std::map<Sequence, Entry> sequences;
  std::map<int64_t, int> page_users;
  int64_t next_page = 0;
  Sequence next_sequence = 0;
};

FakeModelRunner::FakeModelRunner(Options options, std::shared_ptr<Cache> cache)
    : options_(options), cache_(cache != nullptr ? std::move(cache) : std::make_shared<Cache>()) {
  if (cache_->sequences.empty()) cache_->free_pages = options.total_pages;
}

int64_t FakeModelRunner::free_pages() const { return cache_->free_pages; }
size_t FakeModelRunner::sequences() const { return cache_->sequences.size(); }

int64_t FakeModelRunner::PagesFor(int64_t prefix, int64_t tokens) const {
  const int64_t page = options_.page_tokens;
  return (tokens + page - 1) / page - prefix / page;
}

absl::StatusOr<ModelRunner::Sequence> FakeModelRunner::Insert(Entry entry, int64_t new_pages) {
  if (new_pages > cache_->free_pages) return absl::ResourceExhaustedError("out of pages");
  for (int64_t page : entry.pages) ++cache_->page_users[page];
  for (int64_t i = 0; i < new_pages; ++i) {
    entry.pages.push_back(cache_->next_page);
    cache_->page_users[cache_->next_page++] = 1;
  }
  cache_->free_pages -= new_pages;
  cache_->sequences[cache_->next_sequence] = std::move(entry);
  return cache_->next_sequence++;
}

absl::StatusOr<ModelRunner::Sequence> FakeModelRunner::Add(int64_t max_tokens) {
  Entry entry;
  entry.max_tokens = max_tokens;
  return Insert(std::move(entry), PagesFor(0, max_tokens));
}

absl::StatusOr<ModelRunner::Sequence> FakeModelRunner::Fork(Sequence parent, int64_t prefix,
                                                            int64_t max_tokens) {
  const Entry& from = cache_->sequences.at(parent);
  CHECK_LE(prefix, static_cast<int64_t>(from.tokens.size()));
  Entry entry;
  entry.max_tokens = max_tokens;
  entry.tokens.assign(from.tokens.begin(), from.tokens.begin() + prefix);
  entry.pages.assign(from.pages.begin(), from.pages.begin() + prefix / options_.page_tokens);
  return Insert(std::move(entry), PagesFor(prefix, max_tokens));
}

void FakeModelRunner::Remove(Sequence sequence) {
  for (int64_t page : cache_->sequences.at(sequence).pages) {
    if (--cache_->page_users[page] == 0) {
      cache_->page_users.erase(page);
      ++cache_->free_pages;
    }
  }
  cache_->sequences.erase(sequence);
}

DrawnToken FakeModelRunner::Next(absl::Span<const uint32_t> history, const TokenDraw& draw) const {
  uint64_t key = StreamKey(options_.salt, "fake", history.size());
  for (uint32_t token : history) key = StreamKey(key, "t", token);
  const CounterRng rng(key);
  const bool tempered = draw.temperature > 0 && draw.forced < 0;
  std::vector<double> weight(options_.vocab_size);
  double sum = 0;
  for (int64_t i = 0; i < options_.vocab_size; ++i) {
    const double logit = 3 * rng.Uniform(i);
    weight[i] = std::exp(tempered ? logit / draw.temperature : logit);
    sum += weight[i];
  }
  size_t chosen = weight.size() - 1;
  if (draw.forced >= 0) {
    chosen = draw.forced;
  } else if (draw.temperature == 0) {
    chosen = std::max_element(weight.begin(), weight.end()) - weight.begin();
  } else {
    double below = 0;
    for (size_t i = 0; i < weight.size(); ++i) {
      below += weight[i];
      if (below > draw.uniform * sum) {
        chosen = i;
        break;
      }
    }
  }
  DrawnToken drawn = {static_cast<uint32_t>(chosen),
                      static_cast<float>(std::log(weight[chosen] / sum))};
  if (draw.ranked == 0) return drawn;
  std::vector<uint32_t> order(weight.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return weight[a] > weight[b]; });
  for (uint32_t i = 0; i < draw.ranked; ++i) {
    drawn.ranked.push_back({order[i], static_cast<float>(std::log(weight[order[i]] / sum))});
  }
  return drawn;
}

absl::StatusOr<std::vector<DrawnToken>> FakeModelRunner::RunPass(absl::Span<const Row> rows) {
  if (!next_status_.ok()) return std::exchange(next_status_, absl::OkStatus());
  if (options_.on_pass != nullptr) RETURN_IF_ERROR(options_.on_pass());
  absl::SleepFor(options_.pass_time);
  rows_run_ += rows.size();
  widest_pass_ = std::max(widest_pass_, rows.size());
  std::vector<DrawnToken> drawn;
  for (const Row& row : rows) {
    Entry& entry = cache_->sequences.at(row.sequence);
    entry.tokens.push_back(row.token);
    CHECK_LE(static_cast<int64_t>(entry.tokens.size()), entry.max_tokens);
    if (row.draws) drawn.push_back(Next(entry.tokens, row.draw));
  }
  return drawn;
}

absl::Status FakeModelRunner::StartDecode(absl::Span<const Row> rows) {
  CHECK_LE(static_cast<int64_t>(started_.size()), options_.decodes_ahead);
  if (!started_.empty() && !started_.back().ok()) {
    started_.push_back(started_.back().status());
    return absl::OkStatus();
  }
  std::vector<Row> known(rows.begin(), rows.end());
  for (Row& row : known) {
    CHECK_EQ(row.draw.uniform, CounterRng(row.stream).Uniform(row.place));
    if (row.token == kDrawn) row.token = drawn_.at(row.sequence);
  }
  started_.push_back(RunPass(known));
  drawn_.clear();
  for (size_t i = 0; i < rows.size() && started_.back().ok(); ++i) {
    drawn_[rows[i].sequence] = started_.back()->at(i).token;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<DrawnToken>> FakeModelRunner::FinishDecode() {
  CHECK(!started_.empty());
  auto drawn = std::move(started_.front());
  started_.pop_front();
  return drawn;
}

}  // namespace reckon
