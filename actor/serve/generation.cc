#include "actor/serve/generation.h"

#include <algorithm>
#include <utility>

#include "common/text/utf8.h"

namespace reckon {
namespace {

// Bytes at the end of `text` that further bytes may complete to a character.
size_t OpenCharacter(absl::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;  // inside a character
    const size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

// Bytes at the end of `text` that further bytes may complete to the stop string.
size_t OpenStop(absl::string_view text, absl::string_view stop) {
  if (stop.empty()) return 0;
  for (size_t size = std::min(stop.size() - 1, text.size()); size > 0; --size) {
    if (text.substr(text.size() - size) == stop.substr(0, size)) return size;
  }
  return 0;
}

}  // namespace

Generation::Generation(GenerationRequest request)
    : request_(std::move(request)),
      choices_(request_.prompts.size() * request_.samples),
      unfinished_(choices_.size()) {
  for (size_t i = 0; i < choices_.size(); ++i) choices_[i].news.choice = i;
}

absl::StatusOr<std::vector<ChoiceNews>> Generation::Next(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  const auto told = [this]()
                        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return has_news_ || !status_.ok(); };
  mu_.AwaitWithTimeout(absl::Condition(&told), timeout);
  if (!status_.ok()) return status_;
  std::vector<ChoiceNews> news;
  for (Choice& choice : choices_) {
    if (!choice.has_news) continue;
    news.push_back(std::exchange(choice.news, {.choice = choice.news.choice}));
    choice.has_news = false;
  }
  has_news_ = false;
  return news;
}

bool Generation::ended() const {
  absl::MutexLock lock(&mu_);
  return unfinished_ == 0 && !has_news_;
}

void Generation::Update(size_t choice, absl::Span<const uint32_t> tokens,
                        absl::Span<const float> logprobs,
                        absl::Span<const std::vector<RankedToken>> ranked, absl::string_view text,
                        FinishReason finish) {
  absl::MutexLock lock(&mu_);
  Choice& c = choices_[choice];
  if (c.finished) return;
  for (; c.tokens < tokens.size(); ++c.tokens) {
    GeneratedToken token = {.id = tokens[c.tokens], .logprob = logprobs[c.tokens]};
    if (request_.ranked > 0) token.ranked = ranked[c.tokens];
    c.news.tokens.push_back(std::move(token));
    c.has_news = true;
  }
  if (finish == FINISH_UNSPECIFIED) {
    // A stop string cuts from its first byte, which was never safe: the end only grows.
    const size_t safe = std::max(Safe(text), c.taken);
    const std::string repaired = RepairUtf8(text.substr(c.taken, safe - c.taken));
    c.news.text += repaired;
    c.taken = safe;
    c.told += repaired.size();
  } else {
    const absl::string_view rest = text.substr(std::min(c.told, text.size()));
    c.news.text.append(rest.data(), rest.size());
    c.news.finish = finish;
    c.finished = c.has_news = true;
    --unfinished_;
  }
  has_news_ |= c.has_news;
}

void Generation::Fail(absl::Status status) {
  absl::MutexLock lock(&mu_);
  if (status_.ok()) status_ = std::move(status);
}

size_t Generation::Safe(absl::string_view text) const {
  size_t open = 0;
  for (const std::string& stop : request_.stop_strings) open = std::max(open, OpenStop(text, stop));
  text.remove_suffix(open);
  return text.size() - OpenCharacter(text);
}

}  // namespace reckon
